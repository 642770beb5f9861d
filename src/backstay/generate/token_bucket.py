"""A token bucket that limits requests or tokens per minute. Pure: callers pass the time."""

_MINUTE_SECONDS = 60.0


class Bucket:
    """A token bucket of at most `per_minute` units in any minute; None means no limit.

    It starts with a small burst and refills so slowly that burst and refill together stay within the limit. A request
    larger than the burst waits for a full bucket and leaves a debt.
    """

    def __init__(self, per_minute: float | None, *, burst: float) -> None:
        self._rate = 0.0
        self._burst = burst
        self._level = burst
        self._filled_at = 0.0
        self._is_bounded = per_minute is not None
        if per_minute is not None:
            # The initial unit of a bucket of size one counts as the first of its minute.
            self._rate = max(per_minute - burst + (1.0 if burst <= 1.0 else 0.0), per_minute / 2) / _MINUTE_SECONDS

    def wait(self, now: float, units: float) -> float:
        """Return the seconds until so many units are available."""
        if not self._is_bounded:
            return 0.0
        self._fill(now)
        missing = min(units, self._burst) - self._level
        # Tolerate rounding errors.
        return missing / self._rate if missing > 1e-6 else 0.0

    def take(self, now: float, units: float) -> None:
        """Take units, or return unused ones (a negative number)."""
        if self._is_bounded:
            self._fill(now)
            self._level = min(self._burst, self._level - units)

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = max(self._filled_at, now)
