"""What Backstay asks about tables that are not its own: which hang on conversations, and what is in them.

Their names are those of the catalogue, `schema.table` on a server. `conversations` and `turns` are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Row = tuple[Any, ...]

CONVERSATIONS, TURNS = "conversations", "turns"
OURS = (CONVERSATIONS, TURNS)


class OnDelete(StrEnum):
    """What a foreign key does to a row when the one it refers to goes."""

    CASCADE = "cascade"
    SET_NULL = "set null"
    SET_DEFAULT = "set default"
    RESTRICT = "restrict"
    NO_ACTION = "no action"

    @property
    def changes(self) -> bool:
        """Whether the row stays, and refers to something else then."""
        return self in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT)

    @property
    def forbids(self) -> bool:
        """Whether the other row cannot go while this one is there."""
        return self in (OnDelete.RESTRICT, OnDelete.NO_ACTION)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Rows of `table` refer by `columns` to those of `parent` that have the same in `parent_columns`."""

    name: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: OnDelete


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table as the catalogue has it."""

    name: str
    columns: Mapping[str, str]
    """Those that are stored, in order, with their types; computed ones are left out."""
    key: tuple[str, ...]
    """The columns of its primary key; none where it has none."""
    required: frozenset[str]
    """Columns that hold no null."""
    defaults: Mapping[str, str]
    """What columns take when nothing is given, in the words of the database."""


@dataclass(frozen=True, slots=True)
class UserTrigger:
    """A trigger of a user's own."""

    name: str
    table: str


class TableCatalog(Protocol):
    """The tables of one database, within a transaction. Values are as a backup takes them: see `library.record`."""

    def foreign_keys(self) -> Sequence[ForeignKey]:
        """Return every foreign key that refers to conversations or turns, or to what goes with them, and so on."""
        ...

    def table(self, name: str) -> CatalogTable | None:
        """Return a table that a foreign key was found of; None where there is none of that name."""
        ...

    def triggers(self, deleting: Sequence[str], changing: Sequence[str]) -> Sequence[UserTrigger]:
        """Return the triggers that fire when rows of these tables are deleted, or changed."""
        ...

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, held: bool = False
    ) -> Sequence[Row]:
        """Return the rows that refer by a foreign key to one of these.

        Each begins with the number of the one it refers to, from 0, and with what tells it from other rows for as long
        as the transaction lasts; the values of `columns` come behind. `parents` are values of `key.parent_columns`.
        With `held` nobody else changes the rows that were found until the transaction ends.
        """
        ...

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        """Return the rows that have one of these values in the columns `match`, each as of `children`."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Put rows in, as they were."""
        ...

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        """Have rows refer again to what they referred to, unless they refer to anything else by now; how many did.

        Each row is the values of `match`, by which it is found, and behind them those of `key.columns`.
        """
        ...

    def unwritable(self, going: Sequence[str], changing: Sequence[str]) -> Mapping[str, str]:
        """Return the tables that our role may not insert into or update, each with the statement that grants it."""
        ...

    def defer(self) -> None:
        """Have foreign keys be checked at the end of the transaction, where that can be."""
        ...

    def referred(self, table: str, column: str, value: Any) -> Any:
        """Return the value of a column of ours as rows have it that refer to it."""
        ...

    def advance(self, table: str) -> None:
        """Have the next rows of a user's table get other numbers than those in it, where a sequence gives them.

        `conversations` and `turns` are one where they were adopted; nothing is done where they are ours.
        """
        ...
