"""Removal of expired backups, never because of a clock that was wrong once."""

from datetime import UTC, datetime, timedelta

import pytest

from backstay import Backstay
from backstay.backup import retention
from backstay.clock import SystemClock
from backstay.errors import ClockBehind
from support.stores.library import ALL, filled

pytestmark = pytest.mark.promise("K5")

_DAY = timedelta(days=1)


class _Clock:
    """A switch that sets the clock of this process ahead of or behind the real one."""

    def __init__(self, monkeypatch):
        self.ahead = timedelta()
        monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + self.ahead)


@pytest.fixture
def clock(monkeypatch):
    return _Clock(monkeypatch)


@pytest.fixture
async def library(tmp_path):
    """Open a library with a backup whose retention is seven days."""
    await filled(tmp_path / "library.db", 3, job=False)
    async with Backstay.open(tmp_path / "library.db") as backstay:
        await backstay.backups.create(ALL)
        yield backstay


async def _standing(library):
    return [str(backup.state) for backup in reversed(await library.backups.list(include_removed=True))]


async def _one_command_with_a_clock_ahead(library, clock):
    """Make a backup, and thus the daily cleanup, while the clock is eight days ahead."""
    clock.ahead = 8 * _DAY
    made = await library.backups.create(ALL)
    clock.ahead = timedelta()
    return made


async def _check_that_a_clock_ahead_removes_nothing(library, clock):
    made = await _one_command_with_a_clock_ahead(library, clock)
    states = await _standing(library)
    assert states == ["verified", "verified"], f"the backups are {states}"
    return made


async def test_one_command_with_a_clock_ahead_removes_nothing(library, clock):
    """A wrong clock only notes backups as expired, and the right clock removes the note."""
    wrong = await _check_that_a_clock_ahead_removes_nothing(library, clock)
    noted = (await library.backups.list())[-1].first_seen_expired_at
    await library.backups.delete(wrong.id)
    await library.backups.cleanup()
    (only_backup,) = await library.backups.list()

    assert await _standing(library) == ["verified", "expired"]
    assert noted is not None
    assert only_backup.first_seen_expired_at is None


async def test_without_the_second_check(library, clock, monkeypatch):
    """Control: if one check is enough, a command with a wrong clock removes every backup."""
    monkeypatch.setattr(retention, "CONFIRMED_AFTER", timedelta())

    with pytest.raises(AssertionError, match=r"^the backups are \['expired', 'verified'\]"):
        await _check_that_a_clock_ahead_removes_nothing(library, clock)


async def test_a_backup_is_removed_when_two_checks_agree(library, clock):
    """A second cleanup removes an expired backup only 24 hours or more after the first."""
    looks = []
    for days in (7, 7.9, 8):
        clock.ahead = days * _DAY
        (decision,) = (await library.backups.cleanup()).decisions
        looks.append(decision.action)

    assert looks == ["wait", "wait", "remove"]
    assert await _standing(library) == ["expired"]


async def test_a_clock_that_was_ahead_does_not_block_cleanups(library, clock):
    """The error names the backup from the future; once that is removed, cleanups work again."""
    clock.ahead = 30 * _DAY
    ahead = await library.backups.create(ALL)
    clock.ahead = 7 * _DAY
    with pytest.raises(ClockBehind, match=f"but {ahead.id} was made at 20"):
        await library.backups.cleanup()
    dry = await library.backups.cleanup(dry_run=True, at_once=True)
    await library.backups.delete(ahead.id)
    await library.backups.create(ALL)  # its daily cleanup is the first check since the clock was ahead
    (first, _) = reversed(await library.backups.list())

    assert [decision.action for decision in dry.decisions] == ["remove", "keep"]
    assert first.first_seen_expired_at == (SystemClock().now()).replace(second=0, microsecond=0)


async def test_a_retention_of_zero_is_not_the_default(library):
    """A backup that is not to be kept, of a delete or not, expires at once."""
    created = await library.backups.create(ALL, retention=timedelta())
    plan = await library.conversations.plan_delete(ALL)
    deletion = await library.conversations.delete(plan, retention=timedelta())
    of_delete = await library.backups.show(deletion.backup_id)

    assert [created.retention, of_delete.retention] == [timedelta(), timedelta()]
    assert created.expires_at == created.verified_at


async def test_newest_backups_are_kept_whatever_their_age(path, clock, monkeypatch):
    """With BACKUP_KEEP_NEWEST, a cleanup keeps the newest that can be restored, and a dry run says why."""
    monkeypatch.setenv("BACKUP_KEEP_NEWEST", "2")
    await filled(path, 3, job=False)
    async with Backstay.open(path) as library:
        for _ in range(3):
            await library.backups.create(ALL)
        lost = await library.backups.create(ALL)
        (await library.backups.path_for(lost)).unlink()
        clock.ahead = 8 * _DAY

        dry = await library.backups.cleanup(dry_run=True, at_once=True)
        await library.backups.cleanup(at_once=True)
        states = await _standing(library)

    assert [decision.action for decision in dry.decisions] == ["remove", "keep", "keep", "remove"]
    assert [decision.reason for decision in dry.decisions[1:3]] == ["it is among the newest 2"] * 2
    assert states == ["expired", "verified", "verified", "expired"]
