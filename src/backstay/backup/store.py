"""The storage that backups need. Each method takes an owner, or a backup of one, and sees only that owner's data.

There is one protocol per phase. A method that changes conversations changes the record of their backup in the same
transaction.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import orjson

from backstay.backup.backup import Backup, BackupItem, SealedFile
from backstay.backup.key_set import KeySet
from backstay.backup.restore_plan import RestorePlan, RestoreResult
from backstay.backup.storage_identity import StorageIdentity
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.deletion import DeleteSample, FiringTrigger, Obstacle, RelatedRowCount
from backstay.library.record import Document, Record
from backstay.library.selection import Selection


class Snapshot(Protocol):
    """A consistent view of selected conversations, unaffected by later writes."""

    @property
    def database_kind(self) -> str:
        """The kind of database."""
        ...

    @property
    def columns(self) -> "UserColumns":
        """The user columns by table."""
        ...

    def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        """Yield the selected conversations in storage order, in chunks. May be called once."""
        ...

    async def recipes(self, job_ids: Collection[str]) -> Sequence[ArchivedRecipe]:
        """Return the revisions of the recipes of these jobs, and of jobs that made their conversations again.

        May be called after the last chunk.
        """
        ...


@dataclass(frozen=True, slots=True)
class SelectionMeasure:
    """The current size of a selection, and what a delete of it would affect."""

    conversations: int
    turns: int
    estimated_bytes: int
    """The approximate size of their lines in a backup, without related rows and user columns."""
    digest: str
    sample: Sequence[DeleteSample]
    related: Sequence[RelatedRowCount] = ()
    triggers: Sequence[FiringTrigger] = ()
    obstacles: Sequence[Obstacle] = ()


@dataclass(frozen=True, slots=True)
class DeleteStepResult:
    """The result of one bounded step of a delete."""

    backup: Backup
    is_last: bool
    network_seconds: float
    """The time spent on network round trips, which a smaller step would not shorten."""


@dataclass(frozen=True, slots=True)
class UnbackedDeleteStepResult:
    """The result of one bounded step of a delete without a backup."""

    deleted: int
    kept_by_trigger: int
    reached_key: int | None
    """The key of the last conversation that was looked at; None at the end."""
    network_seconds: float


UserColumns = Mapping[str, Mapping[str, str]]
"""The columns that users added to the built-in tables: each type, by table and column name."""


ItemName = tuple[str | None, str | None]
"""The job id and the item id that a conversation names."""


class ArchivedConversation(NamedTuple):
    """A verified conversation of a backup's file.

    It is a tuple, and decodes its document at each access, to spare memory and the garbage collector: there are many.
    """

    key: int
    """Its key in this database, or the one that it had before it was deleted."""
    digest: bytes
    position: int
    """Its position in the file."""
    id: str
    item: ItemName
    created_at: str
    line: bytes
    rows: Any
    """Its rows, as the store inserts them."""
    curation: bytes | None = None
    """The JSON of its review and earlier versions."""

    @property
    def document(self) -> Document:
        """The conversation as a dict in the native shape."""
        document: Document = orjson.loads(self.line)
        return document


RecordedItems = Callable[[int, int], Sequence[BackupItem]]
"""Returns what the snapshot recorded of conversations: from a position (first argument), so many (second)."""

ToRows = Callable[[Document], Any]
"""Converts a conversation to its rows. Called in a thread that reads ahead."""

BackupConversations = Callable[[RecordedItems, ToRows], Iterator[list[ArchivedConversation]]]
"""Yields the verified conversations of a backup in chunks; each call starts at the beginning of the file.

The file is read lazily, in a thread of the store. Raises BackupError if the file is damaged.
"""


@dataclass(frozen=True, slots=True)
class RestoreSource:
    """A backup's conversations that are to be restored."""

    backup: Backup
    columns: UserColumns
    conversations: BackupConversations
    recipes: Callable[[], Sequence[ArchivedRecipe]]
    """Returns the recipes of the file, once its conversations were read.

    Raises BackupDamaged if the file is not the one that was verified.
    """
    is_whole: bool
    """Whether the whole backup is restored, which undoes its delete, finished or not."""


class RecordStore(Protocol):
    """The store of the records of backups."""

    async def database_id(self) -> str:
        """Return the unique id of this database."""
        ...

    async def database_identity(self) -> StorageIdentity:
        """Return the identity of this database; a copy has a different one."""
        ...

    async def is_folder_recorded(self, folder: str, *, is_default: bool, host: str | None) -> bool:
        """Return whether a backup is recorded as made in a folder and, if `host` is given, by that host.

        Records name no folder for backups in the default folder, next to the database.
        """
        ...

    async def backup(self, owner: str, backup_id: str) -> Backup:
        """Return one backup. Raises BackupNotFound."""
        ...

    async def backups(self, owner: str, *, include_removed: bool, before: int | None, limit: int) -> Sequence[Backup]:
        """Return backups older than the key `before`, latest first; with `include_removed`, also removed ones."""
        ...

    async def in_use(self, owner: str) -> Sequence[Backup]:
        """Return the backups that are running, or whose delete is unfinished."""
        ...

    async def unknown_ids(self, backup_ids: Sequence[str]) -> Sequence[str]:
        """Return which of these ids belong to no backup of any owner."""
        ...

    async def digests(self, backup: Backup, *, first: int, limit: int) -> Sequence[tuple[str, bytes, bytes | None]]:
        """Return the id and the digest of each of a backup's conversations, in order, from a position on.

        The third value is the digest of the review and the earlier versions, or None without any.
        """
        ...

    async def count_written(self, backup: Backup) -> int:
        """Return how many conversations of a running backup have been recorded."""
        ...

    async def pin(self, owner: str, backup_id: str, *, pinned: bool) -> Backup:
        """Pin or unpin. Raises BackupNotFound, BackupUnusable (running, failed or expired)."""
        ...

    async def mark_damaged(self, backup: Backup) -> bool:
        """Mark a backup as damaged (verified → damaged); return whether it was verified.

        Idempotent: the first recorded time stays.
        """
        ...

    async def mark_intact(self, backup: Backup) -> Backup:
        """Mark a backup as intact (damaged → verified), unless damage was recorded after this record was read.

        Returns the current record.
        """
        ...

    async def mark_failed(self, backup: Backup, error: str) -> bool:
        """Mark a backup as failed (running → failed); return whether it was running. Idempotent."""
        ...


class CreationStore(Protocol):
    """The store for creating backups."""

    async def check_restorable(self) -> None:
        """Check that conversations could be restored exactly into this library. Raises BackupUnusable."""
        ...

    def snapshot(self, owner: str, selection: Selection | KeySet) -> AbstractAsyncContextManager[Snapshot]:
        """Open one consistent snapshot of the selected conversations, or those with these keys. Blocks no writer."""
        ...

    async def allocate_keys(self, count: int) -> Sequence[int]:
        """Reserve keys for `count` conversations that come from another program."""
        ...

    async def begin(
        self, owner: str, backup_id: str, *, reason: str, folder: str | None, host: str, retention: timedelta
    ) -> Backup:
        """Begin a backup (nothing → running; failed → running if an earlier attempt with the same id failed).

        Raises BackupInUse if another backup has this id.
        """
        ...

    async def add_items(self, backup: Backup, first: int, records: Sequence[Record], versions: Sequence[bytes]) -> None:
        """Record the snapshot's conversations from position `first` on, with the row versions of the records."""
        ...

    async def mark_verified(
        self,
        backup: Backup,
        sealed: SealedFile,
        *,
        deleting: bool,
        expires_at: datetime | None = None,
        pinned: bool = False,
    ) -> Backup:
        """Mark as verified (running → verified); if the backup was made for a delete, that delete begins.

        The backup expires at `expires_at` or, without that, after its `retention`.

        Raises BackupUnusable if another process has considered the writer dead and marked the backup as failed.
        """
        ...


class DeleteStore(Protocol):
    """The store for deleting conversations in bounded steps."""

    async def measure(self, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
        """Measure the selected conversations, with up to `sample` of them as examples."""
        ...

    async def delete_step(
        self, backup: Backup, *, limit: int, is_file_complete: Callable[[], bool]
    ) -> DeleteStepResult:
        """Delete the next conversations of a backup, if unchanged since its snapshot, in one transaction.

        The transaction locks the backup's record. The backup must be verified, its delete unfinished, and
        `is_file_complete` must return True. Raises BackupUnusable.
        """
        ...

    async def delete_outcomes(self, backup: Backup, *, limit: int) -> Sequence[tuple[str, str]]:
        """Return the conversations that the delete kept or did not find, as `(id, "changed" or "gone")`.

        A conversation that a trigger kept counts as changed.
        """
        ...

    async def delete_without_backup(
        self, owner: str, selection: Selection, *, after: int, last: int, limit: int
    ) -> UnbackedDeleteStepResult:
        """Delete the next selected conversations without a backup, in storage order, in one transaction."""
        ...

    async def erase(self) -> bool:
        """Overwrite deleted content in a database file; return whether no deleted content is left."""
        ...

    async def newest_key(self) -> int:
        """Return the key that was assigned last."""
        ...


class RestoreStore(Protocol):
    """The store for restoring conversations."""

    async def plan_restore(self, source: RestoreSource) -> RestorePlan:
        """Return what a restore would do. Raises like `restore`, except that conflicts are part of the plan."""
        ...

    async def keys_to_replace(self, source: RestoreSource) -> KeySet:
        """Return the keys of the conversations that a restore with `replace` would replace. Raises like the plan."""
        ...

    async def restore(
        self,
        source: RestoreSource,
        *,
        on_conflict: RestoreConflictPolicy,
        replaced: Backup | None,
        is_file_complete: Callable[[], bool],
        on_progress: Callable[[int], None],
    ) -> RestoreResult:
        """Restore conversations in one transaction; compare each with the snapshot's digest before the commit.

        Args:
            source: The conversations.
            on_conflict: What to do with conversations that conflict.
            replaced: The verified backup of the conversations to be replaced. They are deleted first, if they are
                unchanged since its snapshot.
            is_file_complete: Must return True at the end: whether the file of `replaced` exists.
            on_progress: Called with the number of restored conversations, from any thread.

        Raises BackupDamaged, ColumnsDiffer, RestoreConflict, RestoreDiffers: nothing is changed.
        """
        ...


class RetentionStore(Protocol):
    """The store for removing expired backups."""

    async def with_files(self, owner: str) -> Sequence[Backup]:
        """Return the backups that may have a file, oldest first."""
        ...

    async def newest(self, owner: str) -> tuple[str, datetime] | None:
        """Return the id and time of the existing backup that was created or verified last."""
        ...

    async def mark_expired(self, backup: Backup, *, early: bool) -> bool:
        """Mark a backup as expired (verified, damaged or failed → expired); return whether it was marked.

        It is not if it is pinned or its delete is unfinished. Without `early`, mark only a backup whose time has come.
        With `early`, also a damaged one with an unfinished delete, which is then abandoned.
        """
        ...

    async def note_expired(self, backup: Backup, seen_at: datetime | None) -> None:
        """Record when a cleanup first found a backup expired, or None if it is not expired. Idempotent."""
        ...

    async def mark_removed(self, backup: Backup) -> None:
        """Record that the file was removed, and delete the backup's items in bounded steps. Idempotent."""
        ...

    async def last_cleanup(self, owner: str) -> datetime | None:
        """Return when `record_cleanup` was last called."""
        ...

    async def record_cleanup(self, owner: str) -> None:
        """Record that a cleanup has ended now."""
        ...


@dataclass(frozen=True, slots=True)
class BackupStores:
    """The stores of one database that backups use."""

    records: RecordStore
    creation: CreationStore
    deletes: DeleteStore
    restores: RestoreStore
    retention: RetentionStore
