"""Backups, restores and cleanups."""

from collections.abc import Callable, Sequence
from typing import Self

from backstay.backup.backup import Backup, BackupProgress
from backstay.backup.cleanup import CleanupResult
from backstay.backup.restore_plan import RestorePlan, RestoreResult
from backstay.schemas.base import ApiObject, Moment


class BackupDeleteOut(ApiObject):
    """The delete that a backup was made for."""

    state: str
    deleted: int
    changed: int
    gone: int


class BackupFolderOut(ApiObject):
    """The folder where new backups go."""

    folder: str


class BackupOut(ApiObject):
    """A backup. `expiresAt` is null while it is written, or while its delete is unfinished.

    `damagedAt` is when it was found damaged; null if it is not damaged.
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
    deletion: BackupDeleteOut | None

    @classmethod
    def from_backup(cls, backup: Backup) -> Self:
        deletion = None
        if backup.deletion is not None:
            deletion = BackupDeleteOut(
                state=str(backup.deletion), deleted=backup.deleted, changed=backup.changed, gone=backup.gone
            )
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
            deletion=deletion,
        )


class BackupsOut(ApiObject):
    """A page of backups; `next_cursor` asks for those before it, and is null when this one is not full."""

    backups: list[BackupOut]
    next_cursor: int | None

    @classmethod
    def from_page(cls, backups: Sequence[Backup], *, limit: int, cursor: Callable[[int], int] = int) -> Self:
        full = bool(backups) and len(backups) >= limit
        shown = [BackupOut.from_backup(backup) for backup in backups]
        return cls(backups=shown, next_cursor=cursor(backups[-1].key) if full else None)


class BackupProgressOut(ApiObject):
    """How far a backup has come: conversations written of it, and what its delete has done, where it is for one.

    `phase`, `total` and `contentBytes` are told by the server that makes the backup, and null when another does.
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
    """How far a delete has come in its phase: `writing` its backup, `verifying` it, `deleting`."""

    backup_id: str
    phase: str
    conversations: int
    total: int
    content_bytes: int

    @classmethod
    def from_progress(cls, progress: BackupProgress) -> Self:
        return cls(
            backup_id=progress.backup_id,
            phase=str(progress.phase),
            conversations=progress.conversations,
            total=progress.total,
            content_bytes=progress.content_bytes,
        )


class DownloadOut(ApiObject):
    backup_id: str
    path: str
    bytes: int


class ConflictOut(ApiObject):
    id: str
    kind: str
    other_id: str | None


class RestorePlanOut(ApiObject):
    """What a restore would do. `conflicts` lists the first thousand; `conflictCount` says how many there are."""

    backup_id: str
    new: int
    identical: int
    unlinked: int
    conflict_count: int
    conflicts: list[ConflictOut]

    @classmethod
    def from_plan(cls, plan: RestorePlan) -> Self:
        clashes = [ConflictOut(id=clash.id, kind=str(clash.kind), other_id=clash.other_id) for clash in plan.clashes]
        return cls(
            backup_id=plan.backup_id,
            new=plan.new,
            identical=plan.identical,
            unlinked=plan.unlinked,
            conflict_count=plan.conflicts,
            conflicts=clashes,
        )


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
    related_left: int

    @classmethod
    def from_result(cls, done: RestoreResult) -> Self:
        return cls(
            backup_id=done.backup_id,
            restored=done.restored,
            identical=done.identical,
            skipped=done.skipped,
            replaced=done.replaced,
            relinked=done.relinked,
            unlinked=done.unlinked,
            replaced_backup_id=done.replaced_backup_id,
            related=done.related,
            related_left=done.left,
        )


class DecisionOut(ApiObject):
    backup_id: str
    action: str
    reason: str


class CleanupResultOut(ApiObject):
    """What a cleanup did or, as a dry run, would do."""

    dry_run: bool
    backups: list[DecisionOut]
    orphans: list[str]
    orphans_removed: bool

    @classmethod
    def from_result(cls, done: CleanupResult) -> Self:
        decisions = [
            DecisionOut(backup_id=decision.backup.id, action=str(decision.action), reason=decision.reason)
            for decision in done.decisions
        ]
        return cls(
            dry_run=done.is_dry_run,
            backups=decisions,
            orphans=list(done.orphans),
            orphans_removed=done.orphans_removed,
        )
