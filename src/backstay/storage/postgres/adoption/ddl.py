"""The views that an adoption generates, with their functions and triggers: how to create, renew and drop them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from psycopg import errors as pg

from backstay.errors import CannotAdopt
from backstay.storage.postgres.adoption import columns, row_security, side_tables
from backstay.storage.postgres.adoption.columns import View
from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.session import Connection


@dataclass(frozen=True, slots=True)
class GeneratedViews:
    """The two views, and the statements that create them."""

    conversations: View
    turns: View
    statements: Sequence[str]

    @classmethod
    def from_mapping(cls, connection: Connection, mapping: TableMapping, schema: str) -> "GeneratedViews":
        """Return the views over the tables of a mapping."""
        conversations, turns = columns.conversations_view(mapping), columns.turns_view(mapping, schema)
        values = side_tables.template_values(mapping, schema) | {
            "has_policies": row_security.has_policies(connection),
            "old_id": conversations.raw_name(mapping.conversation_columns["id"].name),
            "old_names": {name: turns.raw_name(name) for name in mapping.turn_identity},
            "updated_side_columns": mapping.side_columns,
        }
        statements = [
            render(f"views/{name}{event}", view=view, **values)
            for name, view in (("conversations", conversations), ("turns", turns))
            for event in ("", "_insert", "_delete", "_update")
        ]
        return cls(conversations, turns, statements)

    @property
    def digest(self) -> str:
        """A digest of the statements, by which outdated views are recognized."""
        return sha256("\n".join(self.statements).encode()).hexdigest()


def drop(connection: Connection, schema: str) -> None:
    """Drop all that an adoption created, except the side tables.

    Raises:
        CannotAdopt: Another object depends on the views.
    """
    _drop_views(connection, schema)
    connection.execute(render("triggers/drop", schema=schema))
    connection.execute(render("new_id", schema=schema, id_default=None))


def renew(connection: Connection, schema: str, views: GeneratedViews) -> None:
    """Replace the views. Privileges on them that other roles were granted are lost.

    Raises:
        CannotAdopt: Another object depends on the views.
    """
    _drop_views(connection, schema)
    for statement in views.statements:
        connection.execute(statement)
    row_security.protect_views(connection, schema)


def new_id(mapping: TableMapping, schema: str) -> str:
    """Return the statement that creates the function for the ids of new conversations."""
    column = mapping.conversation_columns["id"]
    has_builtin_id = column.base in ("uuid", "text", "varchar")
    return render("new_id", schema=schema, id_default=None if has_builtin_id else column.default)


def _drop_views(connection: Connection, schema: str) -> None:
    try:
        connection.execute(render("views/drop", schema=schema))
    except pg.DependentObjectsStillExist as error:
        raise CannotAdopt(
            f"Another object, perhaps a view, depends on {schema}.conversations or {schema}.turns; drop it first"
        ) from error
