"""The retention policy: which backups a cleanup removes, and why. Pure: it reads no clock, disk or database."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nlargest

from backstay.backup.backup import Backup, BackupState
from backstay.clock import to_text

CONFIRMED_AFTER = timedelta(hours=24)
"""Minimum time between the cleanup that first finds a backup expired, to the minute, and the one that removes it."""


class RetentionAction(StrEnum):
    KEEP = "keep"
    WAIT = "wait"
    """It has expired, but is only removed if a later cleanup finds it expired too, because the clock may be wrong."""
    REMOVE = "remove"
    FINISH = "finish"
    """An earlier removal was interrupted and is finished."""


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """The action of a cleanup on one backup, and the reason."""

    backup: Backup
    action: RetentionAction
    reason: str
    first_seen_expired_at: datetime | None = None
    """When it was first found expired, to be recorded if the action is `WAIT`."""


def clock_problem(now: datetime, backup_id: str, made_at: datetime) -> str | None:
    """Return how the clock contradicts a backup's time, if that is later than now; else None."""
    if made_at <= now:
        return None
    return f"the clock shows {to_text(now)}, but {backup_id} was made at {to_text(made_at)}"


def decide(
    backups: Collection[Backup],
    now: datetime,
    *,
    being_written: Collection[str],
    keep_newest: int = 0,
    without_file: Collection[str] = (),
    at_once: bool = False,
) -> list[RetentionDecision]:
    """Decide what to do with each backup of an owner that may have a file.

    Args:
        backups: The backups, all of one owner.
        now: The current time.
        being_written: The ids of the backups whose writer is alive.
        keep_newest: How many of the newest verified backups to keep whatever their age; pinned ones count.
        without_file: The ids of backups whose files cannot be reached, which do not count among the newest.
        at_once: Whether to remove an expired backup that no earlier cleanup found expired.
    """
    newest = _newest_reasons((backup for backup in backups if backup.id not in without_file), keep_newest)
    return [
        _decide_one(
            backup,
            now,
            is_being_written=backup.id in being_written,
            newest_reason=newest.get(backup.key),
            at_once=at_once,
        )
        for backup in backups
    ]


def _newest_reasons(backups: Iterable[Backup], number: int) -> Mapping[int, str]:
    """Return the keys of the newest verified backups, each with the reason to keep it."""
    # By key, which grows with each backup: a time may come from a wrong clock.
    keys = nlargest(number, (backup.key for backup in backups if backup.state is BackupState.VERIFIED))
    return dict.fromkeys(keys, "it is the newest" if number == 1 else f"it is among the newest {number}")


def _decide_one(
    backup: Backup, now: datetime, *, is_being_written: bool, newest_reason: str | None, at_once: bool
) -> RetentionDecision:
    if backup.state is BackupState.EXPIRED:
        return RetentionDecision(backup, RetentionAction.FINISH, "its removal was interrupted")
    if backup.state is BackupState.RUNNING:
        reason = "it is being written" if is_being_written else "its writer died, so it is now failed"
        return RetentionDecision(backup, RetentionAction.KEEP, reason)
    if backup.is_pinned:
        return RetentionDecision(backup, RetentionAction.KEEP, "it is pinned")
    if backup.is_delete_unfinished:
        return RetentionDecision(backup, RetentionAction.KEEP, "its delete is unfinished")
    if newest_reason is not None:
        return RetentionDecision(backup, RetentionAction.KEEP, newest_reason)
    if backup.expires_at is None:
        return RetentionDecision(backup, RetentionAction.KEEP, "it has no expiry time")
    if backup.expires_at > now:
        return RetentionDecision(backup, RetentionAction.KEEP, f"it is kept until {to_text(backup.expires_at)}")
    damaged = f", damaged since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
    expired = f"it expired at {to_text(backup.expires_at)}{damaged}"
    seen_at = backup.first_seen_expired_at
    if seen_at is None or seen_at > now:  # a time in the future was recorded while the clock was wrong
        seen_at = now.replace(second=0, microsecond=0)  # so that the same minute of the next day is 24 hours later
    if at_once or now - seen_at >= CONFIRMED_AFTER:
        return RetentionDecision(backup, RetentionAction.REMOVE, expired)
    reason = f"{expired}, and will be removed after {to_text(seen_at + CONFIRMED_AFTER)}"
    return RetentionDecision(backup, RetentionAction.WAIT, reason, seen_at)
