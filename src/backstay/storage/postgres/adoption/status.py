"""How tables are adopted, and whether they are as they were when the views over them were made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.library.adoption import CONVERSATION_NAMES, TURN_NAMES, AdoptionRequest, UnadoptResult
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection
from backstay.storage.sql.cascade.tables import CONVERSATIONS, TURNS

PLACE = "place"


@dataclass(frozen=True, slots=True)
class AdoptionStatus:
    """What was found of one of them."""

    name: str
    place: str
    is_same: bool
    """It has the columns that the view was made for."""
    hindered: str | None
    unplaced: int = 0
    """Conversations that are not shown, as nothing of ours stands beside them; looked for only when looking deep."""


def adoption_status(connection: Connection, schema: str, *, deep: bool) -> Sequence[AdoptionStatus]:
    """Look at them; there are none where nothing was adopted."""
    rows = connection.execute(
        f"""SELECT name, nspname::text, relname::text, stored IS NOT DISTINCT FROM {schema}.stored_columns(place),
                   hindered, asked ->> 'id'
              FROM {schema}.adopted JOIN pg_class ON pg_class.oid = place
              JOIN pg_namespace ON pg_namespace.oid = relnamespace ORDER BY name"""
    ).fetchall()
    found = []
    for name, namespace, table, is_same, hindered, identity in rows:
        unplaced = 0
        if deep and name == CONVERSATIONS:
            row = connection.execute(
                f"SELECT count(*) FROM {quoted(namespace)}.{quoted(table)} AS theirs WHERE NOT EXISTS"
                f" (SELECT FROM {schema}.adopted_conversations AS beside"
                f" WHERE beside.their_id = theirs.{quoted(identity)})"
            ).fetchone()
            unplaced = int(row[0]) if row is not None else 0
        found.append(AdoptionStatus(name, f"{namespace}.{table}", is_same, hindered, unplaced))
    return found


@dataclass(frozen=True, slots=True)
class PriorAdoption:
    """How tables are adopted already."""

    asked: Mapping[str, Mapping[str, str]]
    """By tables of ours, which of their columns is which of ours, by the names that these have now."""
    owner: str
    """Whose rows are where no column says it."""
    made: str
    """A digest of the statements that made the views."""

    @property
    def places(self) -> tuple[str, str]:
        return self.asked[CONVERSATIONS][PLACE], self.asked[TURNS][PLACE]

    def wanted(self, wanted: AdoptionRequest) -> AdoptionRequest:
        """Return the same again, and what is asked for besides: columns that came later are not taken for ours."""
        names = {name: (CONVERSATIONS, name) for name in CONVERSATION_NAMES}
        names |= {f"turns.{name}": (TURNS, name) for name in TURN_NAMES}
        columns = {told: self.asked[table].get(name, "") for told, (table, name) in names.items()}
        return AdoptionRequest(wanted.conversations, wanted.turns, {**columns, **wanted.columns})


def prior_adoption(connection: Connection, schema: str) -> PriorAdoption | None:
    """Say how tables are adopted; None where none are."""
    rows = connection.execute(
        f"""SELECT name, asked, owner, made, concat(nspname, '.', relname),
                   (SELECT jsonb_object_agg(was.name, attname) FROM jsonb_each_text(numbers) AS was (name, number)
                      JOIN pg_attribute ON attrelid = place AND attnum = was.number::integer AND NOT attisdropped)
              FROM {schema}.adopted LEFT JOIN pg_class ON pg_class.oid = place
              LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace"""
    ).fetchall()
    if not rows:
        return None
    asked = {
        name: {ours: place if ours == PLACE else (names or {}).get(theirs, theirs) for ours, theirs in then.items()}
        for name, then, _, _, place, names in rows
    }
    return PriorAdoption(asked, rows[0][2], rows[0][3])


def has_views(connection: Connection, schema: str) -> bool:
    """Whether our views are there. They go with columns of theirs that are dropped with CASCADE."""
    row = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL",
        (f"{schema}.conversations", f"{schema}.turns"),
    ).fetchone()
    return bool(row is not None and row[0])


def given_back(connection: Connection, schema: str) -> UnadoptResult:
    """Say what taking the adoption back comes to."""
    rows = connection.execute(
        f"""SELECT name, relname IS NOT NULL,
                   CASE WHEN relname IS NULL THEN asked ->> '{PLACE}' ELSE concat(nspname, '.', relname) END
              FROM {schema}.adopted LEFT JOIN pg_class ON pg_class.oid = place
              LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace ORDER BY name"""
    ).fetchall()
    left = {str(name) for name, is_there, _ in rows if is_there}
    return UnadoptResult(
        tables=[str(place) for _, is_there, place in rows if is_there],
        dropped=[str(place) for _, is_there, place in rows if not is_there],
        conversations=_kept(connection, f"{schema}.adopted_conversations") if CONVERSATIONS in left else 0,
        turns=_kept(connection, f"{schema}.adopted_turns") if TURNS in left else 0,
    )


def _kept(connection: Connection, beside: str) -> int:
    """Return of how many of theirs something is kept beside them."""
    names = connection.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attnotnull"
        " AND attname <> 'owner'",
        (beside,),
    ).fetchall()
    if not names:
        return 0
    kept = " OR ".join(f"{quoted(name)} IS NOT NULL" for (name,) in names)
    row = connection.execute(f"SELECT count(*) FROM {beside} WHERE {kept}").fetchone()
    return int(row[0]) if row is not None else 0
