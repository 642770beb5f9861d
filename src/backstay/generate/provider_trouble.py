"""Transient troubles of a provider, and a timer of its outages. Pure: callers pass the time."""

import math
from dataclasses import dataclass
from enum import StrEnum

PATIENCE_SECONDS = 600.0
"""How long an account waits without a good answer before its jobs pause."""

_MAX_RETRY_AFTER_SECONDS = 3600.0  # if a provider asks for more, and no call succeeds, the job pauses at once
_LONG_RETRY_AFTER_SECONDS = 60.0  # a longer Retry-After extends the patience
_UNPROVEN_SECONDS = 15.0  # to wait for an address that has never answered
_SLACK_SECONDS = 30.0  # added to a Retry-After, for the probe that follows it


class TroubleKind(StrEnum):
    """The kind of a provider's trouble."""

    LIMIT = "limit"
    """Too many requests or tokens."""
    OVERLOAD = "overload"
    """The provider, or a gateway in front of it, is overloaded or down."""
    UNREACHED = "unreached"
    """No connection could be made."""
    INTERRUPTED = "interrupted"
    """The connection ended after the request was sent."""
    SILENT = "silent"
    """No answer arrived in time. The model was probably working on it, so each such call may be charged."""


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """A rejected or unanswered call for a reason that does not concern its item."""

    cause: TroubleKind
    reason: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AccountWait:
    """The wait of a whole account."""

    cause: TroubleKind
    reason: str
    seconds: float


class OutageTimer:
    """The time since the last good answer, and the latest Retry-After since then."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._began_at: float | None = None
        self._latest_retry_at = -math.inf
        self._was_reached = False

    def record_trouble(self, now: float, trouble: ProviderTrouble) -> None:
        """Record a trouble; the first one after a good answer starts the timer."""
        if self._began_at is None:
            self._began_at = now
        self._was_reached |= trouble.cause is not TroubleKind.UNREACHED
        if trouble.retry_after_seconds is not None and trouble.retry_after_seconds > _LONG_RETRY_AFTER_SECONDS:
            self._latest_retry_at = max(self._latest_retry_at, now + trouble.retry_after_seconds)

    def restart(self, *, is_good: bool = False) -> None:
        """Restart the timer after a good answer, or after a time without calls."""
        self._began_at = None
        self._latest_retry_at = -math.inf
        self._was_reached |= is_good

    def waited_seconds(self, now: float) -> float:
        """Return the seconds since the first trouble after the last good answer."""
        return 0.0 if self._began_at is None else now - self._began_at

    def reason_to_stop(self, now: float) -> str | None:
        """Return why the wait should end, as a clause; None while it should continue."""
        if self._began_at is None:
            return None
        waited = self.waited_seconds(now)
        remaining = self._latest_retry_at - now
        if remaining > _MAX_RETRY_AFTER_SECONDS:
            return f"it asks to wait {format_seconds(remaining)}, and no call succeeds"
        if not self._was_reached and waited >= _UNPROVEN_SECONDS:
            return f"no server has answered there for {format_seconds(waited)}"
        allowed_seconds = min(self._latest_retry_at + _SLACK_SECONDS - self._began_at, _MAX_RETRY_AFTER_SECONDS)
        if waited < max(self._patience_seconds, allowed_seconds):
            return None
        return f"no good answer came for {format_seconds(waited)}"


def format_seconds(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
