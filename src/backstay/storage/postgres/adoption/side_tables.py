"""What of ours has no column in their tables: tables of ours beside them, kept in step by triggers on theirs."""

from collections.abc import Iterator

from backstay.storage.postgres.adoption.casts import NOW, fit
from backstay.storage.postgres.adoption.catalog import UserTable
from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.queries import quoted
from backstay.storage.sql.cascade.tables import CONVERSATIONS, TURNS

_BYTES_IN_ORDER = frozenset({"owner", "persona", "job_id", "item_id", "created_at", "updated_at"})
PREFIX = "backstay_"
BY_INDEX = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"
"""A function keeps its plan. One that was made while a table was small would read all of it when it is large."""


def literal(text: str) -> str:
    """Return a text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def in_dollars(body: str) -> str:
    """Return the body of a function, whatever is in it."""
    tag = "$backstay$"
    while tag in body:
        tag = tag[:-1] + "_$"
    return f"{tag}{body}{tag}"


def owner_of(mapped: TableMapping, row: str) -> str:
    """Return whose a row of theirs is."""
    column = mapped.of_conversations.get("owner")
    return literal(mapped.owner) if column is None else f'{row}.{quoted(column.name)}::text COLLATE "C"'


def make(mapped: TableMapping, schema: str) -> Iterator[str]:
    """Yield what makes them, and what keeps them in step from now on."""
    yield from _tables(mapped, schema)
    yield from keep_in_step(mapped, schema)


def keep_in_step(mapped: TableMapping, schema: str) -> Iterator[str]:
    """Yield what keeps them in step, in the place of what did so far."""
    yield from _rows(mapped, schema)
    yield from _in_step(mapped, schema)
    if mapped.turns_beside:
        yield from _turns_in_step(mapped, schema)


def _tables(mapped: TableMapping, schema: str) -> Iterator[str]:
    identity = mapped.of_conversations["id"]
    columns = [
        f"key bigint PRIMARY KEY DEFAULT pg_catalog.nextval('{schema}.conversations_key')",
        f"their_id {identity.cast} NOT NULL UNIQUE",
        'id text COLLATE "C" NOT NULL UNIQUE',
        'owner text COLLATE "C"',
    ]
    for name in mapped.beside:
        if name == "owner":
            continue
        collation = ' COLLATE "C"' if name in _BYTES_IN_ORDER else ""
        default = f" NOT NULL DEFAULT {NOW}" if name.endswith("_at") else ""
        columns.append(f"{name} text{collation}{default}")
    yield f"CREATE TABLE {schema}.adopted_conversations ({', '.join(columns)})"
    yield f"CREATE INDEX ON {schema}.adopted_conversations (owner, key)"
    if "job_id" in mapped.beside:
        yield f"CREATE INDEX ON {schema}.adopted_conversations (owner, job_id) WHERE job_id IS NOT NULL"
    found = f"SELECT beside.their_id FROM {schema}.adopted_conversations AS beside WHERE beside.key = $1"
    yield (
        f"CREATE FUNCTION {schema}.adopted_id(bigint) RETURNS {identity.cast} LANGUAGE plpgsql STABLE {BY_INDEX}"
        f" AS {in_dollars(f'BEGIN RETURN ({found}); END')}"
    )
    yield f"REVOKE ALL ON FUNCTION {schema}.adopted_id(bigint) FROM PUBLIC"
    if mapped.turns_beside:
        told = [f"{quoted(name)} {mapped.turns.columns[name].cast} NOT NULL" for name in mapped.identity]
        told += [f"{PREFIX}{name} text" for name in mapped.turns_beside]
        key = ", ".join(map(quoted, mapped.identity))
        yield f"CREATE TABLE {schema}.adopted_turns ({', '.join(told)}, PRIMARY KEY ({key}))"


def _rows(mapped: TableMapping, schema: str) -> Iterator[str]:
    """Yield what makes `adopted_rows`: what of each conversation stands beside it, too, as it is now.

    A view goes with a table and columns that get other names; the text of a function does not.
    """
    identity, made = mapped.of_conversations["id"], mapped.of_conversations.get("created_at")
    shown = [f"theirs.{quoted(identity.name)} AS their_id", f'({owner_of(mapped, "theirs")}) COLLATE "C" AS owner']
    if made is not None:
        shown.append(f"theirs.{quoted(made.name)} AS made")
        if "updated_at" in mapped.beside:
            shown.append(f"{fit('created_at', made, alias='theirs', needed=True).shown} AS updated_at")
    yield f"DROP VIEW IF EXISTS {schema}.adopted_rows"
    yield f"CREATE VIEW {schema}.adopted_rows AS SELECT {', '.join(shown)} FROM {mapped.conversations.place} AS theirs"


def add_missing(mapped: TableMapping, schema: str, those: str = "") -> str:
    """Return what gives a place to those conversations that have none, in the order they were made."""
    names, order = ["their_id", "id", "owner"], "now.their_id"
    values = ["now.their_id", "now.their_id::text", "now.owner"]
    if "created_at" in mapped.of_conversations:
        order = f"now.made, {order}"
        if "updated_at" in mapped.beside:
            names.append("updated_at")
            values.append("now.updated_at")
    return (
        f"INSERT INTO {schema}.adopted_conversations ({', '.join(names)})"
        f" SELECT {', '.join(values)} FROM {schema}.adopted_rows AS now {those}"
        f" {'AND' if 'WHERE' in those else 'WHERE'} NOT EXISTS (SELECT 1 FROM {schema}.adopted_conversations AS beside"
        f" WHERE beside.their_id = now.their_id) ORDER BY {order}"
    )


def repair(mapped: TableMapping, schema: str) -> Iterator[str]:
    """Yield what brings them in step again, whatever has happened to them or to the triggers."""
    beside = f"{schema}.adopted_conversations"
    yield _without_row(schema)
    if "owner" in mapped.of_conversations:
        yield (
            f"UPDATE {beside} AS beside SET owner = now.owner FROM {schema}.adopted_rows AS now"
            " WHERE now.their_id = beside.their_id AND now.owner IS DISTINCT FROM beside.owner"
        )
    yield add_missing(mapped, schema)
    if mapped.turns_beside:
        same = " AND ".join(f"theirs.{quoted(name)} = beside.{quoted(name)}" for name in mapped.identity)
        yield (
            f"DELETE FROM {schema}.adopted_turns AS beside WHERE NOT EXISTS"
            f" (SELECT 1 FROM {mapped.turns.place} AS theirs WHERE {same})"
        )


def _without_row(schema: str, also: str = "") -> str:
    return (
        f"DELETE FROM {schema}.adopted_conversations AS beside WHERE NOT EXISTS"
        f" (SELECT 1 FROM {schema}.adopted_rows AS now WHERE now.their_id = beside.their_id){also}"
    )


def _in_step(mapped: TableMapping, schema: str) -> Iterator[str]:
    """Yield the triggers. Other triggers may have touched the rows before: what stands in the table now is what counts.

    Never is a statement of theirs to fail because of us.
    """
    table, identity = mapped.conversations, mapped.of_conversations["id"]
    beside, name = f"{schema}.adopted_conversations", identity.name
    added = add_missing(mapped, schema, f"JOIN {_named('came', 'came', table, name)} ON came.at_0 = now.their_id")
    yield from _trigger(
        schema, table, "added", "AFTER INSERT", "REFERENCING NEW TABLE AS came FOR EACH STATEMENT", f"{added};"
    )
    # The same id may have come again.
    went = f" AND beside.their_id IN (SELECT went.at_0 FROM {_named('went', 'went', table, name)})"
    yield from _trigger(
        schema, table, "gone", "AFTER DELETE", "REFERENCING OLD TABLE AS went FOR EACH STATEMENT",
        f"{_without_row(schema, went)};",
    )  # fmt: skip
    changes = [f"OLD.{quoted(name)} IS DISTINCT FROM NEW.{quoted(name)}"]
    if (owner := mapped.of_conversations.get("owner")) is not None:
        changes.append(f"OLD.{quoted(owner.name)} IS DISTINCT FROM NEW.{quoted(owner.name)}")
    owned = ", owner = now.owner" if owner is not None else ""
    yield from _trigger(
        schema, table, "moved", "AFTER UPDATE", f"FOR EACH ROW WHEN ({' OR '.join(changes)})",
        f"""
            was := (SELECT row_before.at_0 FROM {_named('(SELECT OLD.*)', 'row_before', table, name)});
            is_now := (SELECT row_now.at_0 FROM {_named('(SELECT NEW.*)', 'row_now', table, name)});
            IF was IS DISTINCT FROM is_now
                AND EXISTS (SELECT 1 FROM {beside} AS beside WHERE beside.their_id = was) THEN
                DELETE FROM {beside} AS beside WHERE beside.their_id = is_now;
            END IF;
            UPDATE {beside} AS beside SET their_id = is_now, id = is_now::text{owned}
              FROM {schema}.adopted_rows AS now WHERE now.their_id = is_now AND beside.their_id = was;
            IF NOT FOUND OR was IS DISTINCT FROM is_now THEN
                {_without_row(schema, " AND beside.their_id = was")};
                {add_missing(mapped, schema, "WHERE now.their_id IN (was, is_now)")};
            END IF;
        """,
        f"DECLARE was {identity.cast}; is_now {identity.cast};",
    )  # fmt: skip
    yield from _trigger(schema, table, "emptied", "AFTER TRUNCATE", "FOR EACH STATEMENT", f"{_without_row(schema)};")


def _turns_in_step(mapped: TableMapping, schema: str) -> Iterator[str]:
    table, beside, names = mapped.turns, f"{schema}.adopted_turns", mapped.identity

    def same(row: str) -> str:
        return " AND ".join(f"beside.{quoted(name)} = {row}.at_{n}" for n, name in enumerate(names))

    before = _named("(SELECT OLD.*)", "row_before", table, *names)
    now = _named("(SELECT NEW.*)", "row_now", table, *names)
    yield from _trigger(
        schema, table, "turns_gone", "AFTER DELETE", "REFERENCING OLD TABLE AS went FOR EACH STATEMENT",
        f"DELETE FROM {beside} AS beside USING {_named('went', 'went', table, *names)} WHERE {same('went')};",
    )  # fmt: skip
    changes = " OR ".join(f"OLD.{quoted(name)} IS DISTINCT FROM NEW.{quoted(name)}" for name in names)
    sets = ", ".join(f"{quoted(name)} = row_now.at_{n}" for n, name in enumerate(names))
    yield from _trigger(
        schema, table, "turns_moved", "AFTER UPDATE", f"FOR EACH ROW WHEN ({changes})",
        f"DELETE FROM {beside} AS beside USING {now} WHERE {same('row_now')};"
        f"UPDATE {beside} AS beside SET {sets} FROM {before}, {now} WHERE {same('row_before')};",
    )  # fmt: skip
    yield from _trigger(
        schema, table, "turns_emptied", "AFTER TRUNCATE", "FOR EACH STATEMENT", f"DELETE FROM {beside};"
    )


def _named(rows: str, alias: str, table: UserTable, *names: str) -> str:
    """Return rows of theirs with names of ours, `at_0` and so on: given by place, as theirs may change."""
    places = {table.names.index(name): f"at_{number}" for number, name in enumerate(names)}
    told = [places.get(place, f"other_{place}") for place in range(max(places) + 1)]
    return f"{rows} AS {alias} ({', '.join(told)})"


def _trigger(
    schema: str, table: UserTable, what: str, when: str, how: str, body: str, declared: str = ""
) -> Iterator[str]:  # fmt: skip
    function = f"{schema}.adopted_{what}"
    # It runs in programs of theirs, as roles that see nothing of ours.
    alone = f"SECURITY DEFINER SET search_path = '' {BY_INDEX}"
    # With the view columns have gone, and places are others then; adopting anew brings all in step.
    view = f"{schema}.{TURNS if what.startswith('turns_') else CONVERSATIONS}"
    is_broken = f"IF pg_catalog.to_regclass('{view}') IS NULL THEN RETURN NULL; END IF;"
    whole = in_dollars(f"{declared} BEGIN {is_broken} {body} RETURN NULL; END")
    yield f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql {alone} AS {whole}"
    yield f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC"
    yield f"DROP TRIGGER IF EXISTS {PREFIX}{what} ON {table.place}"
    yield f"CREATE TRIGGER {PREFIX}{what} {when} ON {table.place} {how} EXECUTE FUNCTION {function}()"
    yield f"ALTER TABLE {table.place} ENABLE ALWAYS TRIGGER {PREFIX}{what}"
