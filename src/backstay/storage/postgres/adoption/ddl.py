"""The views of adopting, their functions and triggers: making them, making them anew, dropping them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from psycopg import errors as pg

from backstay.errors import CannotAdopt
from backstay.storage.postgres.adoption import columns, row_security, side_tables, views
from backstay.storage.postgres.adoption.columns import View
from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.session import Connection


@dataclass(frozen=True, slots=True)
class GeneratedViews:
    """The views, and the statements that make them."""

    conversations: View
    turns: View
    statements: Sequence[str]

    @classmethod
    def from_mapping(cls, connection: Connection, mapped: TableMapping, schema: str) -> "GeneratedViews":
        both = columns.of_conversations(mapped), columns.of_turns(mapped, schema)
        guarded = row_security.is_guarded(connection)
        return cls(*both, list(views.make(mapped, schema, *both, guarded=guarded)))

    @property
    def digest(self) -> str:
        return sha256("\n".join(self.statements).encode()).hexdigest()


def drop(connection: Connection, schema: str) -> None:
    """Drop all that adopting has made but the tables.

    Raises:
        CannotAdopt: something else is built upon the views.
    """
    _drop_views(connection, schema)
    connection.execute(f"DROP VIEW IF EXISTS {schema}.adopted_rows")
    for table, name in _triggers(connection, schema):
        connection.execute(f"DROP TRIGGER {name} ON {table}")
    for function in _functions(connection, schema):
        connection.execute(f"DROP FUNCTION {function}")
    connection.execute(_no_new_id(schema))


def renew(connection: Connection, schema: str, made: GeneratedViews) -> None:
    """Make the views anew. Rights on them that others were granted are gone then."""
    _drop_views(connection, schema)
    for function in _functions(connection, schema, only_views=True):
        connection.execute(f"DROP FUNCTION {function}")
    for statement in made.statements:
        connection.execute(statement)
    row_security.guard_views(connection, schema)


def new_id(mapped: TableMapping, schema: str) -> str:
    """Return what makes the function by which new conversations get their ids, as their table would give them."""
    column = mapped.of_conversations["id"]
    if column.base == "uuid" or column.default is None or column.base in ("text", "varchar"):
        return _no_new_id(schema)
    body = side_tables.in_dollars(f"SELECT ({column.default})::text")
    return f"CREATE OR REPLACE FUNCTION {schema}.new_id() RETURNS text LANGUAGE sql AS {body}"


def _no_new_id(schema: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {schema}.new_id() RETURNS text LANGUAGE sql AS 'SELECT NULL::text'"


def _drop_views(connection: Connection, schema: str) -> None:
    try:
        connection.execute(f"DROP VIEW IF EXISTS {schema}.turns, {schema}.conversations")
    except pg.DependentObjectsStillExist as error:
        raise CannotAdopt(
            f"Something is built upon {schema}.conversations or {schema}.turns, perhaps a view; drop that first"
        ) from error


def _triggers(connection: Connection, schema: str) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT format('%%I.%%I', nspname, relname), quote_ident(tgname) FROM pg_trigger"
        " JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " JOIN pg_proc ON pg_proc.oid = tgfoid"
        " WHERE pronamespace = %s::regnamespace AND starts_with(proname, 'adopted_')",
        (schema,),
    )
    return [(str(table), str(name)) for table, name in rows.fetchall()]


def _functions(connection: Connection, schema: str, *, only_views: bool = False) -> list[str]:
    rows = connection.execute(
        "SELECT pg_proc.oid::regprocedure::text, proname FROM pg_proc"
        " WHERE pronamespace = %s::regnamespace AND starts_with(proname, 'adopted_') ORDER BY 1",
        (schema,),
    )
    of_views = ("adopted_conversations_", "adopted_turns_")
    endings = ("_insert", "_update", "_delete")
    return [
        str(told)
        for told, name in rows.fetchall()
        if not only_views or (name.startswith(of_views) and name.endswith(endings))
    ]
