"""Retention: which backups a cleanup keeps, marks or removes, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backstay.backup.backup import Backup, BackupState, DeleteState
from backstay.backup.retention import RetentionAction, clock_problem, decide

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


@pytest.mark.parametrize(
    ("seen_at", "recorded"),
    [
        (None, _NOW),
        (_NOW + timedelta(seconds=90), _NOW),
        (_NOW, _NOW),
        (_NOW - timedelta(seconds=90), _NOW - timedelta(seconds=90)),
    ],
)
def test_expiry_is_confirmed_by_the_time_it_was_first_seen(seen_at, recorded):
    """The time of the first cleanup that found a backup expired stays, unless it is later than now."""
    now = _NOW + timedelta(seconds=7)

    (decision,) = decide([replace(_BACKUP, first_seen_expired_at=seen_at)], now, being_written=[])

    assert decision.first_seen_expired_at == recorded


def _decide_beyond_their_time(keep_newest):
    """Decide on backups that have all expired, the oldest first, and return each action with its reason."""
    changes = (
        {},
        {},
        {"is_pinned": True},
        {"created_at": _NOW - 30 * _DAY},  # made after the others, while the clock was behind
        {"state": BackupState.DAMAGED, "damaged_at": _NOW},
        {"state": BackupState.FAILED},
    )
    backups = [replace(_BACKUP, key=key, id=f"backup-{key}", **change) for key, change in enumerate(changes)]
    decisions = decide(backups, _NOW, being_written=[], keep_newest=keep_newest, at_once=True)
    return [(decision.action, decision.reason.partition(" at ")[0]) for decision in decisions]


@pytest.mark.parametrize(
    ("keep_newest", "reasons"),
    [
        (1, ["it expired", "it expired", "it is pinned", "it is the newest"]),
        (2, ["it expired", "it expired", "it is pinned", "it is among the newest 2"]),
        (3, ["it expired", "it is among the newest 3", "it is pinned", "it is among the newest 3"]),
        (9, ["it is among the newest 9", "it is among the newest 9", "it is pinned", "it is among the newest 9"]),
    ],
)
def test_newest_verified_backups_are_kept_whatever_their_age(keep_newest, reasons):
    """The backups made last are kept beyond their time; pinned ones count, damaged and failed ones do not."""
    decisions = _decide_beyond_their_time(keep_newest)

    assert [reason for _, reason in decisions] == [*reasons, "it expired", "it expired"]
    assert all((action is RetentionAction.REMOVE) == (reason == "it expired") for action, reason in decisions)


def test_without_newest_to_keep():
    """Control: if none of the newest is to be kept, each backup beyond its time is removed, unless it is pinned."""
    decisions = _decide_beyond_their_time(0)

    assert [reason for _, reason in decisions] == [*["it expired"] * 2, "it is pinned", *["it expired"] * 3]
    assert [action for action, _ in decisions].count(RetentionAction.REMOVE) == 5


def test_backup_without_a_file_is_none_of_the_newest():
    """A backup whose file cannot be reached does not take the place of one that can be restored."""
    backups = [replace(_BACKUP, key=key, id=f"backup-{key}") for key in (1, 2)]

    decisions = decide(backups, _NOW, being_written=[], keep_newest=1, without_file=["backup-2"], at_once=True)

    assert [decision.action for decision in decisions] == ["keep", "remove"]


def test_newest_backup_is_no_longer_noted_as_expired():
    """A backup that was found expired before it was to be kept loses that note, and an unexpired one is kept too."""
    noted = replace(_BACKUP, key=1, first_seen_expired_at=_NOW - _DAY)
    unexpired = replace(_BACKUP, key=2, expires_at=_NOW + _DAY)

    decisions = decide([noted, unexpired], _NOW, being_written=[], keep_newest=2)

    assert [decision.action for decision in decisions] == ["keep", "keep"]
    assert [decision.reason for decision in decisions] == ["it is among the newest 2"] * 2
    assert [decision.first_seen_expired_at for decision in decisions] == [None, None]


def test_damage_is_part_of_the_reason():
    """The reason of an expired backup names since when it has been damaged."""
    damaged = replace(_BACKUP, state=BackupState.DAMAGED, damaged_at=_NOW - 2 * _DAY)

    (decision,) = decide([damaged], _NOW, being_written=[], at_once=True)

    assert decision.reason == "it expired at 2025-06-01T00:00:00.000000Z, damaged since 2025-05-31T00:00:00.000000Z"


@pytest.mark.parametrize(("age", "is_wrong"), [(_DAY, False), (0 * _DAY, False), (-timedelta(seconds=1), True)])
def test_backup_from_the_future_shows_that_the_clock_is_wrong(age, is_wrong):
    """A clock that shows a time before a backup was made is wrong."""
    assert (clock_problem(_NOW, "backup-1-a", _NOW - age) is not None) == is_wrong
