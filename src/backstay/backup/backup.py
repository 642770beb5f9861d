"""The record of a backup, and what is known of one that is being written or imported."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class BackupState(StrEnum):
    RUNNING = "running"
    VERIFIED = "verified"
    DAMAGED = "damaged"
    """It was verified, but its file was later found to be changed."""
    FAILED = "failed"
    EXPIRED = "expired"


class DeleteState(StrEnum):
    """The state of the delete that a backup was made for."""

    DELETING = "deleting"
    DELETED = "deleted"
    UNDONE = "undone"
    """It was interrupted, and all of the backup was restored."""
    ABANDONED = "abandoned"
    """It was interrupted, its backup was found damaged, and the backup was removed."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The record of a backup."""

    key: int
    """Its number in this database; the file name and callers use `id`."""
    id: str
    owner: str
    state: BackupState
    reason: str
    folder: str | None
    """The folder of its file; None for the default folder, which is next to the database and moves with it."""
    host: str | None
    """The machine that the folder is on; None for backups made before hosts were recorded."""
    conversations: int
    turns: int
    content_bytes: int
    file_bytes: int
    file_sha256: bytes | None
    error: str | None
    is_pinned: bool
    retention: timedelta
    """How long it is kept after it was verified or, if it was made for a delete, after that delete ended."""
    expires_at: datetime | None
    """None while it is being written or its delete is unfinished."""
    first_seen_expired_at: datetime | None
    """When a cleanup first found it expired."""
    created_at: datetime
    verified_at: datetime | None
    damaged_at: datetime | None
    """When it was found damaged; None when it is intact again."""
    removed_at: datetime | None
    deletion: DeleteState | None
    """None when it was not made for a delete."""
    deleted: int
    changed: int
    gone: int
    is_file_missing: bool = False
    """Whether its file is not where it was written. `list` and `show` look for it, on the machine that wrote it."""

    @property
    def is_delete_unfinished(self) -> bool:
        return self.deletion is DeleteState.DELETING


@dataclass(frozen=True, slots=True)
class SealedFile:
    """The sizes, counts and checksum of a completely written file."""

    conversations: int
    turns: int
    content_bytes: int
    file_bytes: int
    file_sha256: bytes


@dataclass(frozen=True, slots=True)
class BackupImportRequest:
    """A backup of another program that is to be imported."""

    backup_id: str
    reason: str
    created_at: datetime
    expires_at: datetime | None
    """None if it does not expire by itself: it is then pinned."""
    retention: timedelta
    """How long it is kept once it is unpinned."""
    conversations: int


class BackupItem(NamedTuple):
    """The record of one conversation in a backup, from its snapshot. A tuple, because there are so many."""

    position: int
    id: str
    conversation_key: int
    digest: bytes
    row_version: bytes
    curation_digest: bytes | None = None
    """The digest of its review and earlier versions; None without any."""
    late_curation: str | None = None
    """Its review and versions when it was deleted, if they had changed since the snapshot."""


class BackupPhase(StrEnum):
    WRITING = "writing"
    VERIFYING = "verifying"
    DELETING = "deleting"
    RESTORING = "restoring"


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """The progress of a phase of a backup, a delete or a restore."""

    backup_id: str
    phase: BackupPhase
    conversations: int
    total: int
    content_bytes: int


Listener = Callable[[BackupProgress], Awaitable[None] | None]
