"""What a backup is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class BackupState(StrEnum):
    RUNNING = "running"
    VERIFIED = "verified"
    DAMAGED = "damaged"
    """It was verified, and its file was found to be something else since."""
    FAILED = "failed"
    EXPIRED = "expired"


class DeleteState(StrEnum):
    """Where the delete stands that a backup was made for."""

    DELETING = "deleting"
    DELETED = "deleted"
    UNDONE = "undone"
    """It was cut off, and all of the backup was restored."""
    ABANDONED = "abandoned"
    """It was cut off, its backup was found damaged, and the backup was removed."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The record of a backup."""

    key: int
    """Its number in this database; the file and whoever uses it go by `id`."""
    id: str
    owner: str
    state: BackupState
    reason: str
    folder: str | None
    """Where its file is; None is the folder beside the database, wherever that was moved to."""
    host: str | None
    """The machine that the folder is on; None where it was made before this was noted."""
    conversations: int
    turns: int
    content_bytes: int
    file_bytes: int
    file_sha256: bytes | None
    error: str | None
    is_pinned: bool
    keep: timedelta
    """How long it is kept once it is verified, or once its delete has come to its end."""
    expires_at: datetime | None
    """None while it is being written or its delete is unfinished."""
    first_seen_expired_at: datetime | None
    """When a cleanup first found that it has expired."""
    created_at: datetime
    verified_at: datetime | None
    damaged_at: datetime | None
    """Since when it is known to be damaged; None once it is sound again."""
    removed_at: datetime | None
    deletion: DeleteState | None
    """None when it was made for no delete."""
    deleted: int
    changed: int
    gone: int

    @property
    def is_delete_unfinished(self) -> bool:
        return self.deletion is DeleteState.DELETING


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What is known of a file once it is written whole and verified."""

    conversations: int
    turns: int
    content_bytes: int
    file_bytes: int
    file_sha256: bytes


@dataclass(frozen=True, slots=True)
class BackupImportRequest:
    """What is known of a backup that another program has made, and that becomes one of ours."""

    backup_id: str
    reason: str
    created_at: datetime
    expires_at: datetime | None
    """None where it is not to expire by itself: then it is pinned."""
    keep: timedelta
    """How long it is kept once it is unpinned."""
    conversations: int


class BackupItem(NamedTuple):
    """One conversation of a backup, as the snapshot found it. A tuple, because there are so many."""

    position: int
    id: str
    conversation_key: int
    digest: bytes
    row_version: bytes


class BackupPhase(StrEnum):
    WRITING = "writing"
    VERIFYING = "verifying"
    DELETING = "deleting"
    RESTORING = "restoring"


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """How far something has come with a backup."""

    backup_id: str
    phase: BackupPhase
    conversations: int
    total: int
    content_bytes: int


Listener = Callable[[BackupProgress], Awaitable[None] | None]
