"""Recorded adoption: which tables are adopted, and whether they still have the columns their views were made for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.library.adoption_request import CONVERSATION_NAMES, TURN_NAMES, AdoptionRequest, UnadoptResult
from backstay.storage.postgres.adoption.catalog import columns_of
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.session import Connection, query_value
from backstay.storage.sql.cascade.tables import CONVERSATIONS, TURNS

TABLE = "table"
"""The key under which a recorded mapping names the user table."""


@dataclass(frozen=True, slots=True)
class AdoptionStatus:
    """State of one adopted table."""

    name: str
    """The built-in table that it stands for."""
    table: str
    """The user table, with its schema."""
    has_same_columns: bool
    """Whether it has the columns that the view was generated for."""
    obstacle: str | None
    """Why no new rows can be stored; None if they can."""
    missing: int = 0
    """Conversations that are not shown because the side table lacks them; counted only by a deep inspection."""


def adoption_status(connection: Connection, schema: str, *, deep: bool) -> Sequence[AdoptionStatus]:
    """Inspect the adopted tables; return nothing if none is adopted."""
    statuses = []
    rows = connection.execute(render("record/status", schema=schema)).fetchall()
    for name, namespace, table, has_same_columns, obstacle, identity in rows:
        missing = 0
        if deep and name == CONVERSATIONS:
            query = render("record/count_missing", schema=schema, table=(namespace, table), id=identity)
            missing = int(query_value(connection, query))
        statuses.append(AdoptionStatus(name, f"{namespace}.{table}", has_same_columns, obstacle, missing))
    return statuses


@dataclass(frozen=True, slots=True)
class PriorAdoption:
    """The adoption that the database records."""

    mapping: Mapping[str, Mapping[str, str]]
    """For each built-in table, the present name of the user column of each built-in column."""
    owner: str
    """The owner of all rows, if no column holds one."""
    digest: str
    """A digest of the statements that created the views."""

    @property
    def tables(self) -> tuple[str, str]:
        return self.mapping[CONVERSATIONS][TABLE], self.mapping[TURNS][TABLE]

    def extend(self, request: AdoptionRequest) -> AdoptionRequest:
        """Return a request for the recorded mapping and what is requested in addition.

        Columns added to the user tables since then are not mapped by their names.
        """
        names = {name: (CONVERSATIONS, name) for name in CONVERSATION_NAMES}
        names |= {f"turns.{name}": (TURNS, name) for name in TURN_NAMES}
        columns = {full_name: self.mapping[table].get(name, "") for full_name, (table, name) in names.items()}
        return AdoptionRequest(request.conversations, request.turns, {**columns, **request.columns})


def prior_adoption(connection: Connection, schema: str) -> PriorAdoption | None:
    """Return the recorded adoption; None if there is none."""
    rows = connection.execute(render("record/prior_adoption", schema=schema)).fetchall()
    if not rows:
        return None
    mapping = {
        name: {
            builtin: table if builtin == TABLE else (current_names or {}).get(column, column)
            for builtin, column in recorded.items()
        }
        for name, recorded, _, _, table, current_names in rows
    }
    return PriorAdoption(mapping, rows[0][2], rows[0][3])


def has_views(connection: Connection, schema: str) -> bool:
    """Return whether the views exist. Dropping a user column with CASCADE drops them, too."""
    return bool(query_value(connection, render("views/exist", schema=schema)))


def preview_undo(connection: Connection, schema: str) -> UnadoptResult:
    """Return which tables an undo would release, and how many records would lose values."""
    rows = connection.execute(render("record/undo", schema=schema)).fetchall()
    existing = {str(name) for name, exists, _ in rows if exists}
    return UnadoptResult(
        tables=[str(table) for _, exists, table in rows if exists],
        dropped=[str(table) for _, exists, table in rows if not exists],
        conversations=_count_values(connection, f"{schema}.adopted_conversations") if CONVERSATIONS in existing else 0,
        turns=_count_values(connection, f"{schema}.adopted_turns") if TURNS in existing else 0,
        curated=int(query_value(connection, render("side_tables/count_curated", schema=schema))),
    )


def _count_values(connection: Connection, side_table: str) -> int:
    """Return how many rows of a side table hold a value that the user table has no column for."""
    columns = columns_of(connection, side_table)
    names = [column.name for column in columns if not column.required and column.name != "owner"]
    if not names:
        return 0
    return int(query_value(connection, render("side_tables/count_values", side_table=side_table, names=names)))
