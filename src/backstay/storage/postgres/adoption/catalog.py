"""User tables as the catalog describes them; types and defaults include schemas, so that no search path matters."""

from dataclasses import dataclass

from psycopg import errors

from backstay.errors import CannotAdopt, StoreDenied
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection
from backstay.storage.sql.database import Row


@dataclass(frozen=True, slots=True)
class UserColumn:
    """A column of a user table."""

    name: str
    type: str
    cast: str
    """The type without its length, so that a cast to it does not truncate."""
    base: str
    """The name of the type, or `enum`; for a domain, that of its base type."""
    category: str
    required: bool
    default: str | None
    is_generated: bool
    is_always: bool
    """Whether it is an identity column GENERATED ALWAYS, which no UPDATE may set."""


@dataclass(frozen=True, slots=True)
class TurnForeignKey:
    """A foreign key from turns to conversations."""

    name: str
    cascades: bool
    columns: tuple[str, ...]
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table of the user's app."""

    name: str
    """Schema and name, as people write them."""
    quoted_name: str
    """The same, as SQL writes it."""
    columns: dict[str, UserColumn]
    """The stored columns, in order."""
    generated: frozenset[str]
    """Columns computed from others."""
    unique: tuple[tuple[str, ...], ...]
    """The columns of each unique index."""
    indexed: frozenset[str]
    """The first columns of the indexes."""
    all_columns: tuple[str, ...]
    """Stored and generated columns, in order."""

    def is_unique(self, *names: str) -> bool:
        """Return whether no two rows agree in these columns, and none of them is ever null."""
        required = all(self.columns[name].required for name in names)
        return required and any(set(columns) <= set(names) for columns in self.unique)


def find_table(connection: Connection, name: str, schema: str) -> UserTable:
    """Return the user table of that name.

    Raises:
        CannotAdopt: The table was not found, or is of a kind that cannot be adopted.
        StoreDenied: It belongs to another role.
    """
    if (row := _find_row(connection, name)) is None:
        raise CannotAdopt(f"Table {name} not found; write it as schema.table, for instance public.chats", table=name)
    namespace, table, kind, is_in_hierarchy, is_owned, is_forced, owner, current_role = row
    full_name, quoted_name = f"{namespace}.{table}", f"{quoted(namespace)}.{quoted(table)}"
    if namespace == schema:
        raise CannotAdopt(f"{full_name} is a table of Backstay's own; name one of yours", table=full_name)
    if kind != "r" or is_in_hierarchy:
        table_kind = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(
            kind, "partitioned or inherited"
        )
        raise CannotAdopt(f"{full_name} is {table_kind}; only an ordinary table can be adopted", table=full_name)
    if not is_owned:
        raise StoreDenied(
            f"{full_name} belongs to another role; adopt it as its owner, or be granted that role: "
            f"`GRANT {owner} TO {current_role}`",
            table=full_name,
        )
    if is_forced:
        raise CannotAdopt(
            f"{full_name} hides rows from its owner, too (FORCE ROW LEVEL SECURITY), so backups would be incomplete; "
            f"`ALTER TABLE {quoted_name} NO FORCE ROW LEVEL SECURITY` ends that",
            table=full_name,
        )
    columns = columns_of(connection, quoted_name)
    indexes = connection.execute(render("catalog/indexes"), (quoted_name,)).fetchall()
    return UserTable(
        full_name,
        quoted_name,
        {column.name: column for column in columns if not column.is_generated},
        frozenset(column.name for column in columns if column.is_generated),
        tuple(tuple(names) for names, is_unique in indexes if is_unique),
        frozenset(names[0] for names, _ in indexes if names),
        tuple(column.name for column in columns),
    )


def foreign_keys_between(connection: Connection, turns: UserTable, conversations: UserTable) -> list[TurnForeignKey]:
    """Return the foreign keys from turns to conversations."""
    rows = connection.execute(render("catalog/foreign_keys"), (turns.quoted_name, conversations.quoted_name))
    return [TurnForeignKey(name, cascades, tuple(columns), tuple(others)) for name, cascades, columns, others in rows]


def columns_of(connection: Connection, table: str) -> list[UserColumn]:
    """Return the columns of a table, in order; nothing if it does not exist."""
    return [UserColumn(*row) for row in connection.execute(render("catalog/columns"), {"table": table})]


def _find_row(connection: Connection, name: str) -> Row | None:
    """Return what the catalog says about a table; None if there is none, or if the text is not the name of a table."""
    if not name.strip():
        return None
    try:
        with connection.transaction():
            return connection.execute(render("catalog/table"), (name,)).fetchone()
    except (errors.InvalidName, errors.SyntaxError, errors.FeatureNotSupported, errors.InsufficientPrivilege):
        return None
