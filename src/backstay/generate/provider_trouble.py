"""A refusal that will pass, and how long an account has waited for a good answer. Pure: it is given the time."""

import math
from dataclasses import dataclass
from enum import StrEnum

PATIENCE_SECONDS = 600.0
"""How long an account waits without one good answer."""

_LONGEST_RETRY_AFTER_SECONDS = 3600.0  # what a provider may ask for while nothing passes
_LATER_SECONDS = 60.0  # more than so much is a later time, for which patience is longer
_UNPROVEN_SECONDS = 15.0  # until an address at which nothing has ever answered is given up
_SLACK_SECONDS = 30.0  # beyond the time that was named, for the probe that follows it


class TroubleKind(StrEnum):
    """What kind of trouble a provider has."""

    LIMIT = "limit"
    """Too many requests or tokens."""
    OVERLOAD = "overload"
    """The provider, or a gateway before it, has too much to do or is down."""
    UNREACHED = "unreached"
    """No connection came about."""
    INTERRUPTED = "interrupted"
    """The connection ended after the request was sent."""
    SILENT = "silent"
    """No answer came in time. The model is likely to have been at work on it: each such call may have to be paid."""


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """One refusal that says nothing about the item."""

    cause: TroubleKind
    reason: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AccountWait:
    """An account that waits as a whole."""

    cause: TroubleKind
    reason: str
    seconds: float


class OutageTimer:
    """The time since the last good answer, and what the provider asked for meanwhile."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._began_at: float | None = None
        self._retry_at_latest = -math.inf
        self._has_answered = False

    def record_trouble(self, now: float, trouble: ProviderTrouble) -> None:
        """Note a refusal."""
        if self._began_at is None:
            self._began_at = now
        self._has_answered |= trouble.cause is not TroubleKind.UNREACHED
        if trouble.retry_after_seconds is not None and trouble.retry_after_seconds > _LATER_SECONDS:
            self._retry_at_latest = max(self._retry_at_latest, now + trouble.retry_after_seconds)

    def restart(self, *, is_good: bool = False) -> None:
        """Begin anew: after a good answer, or after a time in which nothing was asked."""
        self._began_at = None
        self._retry_at_latest = -math.inf
        self._has_answered |= is_good

    def waited_seconds(self, now: float) -> float:
        """Return the seconds since the first refusal after the last good answer."""
        return 0.0 if self._began_at is None else now - self._began_at

    def exhausted(self, now: float) -> str | None:
        """Return why waiting longer makes no sense, as a clause; None while it does make sense."""
        if self._began_at is None:
            return None
        waited = now - self._began_at
        named = self._retry_at_latest - now
        if named > _LONGEST_RETRY_AFTER_SECONDS:
            return f"it asks to be left alone for {format_seconds(named)}, and no call gets through meanwhile"
        if not self._has_answered and waited >= _UNPROVEN_SECONDS:
            return f"nothing has answered there for {format_seconds(waited)}"
        allowed = min(self._retry_at_latest + _SLACK_SECONDS - self._began_at, _LONGEST_RETRY_AFTER_SECONDS)
        if waited < max(self._seconds, allowed):
            return None
        return f"no good answer came for {format_seconds(waited)}"


def format_seconds(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
