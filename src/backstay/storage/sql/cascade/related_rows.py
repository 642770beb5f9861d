"""The interface to related rows: rows of other tables that a delete of conversations deletes or updates.

These base classes serve a database in which no foreign key refers to conversations.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from backstay.backup.store import ArchivedConversation, UserColumns
from backstay.library.deletion import Obstacle, RelatedRowCount
from backstay.library.record import Document

RowsByTable = dict[str, list[dict[str, Any]]]
"""Rows by table, with their values as a line of a backup holds them."""

ReadBackup = Callable[[], Iterator[list[ArchivedConversation]]]


class RelatedRows:
    """The rows that are related to conversations, in one transaction."""

    may_exist = False
    """Whether a conversation can have any."""

    def __init__(self) -> None:
        self.columns: UserColumns = {}
        """The columns that a backup holds, with their types, by table; built-in tables are left out."""
        self.deleted_tables: Sequence[str] = ()
        """The tables whose rows are deleted with conversations."""
        self.updated_tables: Sequence[str] = ()
        """The tables whose rows stay, and have a foreign key set to null or its default."""

    def late_columns(self, table: str) -> set[str]:
        """Return the columns of a built-in table that a restore sets last, because they refer to related rows."""
        return set()

    def snapshot(self, keys: Sequence[int]) -> Mapping[int, Mapping[str, RowsByTable]]:
        """Return the rows to back up, by the key of the conversation, then by `deleted` or `changed`."""
        return {}

    def lock(self, keys: Sequence[int]) -> bool:
        """Lock the rows until the transaction ends; return whether they may be related to other conversations too.

        Raises DeleteBlocked: the database would delete or update rows that no backup holds.
        """
        return False

    def count(self, keys: Sequence[int]) -> Counter[int]:
        """Count the rows of more conversations; return their numbers by the key of the conversation."""
        return Counter()

    def counts(self) -> Sequence[RelatedRowCount]:
        """Return how many of the counted rows are deleted, and how many are updated, by table.

        Each row is counted once, even if it is related to several conversations.
        """
        return ()

    def obstacles(self) -> Sequence[Obstacle]:
        """Return what prevents the delete of the conversations whose rows were counted."""
        return ()

    def restricted_to(self, columns: UserColumns) -> "RelatedRows":
        """Return only the rows whose tables and columns are among these."""
        return self

    def restore(self, owner: str) -> "RelatedRowsRestore":
        """Begin to restore the rows of an owner's conversations."""
        return RelatedRowsRestore()


class RelatedRowsRestore:
    """The related rows of one restore, which are restored when all of its conversations are."""

    needs_former_keys = False
    """Whether a conversation must get its former key, because related rows refer to it."""

    @property
    def restored(self) -> int:
        """Rows that were inserted, or whose foreign key was set again."""
        return 0

    @property
    def not_restored(self) -> int:
        """Rows that were not restored: their target does not exist, or their foreign key has been set since."""
        return 0

    def note(self, conversations: Sequence[ArchivedConversation]) -> Sequence[ArchivedConversation]:
        """Note restored conversations, in order over all calls; return those that are complete."""
        return conversations

    def run(self, read: ReadBackup) -> Iterator[list[ArchivedConversation]]:
        """Restore the rows of the noted conversations, which `read` yields among others; yield these conversations.

        Raises ColumnsDiffer.
        """
        return iter(())

    def is_unchanged(self, before: Document, now: Document) -> bool:
        """Return whether a conversation is as it was before, apart from rows and links that were not restored."""
        return False  # called only if the digests differ
