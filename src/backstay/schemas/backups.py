"""Backups, restores and cleanups."""

from collections.abc import Callable, Sequence
from typing import Self

from pydantic import AliasPath, Field

from backstay.backup.backup import Backup, BackupProgress
from backstay.backup.cleanup import CleanupResult
from backstay.backup.restore_plan import RestorePlan, RestoreResult
from backstay.schemas.base import ApiObject, Moment, next_cursor


class BackupDeleteOut(ApiObject):
    """The delete that a backup was made for."""

    state: str = Field(validation_alias="deletion")
    deleted: int
    changed: int
    gone: int


class BackupFolderOut(ApiObject):
    """The directory to which new backups are written."""

    folder: str


class BackupOut(ApiObject):
    """A backup. `expiresAt` is null while the backup is being written, or while its delete is unfinished.

    `damagedAt` is when it was found damaged; null if it is not damaged. `fileMissing` is whether its file is not where
    it was written, whatever its state; on another machine it is false.
    """

    backup_id: str
    file_path: str
    state: str
    reason: str
    conversation_count: int
    turn_count: int
    content_bytes: int
    file_bytes: int
    pinned: bool
    error: str | None
    created_at: Moment
    verified_at: Moment | None
    damaged_at: Moment | None
    expires_at: Moment | None
    file_missing: bool
    deletion: BackupDeleteOut | None

    @classmethod
    def from_backup(cls, backup: Backup) -> Self:
        return cls(
            backup_id=backup.id,
            file_path=f"/backups/{backup.id}.json",
            state=str(backup.state),
            reason=backup.reason,
            conversation_count=backup.conversations,
            turn_count=backup.turns,
            content_bytes=backup.content_bytes,
            file_bytes=backup.file_bytes,
            pinned=backup.is_pinned,
            error=backup.error,
            created_at=backup.created_at,
            verified_at=backup.verified_at,
            damaged_at=backup.damaged_at,
            expires_at=backup.expires_at,
            file_missing=backup.is_file_missing,
            deletion=BackupDeleteOut.model_validate(backup) if backup.deletion is not None else None,
        )


class BackupsOut(ApiObject):
    """A page of backups. `nextCursor` is the cursor of the next older page; null if this page is not full."""

    backups: list[BackupOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, backups: Sequence[Backup], *, limit: int, cursor: Callable[[int], int] = int) -> Self:
        page = [BackupOut.from_backup(backup) for backup in backups]
        return cls(backups=page, next_cursor=next_cursor([backup.key for backup in backups], limit, cursor))


class BackupProgressOut(ApiObject):
    """The progress of a backup: the conversations written so far, and the progress of its delete, if it has one.

    `phase`, `total` and `contentBytes` are known to the server that makes the backup; null at any other server.
    """

    backup_id: str
    state: str
    phase: str | None
    total: int | None
    content_bytes: int | None
    conversations: int
    deleted: int
    changed: int
    gone: int

    @classmethod
    def from_backup(cls, backup: Backup, written: int, latest: BackupProgress | None = None) -> Self:
        return cls(
            backup_id=backup.id,
            state=str(backup.state),
            phase=str(latest.phase) if latest is not None else None,
            total=latest.total if latest is not None else None,
            content_bytes=latest.content_bytes if latest is not None else None,
            conversations=written,
            deleted=backup.deleted,
            changed=backup.changed,
            gone=backup.gone,
        )


class DeleteProgressOut(ApiObject):
    """The progress of a delete in its current phase: `writing` its backup, `verifying` it, or `deleting`."""

    backup_id: str
    phase: str
    conversations: int
    total: int
    content_bytes: int

    @classmethod
    def from_progress(cls, progress: BackupProgress) -> Self:
        return cls.model_validate(progress)


class DownloadOut(ApiObject):
    backup_id: str
    path: str
    bytes: int


class ConflictOut(ApiObject):
    id: str
    kind: str
    other_id: str | None


class RestorePlanOut(ApiObject):
    """The plan of a restore. `listedConflicts` are the first thousand; `conflictCount` counts all."""

    backup_id: str
    new: int
    identical: int
    unlinked: int
    conflict_count: int = Field(validation_alias="conflicts")
    listed_conflicts: list[ConflictOut]

    @classmethod
    def from_plan(cls, plan: RestorePlan) -> Self:
        return cls.model_validate(plan)


class RestoreResultOut(ApiObject):
    backup_id: str
    restored: int
    identical: int
    skipped: int
    replaced: int
    relinked: int
    unlinked: int
    replaced_backup_id: str | None
    related: int
    related_not_restored: int

    @classmethod
    def from_result(cls, result: RestoreResult) -> Self:
        return cls.model_validate(result)


class DecisionOut(ApiObject):
    backup_id: str = Field(validation_alias=AliasPath("backup", "id"))
    action: str
    reason: str


class CleanupResultOut(ApiObject):
    """The result of a cleanup; for a dry run, what a cleanup would have done."""

    dry_run: bool = Field(validation_alias="is_dry_run")
    backups: list[DecisionOut] = Field(validation_alias="decisions")
    orphans: list[str]
    orphans_removed: bool

    @classmethod
    def from_result(cls, result: CleanupResult) -> Self:
        return cls.model_validate(result)
