"""Errors about conversations that cannot be deleted, and backups that cannot be used."""

from collections.abc import Sequence

from backstay.backup.backup import Backup, BackupState
from backstay.clock import to_text
from backstay.errors import BackupUnusable, DeleteBlocked
from backstay.library.deletion import Obstacle, ObstacleKind
from backstay.remedy import Remedy

_REASONS = {
    ObstacleKind.FORBIDS: (
        "{rows} of {table} refer to these conversations, and {key} does not allow deleting what is referred to; delete "
        "those rows first, or give that key ON DELETE CASCADE or SET NULL"
    ),
    ObstacleKind.CARRIES: (
        "{rows} of {table} would be deleted with them by {key}, but belong to other conversations; delete those first, "
        "or give that key ON DELETE SET NULL"
    ),
    ObstacleKind.UNFIT: (
        "{rows} of {table} would be changed by {key}, and could not be restored, because the table has no primary key "
        "outside {key}; give the table one"
    ),
    ObstacleKind.DENIED: (
        "{rows} of {table} would be deleted or changed with these conversations, and this role may not restore them; "
        "have another role grant it: `{remedy}`"
    ),
    ObstacleKind.GENERATED: (
        "rows of {table} could not be restored, because {key} uses the generated column {column}; let that key use "
        "columns that are not generated"
    ),
}


def delete_blocked_error(obstacles: Sequence[Obstacle]) -> DeleteBlocked:
    """Return the error that names the first obstacle and counts the others."""
    first = obstacles[0]
    rows = f"{first.rows:,} row{'s' if first.rows != 1 else ''}"
    reason = _REASONS[first.kind].format(
        rows=rows, table=first.table, key=first.key, remedy=first.remedy, column=first.column
    )
    more = f" ({len(obstacles) - 1} more such keys)" if len(obstacles) > 1 else ""
    return DeleteBlocked(
        f"Nothing can be deleted: {reason}{more}",
        obstacles=[
            {"table": obstacle.table, "key": obstacle.key, "rows": obstacle.rows, "kind": str(obstacle.kind)}
            for obstacle in obstacles
        ],
    )


def backup_unusable_error(backup: Backup) -> BackupUnusable:
    """Return the error that says why a backup that is not verified cannot be used."""
    match backup.state:
        case BackupState.RUNNING:
            state_text = "is still being written; wait for it"
        case BackupState.FAILED:
            state_text = f"failed and holds nothing ({backup.error})"
        case BackupState.DAMAGED:
            since = f" since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
            state_text = f"is damaged{since}"
        case _:
            state_text = "has been removed" if backup.removed_at is not None else "has expired"
    remedy = Remedy.REPLACE_BACKUP_FILE if backup.state is BackupState.DAMAGED else None
    return BackupUnusable(f"{backup.id} {state_text}", remedy=remedy, backup_id=backup.id, state=str(backup.state))


def replaced_lost_error(backup_id: str) -> BackupUnusable:
    """Return the error for a restore that would replace conversations whose own backup has lost its file."""
    return BackupUnusable(
        f"The file of {backup_id}, which holds what would be replaced, no longer exists; nothing was restored. "
        "Try again",
        backup_id=backup_id,
    )
