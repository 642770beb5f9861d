"""The retention policy: which backups a cleanup removes, and why. Pure: it reads no clock, disk or database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

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
    backups: Iterable[Backup], now: datetime, *, being_written: Collection[str], at_once: bool = False
) -> list[RetentionDecision]:
    """Decide what to do with each backup that may have a file.

    Args:
        backups: The backups.
        now: The current time.
        being_written: The ids of the backups whose writer is alive.
        at_once: Whether to remove an expired backup that no earlier cleanup found expired.
    """
    return [
        _decide_one(backup, now, is_being_written=backup.id in being_written, at_once=at_once) for backup in backups
    ]


def _decide_one(backup: Backup, now: datetime, *, is_being_written: bool, at_once: bool) -> RetentionDecision:
    if backup.state is BackupState.EXPIRED:
        return RetentionDecision(backup, RetentionAction.FINISH, "its removal was interrupted")
    if backup.state is BackupState.RUNNING:
        reason = "it is being written" if is_being_written else "its writer died, so it is now failed"
        return RetentionDecision(backup, RetentionAction.KEEP, reason)
    if backup.is_pinned:
        return RetentionDecision(backup, RetentionAction.KEEP, "it is pinned")
    if backup.is_delete_unfinished:
        return RetentionDecision(backup, RetentionAction.KEEP, "its delete is unfinished")
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
