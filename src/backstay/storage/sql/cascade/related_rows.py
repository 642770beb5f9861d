"""What deletes and restores need of related rows: the rows that a delete of conversations deletes or updates."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from backstay.backup.store import ArchivedConversation, UserColumns
from backstay.library.deletion import Obstacle, RelatedRowCount
from backstay.library.record import Document

RowsByTable = dict[str, list[dict[str, Any]]]
"""Rows by table, with their values as a line of a backup holds them."""


class RelatedRows(Protocol):
    """The rows that are related to conversations, in one transaction."""

    @property
    def may_exist(self) -> bool:
        """Whether a conversation can have any."""
        ...

    @property
    def columns(self) -> UserColumns:
        """The columns that a backup holds, with their types, by table; built-in tables are left out."""
        ...

    @property
    def deleted_tables(self) -> Sequence[str]:
        """The tables whose rows are deleted with conversations."""
        ...

    @property
    def updated_tables(self) -> Sequence[str]:
        """The tables whose rows stay, and have a foreign key set to null or its default."""
        ...

    def late_columns(self, table: str) -> set[str]:
        """Return the columns of a built-in table that a restore sets last, because they refer to related rows."""
        ...

    def snapshot(self, keys: Sequence[int]) -> Mapping[int, Mapping[str, RowsByTable]]:
        """Return the rows to back up, by the key of the conversation, then by `deleted` or `changed`."""
        ...

    def lock(self, keys: Sequence[int]) -> bool:
        """Lock the rows until the transaction ends; return whether they may be related to other conversations too."""
        ...

    def measure(self) -> "RelatedRowsMeasure":
        """Begin to count the rows that a delete would delete and update."""
        ...

    def restricted_to(self, columns: UserColumns) -> "RelatedRows":
        """Return only the rows whose tables and columns are among these."""
        ...

    def restore(self, owner: str) -> "RelatedRowsRestore":
        """Begin to restore the rows of an owner's conversations."""
        ...


class RelatedRowsMeasure(Protocol):
    """The number of related rows, each counted once even if it is related to several of the conversations."""

    def count(self, keys: Sequence[int]) -> Counter[int]:
        """Count the rows of more conversations; return their numbers by the key of the conversation."""
        ...

    def counts(self) -> Sequence[RelatedRowCount]:
        """Return the number of rows that are deleted, and of those that are updated, by table."""
        ...

    def obstacles(self) -> Sequence[Obstacle]:
        """Return what prevents the delete of the conversations."""
        ...


class RelatedRowsRestore(Protocol):
    """The related rows of one restore, which are restored when all of its conversations are."""

    @property
    def restored(self) -> int:
        """Rows that were inserted, or whose foreign key was set again."""
        ...

    @property
    def not_restored(self) -> int:
        """Rows that were not, because what they refer to does not exist, or their foreign key has been set since."""
        ...

    @property
    def needs_former_keys(self) -> bool:
        """Whether a conversation must get its former key, because related rows refer to it."""
        ...

    def note(self, conversations: Sequence[ArchivedConversation]) -> Sequence[ArchivedConversation]:
        """Note restored conversations, in order over all calls; return those that are complete."""
        ...

    def run(self, read: Callable[[], Iterator[list[ArchivedConversation]]]) -> Iterator[list[ArchivedConversation]]:
        """Restore the rows of the noted conversations, which `read` yields again among others; yield the noted ones.

        Raises ColumnsDiffer.
        """
        ...

    def is_unchanged(self, before: Document, now: Document) -> bool:
        """Return whether a conversation is as it was before, apart from rows and links that were not restored."""
        ...


class NoRelatedRows:
    """The related rows where no foreign key refers to conversations: none.

    Without state, it is its own measure and restore.
    """

    may_exist = False
    columns: UserColumns = MappingProxyType({})
    deleted_tables: Sequence[str] = ()
    updated_tables: Sequence[str] = ()
    restored = not_restored = 0
    needs_former_keys = False

    def late_columns(self, table: str) -> set[str]:
        return set()

    def snapshot(self, keys: Sequence[int]) -> Mapping[int, Mapping[str, RowsByTable]]:
        return {}

    def lock(self, keys: Sequence[int]) -> bool:
        return False

    def measure(self) -> RelatedRowsMeasure:
        return self

    def restricted_to(self, columns: UserColumns) -> RelatedRows:
        return self

    def restore(self, owner: str) -> RelatedRowsRestore:
        return self

    def count(self, keys: Sequence[int]) -> Counter[int]:
        return Counter()

    def counts(self) -> Sequence[RelatedRowCount]:
        return ()

    def obstacles(self) -> Sequence[Obstacle]:
        return ()

    def note(self, conversations: Sequence[ArchivedConversation]) -> Sequence[ArchivedConversation]:
        return conversations

    def run(self, read: Callable[[], Iterator[list[ArchivedConversation]]]) -> Iterator[list[ArchivedConversation]]:
        return iter(())

    def is_unchanged(self, before: Document, now: Document) -> bool:
        return False  # their digests differ
