"""Time as the rest of Backstay sees it: UTC, from one place that a test can replace."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time of day comes from. Durations are never taken from it: they use a monotonic clock."""

    def now(self) -> datetime:
        """The present, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Write a moment as RFC 3339 with microseconds and `Z`; text of this form sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote (or any RFC 3339 text with an offset).

    Raises ValueError when it is not one.
    """
    return datetime.fromisoformat(text).astimezone(UTC)
