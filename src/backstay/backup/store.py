"""What backups ask of a database. Every method takes an owner, or a backup that has one, and sees that owner's only."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from backstay.backup.backup import Backup, BackupItem, SealedFile
from backstay.backup.location import FileLocation
from backstay.backup.restore_plan import OnConflict, RestorePlan, RestoreResult
from backstay.library.deletion import DeleteSample, FiringTrigger, Obstacle, RelatedRowCount
from backstay.library.record import Document, Record
from backstay.library.selection import Selection


class Snapshot(Protocol):
    """Conversations of one moment, whatever is written meanwhile."""

    @property
    def database(self) -> str:
        """The kind of database."""
        ...

    @property
    def columns(self) -> "UserColumns":
        """By table, the columns that Backstay does not know."""
        ...

    def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        """Yield the selected conversations in the order of storing, many at a time; once."""
        ...


@dataclass(frozen=True, slots=True)
class SelectionMeasure:
    """What a selection holds just now."""

    conversations: int
    turns: int
    estimated_bytes: int
    """About what their lines in a backup take, without rows of other tables and columns that Backstay does not know."""
    digest: str
    sample: Sequence[DeleteSample]
    related: Sequence[RelatedRowCount] = ()
    triggers: Sequence[FiringTrigger] = ()
    obstacles: Sequence[Obstacle] = ()


@dataclass(frozen=True, slots=True)
class DeleteStepResult:
    """What a bounded part of a delete did."""

    backup: Backup
    is_last: bool
    network_seconds: float
    """What of its time was spent between here and the database, where others wait for nothing that can be shortened."""


@dataclass(frozen=True, slots=True)
class UnbackedDeleteStepResult:
    """What a bounded part of a delete without a backup did."""

    deleted: int
    kept_by_trigger: int
    """By a trigger."""
    reached_key: int | None
    """The last place in the order of storing that it came to; None at the end."""
    network_seconds: float


UserColumns = Mapping[str, Mapping[str, str]]
"""By table, the columns that Backstay does not know, with their types."""

BackupEntry = tuple[int, Document, bytes, bytes]
"""A conversation of a backup: its position in the file, what it is, its line, and the SHA-256 of that."""

BackupEntries = Callable[[], Iterator[Iterable[BackupEntry]]]
"""Opens a backup's conversations, many at a time; each call begins anew.

They are read as they are asked for, in a thread of the store's. Raises BackupError where the file is not what it was.
"""


class BackupStore(Protocol):
    """Records of backups, and what has to happen in one transaction with them."""

    async def database_id(self) -> str:
        """Return what names this database among others."""
        ...

    async def location(self) -> FileLocation:
        """Return the location of this database; a copy has another one."""
        ...

    async def is_folder_recorded(self, folder: str, *, is_default: bool, host: str | None) -> bool:
        """Return whether a record says that its backup was made in a folder, by a host where one is given.

        Records of the default folder, next to the database, do not name it.
        """
        ...

    def snapshot(self, owner: str, selection: Selection) -> AbstractAsyncContextManager[Snapshot]:
        """Open one consistent snapshot. Others go on writing."""
        ...

    async def check_restorable(self) -> None:
        """Refuse a library into which conversations could not be put back as they were. Raises BackupUnusable."""
        ...

    async def measure(self, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
        """Count what is selected."""
        ...

    # -- records

    async def begin(
        self, owner: str, backup_id: str, *, reason: str, folder: str | None, host: str, keep: timedelta
    ) -> Backup:
        """nothing → running, or failed → running where an earlier attempt under the same id has failed.

        Raises BackupInUse: there is another of this id.
        """
        ...

    async def add_items(self, backup: Backup, first: int, records: Sequence[Record], versions: Sequence[bytes]) -> None:
        """Note what the snapshot held, from position `first` on; `versions` are those of the records."""
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
        """running → verified, with its delete begun when it was made for one.

        It expires at the time that is given, else when it was to be kept for so long.

        Raises BackupUnusable: it is not running any more, because somebody took its writer for dead.
        """
        ...

    async def allocate_keys(self, count: int) -> Sequence[int]:
        """Return places in the order of storing for so many conversations that are not of this library."""
        ...

    async def mark_damaged(self, backup: Backup) -> bool:
        """verified → damaged; return whether it was verified. Idempotent: a recorded time stays."""
        ...

    async def mark_intact(self, backup: Backup) -> Backup:
        """damaged → verified, unless it was recorded as damaged after the given record was read.

        A later read may have found the file damaged meanwhile. Returns the current record.
        """
        ...

    async def mark_failed(self, backup: Backup, error: str) -> bool:
        """running → failed, if it is running; whether it was. Twice is safe."""
        ...

    async def backup(self, owner: str, backup_id: str) -> Backup:
        """Return one backup. Raises BackupNotFound."""
        ...

    async def backups(self, owner: str, *, every: bool, before: int | None, limit: int) -> Sequence[Backup]:
        """Return backups, the latest first, from before the given key on; with `every` removed ones too."""
        ...

    async def in_use(self, owner: str) -> Sequence[Backup]:
        """Return those that are running, or whose delete is unfinished."""
        ...

    async def with_files(self, owner: str) -> Sequence[Backup]:
        """Return those that may have a file, the oldest first."""
        ...

    async def newest(self, owner: str) -> tuple[str, datetime] | None:
        """Return the id and time of the existing backup that was made or verified last."""
        ...

    async def items(self, backup: Backup, *, first: int, limit: int) -> Sequence[BackupItem]:
        """Return what the snapshot held, in order, from a position on."""
        ...

    async def digests(self, backup: Backup, *, first: int, limit: int) -> Sequence[tuple[str, bytes]]:
        """Return the ids and the digests of the same."""
        ...

    async def count_written(self, backup: Backup) -> int:
        """Return how many conversations have been noted of a backup that is being written."""
        ...

    async def unknown_ids(self, backup_ids: Sequence[str]) -> Sequence[str]:
        """Return which of these names belong to no backup, whoever's."""
        ...

    # -- retention

    async def pin(self, owner: str, backup_id: str, *, pinned: bool) -> Backup:
        """Pin or unpin. Raises BackupNotFound, BackupUnusable (running, failed or expired)."""
        ...

    async def mark_expired(self, backup: Backup, *, early: bool) -> bool:
        """verified, damaged or failed → expired, unless it is pinned or its delete is unfinished; whether it did.

        Only when it has expired, unless `early`; then also a damaged one, whose delete is abandoned with it.
        """
        ...

    async def note_expired(self, backup: Backup, seen_at: datetime | None) -> None:
        """Note when a cleanup first found that it has expired; None: that it has not. Idempotent."""
        ...

    async def mark_removed(self, backup: Backup) -> None:
        """Note that the file is gone, and drop the items in bounded steps. Twice is safe."""
        ...

    async def last_cleanup(self, owner: str) -> datetime | None:
        """Return when `note_cleanup` was last called."""
        ...

    async def record_cleanup(self, owner: str) -> None: ...

    # -- delete

    async def delete_step(self, backup: Backup, *, limit: int, file_exists: Callable[[], bool]) -> DeleteStepResult:
        """Delete the next conversations of a backup in one transaction: those that are as the snapshot found them.

        The transaction holds the backup's record: it must be verified and its delete unfinished, and `is_there` must
        say that its file is. Raises BackupUnusable.
        """
        ...

    async def delete_outcomes(self, backup: Backup, *, limit: int) -> Sequence[tuple[str, str]]:
        """Return conversations that the delete kept or found gone, as `(id, "changed" or "gone")`.

        One that a trigger kept counts as changed: what the snapshot found is not what may be deleted.
        """
        ...

    async def delete_without_backup(
        self, owner: str, selection: Selection, *, after: int, last: int, limit: int
    ) -> UnbackedDeleteStepResult:
        """Delete selected conversations without any backup, in one transaction, in the order of storing."""
        ...

    async def erase(self) -> bool:
        """Overwrite what was deleted without a backup, in a database file; return whether nothing is left."""
        ...

    async def last_key(self) -> int:
        """Return the last place given in the order of storing."""
        ...

    # -- restore

    async def plan_restore(self, backup: Backup, entries: BackupEntries, columns: UserColumns) -> RestorePlan:
        """Say what a restore would do. Raises as `restore`, but for conflicts, which are in the plan."""
        ...

    async def restore(
        self,
        backup: Backup,
        entries: BackupEntries,
        columns: UserColumns,
        *,
        undoes: bool,
        on_conflict: OnConflict,
        replaced: Backup | None,
        file_exists: Callable[[], bool],
        on_progress: Callable[[int], None],
    ) -> RestoreResult:
        """Bring conversations back in one transaction, each compared with the snapshot's digest before the commit.

        A restore of all of it `undoes` the delete that the backup was made for: one that is unfinished ends so.
        `replaced` is the verified backup of those that are replaced: they go first, where they are as its snapshot
        found them, and `is_there` must say at the end that the file of that backup is. `on_progress` is called with the
        number of conversations done, from any thread.

        Raises:
            BackupDamaged: a conversation is not what the snapshot found.
            ColumnsDiffer: the backup has columns that the database lacks.
            RestoreConflict: something is in the way, and `on_conflict` does not allow for it.
            RestoreDiffers: a conversation did not read back as it was written.
            Nothing is changed in any of these cases.
        """
        ...
