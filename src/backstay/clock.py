"""The time of day in UTC, from a clock that tests can replace."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Source of the time of day. Durations are measured with a monotonic clock instead."""

    def now(self) -> datetime:
        """Return the present time, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Format a time as RFC 3339 with microseconds and `Z`; such texts sort chronologically."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Parse a text of `to_text`, or any RFC 3339 text with an offset.

    Raises ValueError if it is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:  # in UTC, it is before the year 1 or after 9999
        raise ValueError(str(error)) from error
