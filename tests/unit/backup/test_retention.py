"""Retention: which backups a cleanup keeps, marks or removes, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backstay.backup.backup import Backup, BackupState, DeleteState
from backstay.backup.retention import RetentionAction, decide

_NOW = datetime(2025, 6, 2, tzinfo=UTC)
_DAY = timedelta(days=1)
_BACKUP = Backup(
    key=1,
    id="backup-1-a",
    owner="local",
    state=BackupState.VERIFIED,
    reason="why",
    folder=None,
    host=None,
    conversations=3,
    turns=6,
    content_bytes=1,
    file_bytes=1,
    file_sha256=b"",
    error=None,
    is_pinned=False,
    retention=7 * _DAY,
    expires_at=_NOW - _DAY,
    first_seen_expired_at=None,
    created_at=_NOW - 8 * _DAY,
    verified_at=_NOW - 8 * _DAY,
    damaged_at=None,
    removed_at=None,
    deletion=None,
    deleted=0,
    changed=0,
    gone=0,
)


@pytest.mark.parametrize(
    ("changes", "action", "reason"),
    [
        (
            {},
            RetentionAction.WAIT,
            "it expired at 2025-06-01T00:00:00.000000Z, and will be removed after 2025-06-03T00:00:00",
        ),
        ({"expires_at": _NOW}, RetentionAction.WAIT, "it expired at"),
        ({"first_seen_expired_at": _NOW - _DAY}, RetentionAction.REMOVE, "it expired at 2025-06-01T00:00:00.000000Z"),
        (
            {"first_seen_expired_at": _NOW - _DAY / 2},
            RetentionAction.WAIT,
            "it expired at 2025-06-01T00:00:00.000000Z, and will",
        ),
        (
            {"first_seen_expired_at": _NOW + _DAY},
            RetentionAction.WAIT,
            "it expired at 2025-06-01T00:00:00.000000Z, and will",
        ),
        ({"first_seen_expired_at": _NOW - _DAY, "expires_at": _NOW + _DAY}, RetentionAction.KEEP, "it is kept until"),
        ({"first_seen_expired_at": _NOW - _DAY, "is_pinned": True}, RetentionAction.KEEP, "it is pinned"),
        ({"expires_at": _NOW + _DAY}, RetentionAction.KEEP, "it is kept until 2025-06-03"),
        ({"is_pinned": True}, RetentionAction.KEEP, "it is pinned"),
        ({"deletion": DeleteState.DELETING}, RetentionAction.KEEP, "its delete is unfinished"),
        ({"deletion": DeleteState.DELETED}, RetentionAction.WAIT, "it expired"),
        ({"state": BackupState.FAILED}, RetentionAction.WAIT, "it expired"),
        ({"state": BackupState.EXPIRED}, RetentionAction.FINISH, "its removal was interrupted"),
        ({"state": BackupState.RUNNING, "expires_at": None}, RetentionAction.KEEP, "its writer died"),
        ({"state": BackupState.RUNNING, "id": "busy"}, RetentionAction.KEEP, "it is being written"),
    ],
)
def test_every_backup_gets_an_action_and_a_reason(changes, action, reason):
    """Each backup gets the action and the reason that its state, times, pin and delete require."""
    (decision,) = decide([replace(_BACKUP, **changes)], _NOW, being_written=["busy"])

    assert decision.action is action
    assert decision.reason.startswith(reason)
    assert (decision.first_seen_expired_at is not None) == (action is RetentionAction.WAIT)


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({}, RetentionAction.REMOVE),
        ({"expires_at": _NOW + _DAY}, RetentionAction.KEEP),
        ({"is_pinned": True}, RetentionAction.KEEP),
    ],
)
def test_at_once_removes_only_expired_backups(changes, action):
    """A cleanup with `at_once` removes expired backups immediately, but no others."""
    (decision,) = decide([replace(_BACKUP, **changes)], _NOW, being_written=[], at_once=True)

    assert decision.action is action
