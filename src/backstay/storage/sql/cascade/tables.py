"""The interface to the user's tables: which of them refer to conversations, and what rows they hold.

Tables are named as in the catalogue: `schema.table` on a server. `conversations` and `turns` are the built-in ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Row = tuple[Any, ...]

CONVERSATIONS, TURNS = "conversations", "turns"
BUILT_IN_TABLES = (CONVERSATIONS, TURNS)


class OnDelete(StrEnum):
    """The action of a foreign key on its row when the row that it refers to is deleted."""

    CASCADE = "cascade"
    SET_NULL = "set null"
    SET_DEFAULT = "set default"
    RESTRICT = "restrict"
    NO_ACTION = "no action"

    @property
    def updates(self) -> bool:
        """Whether the row stays, and its foreign key is set to null or to its default."""
        return self in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT)

    @property
    def blocks(self) -> bool:
        """Whether the parent row cannot be deleted while the row that refers to it exists."""
        return self in (OnDelete.RESTRICT, OnDelete.NO_ACTION)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: `columns` of `table` refer to `parent_columns` of `parent`."""

    name: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: OnDelete


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table as the catalogue describes it."""

    name: str
    columns: Mapping[str, str]
    """The stored columns in order, with their types; computed columns are left out."""
    key: tuple[str, ...]
    """The columns of its primary key; empty without one."""
    required: frozenset[str]
    """The columns that are NOT NULL."""
    defaults: Mapping[str, str]
    """The defaults of columns, as SQL expressions."""


@dataclass(frozen=True, slots=True)
class UserTrigger:
    """A trigger that a user has created."""

    name: str
    table: str


class TableCatalog(Protocol):
    """The tables of one database, within a transaction. Values are as a backup holds them: see `library.record`."""

    def foreign_keys(self) -> Sequence[ForeignKey]:
        """Return every foreign key that refers to conversations, turns, or a table whose rows are deleted with them."""
        ...

    def table(self, name: str) -> CatalogTable | None:
        """Return the table of a foreign key; None if it does not exist."""
        ...

    def triggers(self, deleting: Sequence[str], updating: Sequence[str]) -> Sequence[UserTrigger]:
        """Return the triggers that fire when rows are deleted from, or updated in, these tables."""
        ...

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, locked: bool = False
    ) -> Sequence[Row]:
        """Return the rows that refer by a foreign key to one of these parents.

        Each begins with the index of its parent in `parents` and with its identity, which is valid until the
        transaction ends; the values of `columns` follow. `parents` are values of `key.parent_columns`.
        With `locked`, no other transaction changes the returned rows until this one ends.
        """
        ...

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        """Return the rows that have one of these values in the columns `match`, in the form of `children`."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows with exactly these values."""
        ...

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        """Set a foreign key of rows to its former values, unless it has been set since; return how many were updated.

        Each row is the values of `match`, which identify it, followed by those of `key.columns`.
        """
        ...

    def unwritable(self, deleting: Sequence[str], updating: Sequence[str]) -> Mapping[str, str]:
        """Return the tables that the role may not insert into or update, each with the statement that grants it."""
        ...

    def defer(self) -> None:
        """Defer the check of foreign keys to the end of the transaction, where they allow it."""
        ...

    def referred(self, table: str, column: str, value: Any) -> Any:
        """Return a built-in column's value in the form in which rows that refer to it hold it."""
        ...

    def advance(self, table: str) -> None:
        """Advance the sequence of a user's table past the numbers in it, if it has one.

        `conversations` and `turns` are a user's tables where they were adopted; elsewhere nothing is done for them.
        """
        ...
