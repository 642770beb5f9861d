"""Errors say what prevents a delete, and why a backup cannot be used."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from backstay.backup.backup import BackupState
from backstay.backup.error_messages import backup_unusable_error, delete_blocked_error
from backstay.library.deletion import Obstacle, ObstacleKind
from backstay.remedy import Remedy

_MOMENT = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rows", "more", "start", "end"),
    [(1, 0, "1 row of notes", "table one"), (2, 0, "2 rows of notes", "table one"), (2, 2, "2 rows", "such keys)")],
)
def test_the_first_obstacle_is_named_and_others_are_counted(rows, more, start, end):
    """The error names the rows of the first obstacle, and counts the others if there are any."""
    obstacles = [Obstacle("notes", f"key {number}", rows, ObstacleKind.UNFIT) for number in range(1 + more)]

    error = delete_blocked_error(obstacles)

    assert error.message.startswith(f"Nothing can be deleted: {start}")
    assert error.message.endswith(end)
    assert len(error.context["obstacles"]) == 1 + more


@pytest.mark.parametrize(
    ("state", "damaged_at", "removed_at", "expected"),
    [
        (BackupState.RUNNING, None, None, "backup-1-a is still being written; wait for it"),
        (BackupState.FAILED, None, None, "backup-1-a failed and holds nothing (why)"),
        (BackupState.DAMAGED, None, None, "backup-1-a is damaged"),
        (BackupState.DAMAGED, _MOMENT, None, "backup-1-a is damaged since 2025-01-01T00:00:00"),
        (BackupState.EXPIRED, None, None, "backup-1-a has expired"),
        (BackupState.EXPIRED, None, _MOMENT, "backup-1-a has been removed"),
    ],
)
def test_a_backup_that_cannot_be_used_says_why(state, damaged_at, removed_at, expected):
    """The error names the state of the backup, and advises to replace the file of a damaged one only."""
    error = backup_unusable_error(
        SimpleNamespace(id="backup-1-a", state=state, error="why", damaged_at=damaged_at, removed_at=removed_at)
    )

    assert error.message.startswith(expected)
    assert error.message.endswith(expected) or damaged_at is not None
    assert (error.remedy is Remedy.REPLACE_BACKUP_FILE) is (state is BackupState.DAMAGED)
