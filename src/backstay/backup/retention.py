"""Which backups may go, and why. Pure: it looks at no clock, no disk and no database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backstay.backup.backup import Backup, BackupState
from backstay.clock import to_text


class Action(StrEnum):
    KEEP = "keep"
    REMOVE = "remove"
    FINISH = "finish"
    """Its removal was begun."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one backup."""

    backup: Backup
    action: Action
    reason: str


def decide(backups: Iterable[Backup], now: datetime, *, being_written: Collection[str]) -> list[Decision]:
    """Decide about every backup that may have a file.

    Args:
        backups: Their records.
        now: The present.
        being_written: Ids of those whose writer is alive.
    """
    return [Decision(backup, *_fate(backup, now, backup.id in being_written)) for backup in backups]


def _fate(backup: Backup, now: datetime, is_being_written: bool) -> tuple[Action, str]:
    if backup.state is BackupState.EXPIRED:
        return Action.FINISH, "its removal was cut off"
    if backup.state is BackupState.RUNNING:
        return Action.KEEP, "it is being written" if is_being_written else "its writer died; it counts as failed now"
    if backup.is_pinned:
        return Action.KEEP, "it is pinned"
    if backup.is_delete_unfinished:
        return Action.KEEP, "its delete is unfinished"
    if backup.expires_at is None or backup.expires_at > now:
        until = to_text(backup.expires_at) if backup.expires_at is not None else "it is said when"
        return Action.KEEP, f"it is kept until {until}"
    damaged = f", damaged since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
    return Action.REMOVE, f"it expired at {to_text(backup.expires_at)}{damaged}"
