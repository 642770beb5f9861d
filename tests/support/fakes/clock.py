"""A clock that moves only when a test moves it."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)


class MovableClock:
    """Clock that a test sets. Implements `backstay.clock.Clock`."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        """Move forward, or with a negative number back."""
        self._now += timedelta(seconds=seconds)
