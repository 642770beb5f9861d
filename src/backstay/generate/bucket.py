"""A bound of so many units a minute. Pure: it is given the time."""

_MINUTE = 60.0


class Bucket:
    """At most `per_minute` units in any minute, spread over it; None means without bound.

    It holds a small burst and fills at the rate that makes burst and refill together no more than is allowed. One
    request larger than the burst waits for a full bucket and leaves a debt.
    """

    def __init__(self, per_minute: float | None, *, burst: float) -> None:
        self._rate = 0.0
        self._burst = burst
        self._level = burst
        self._at = 0.0
        self._bounded = per_minute is not None
        if per_minute is not None:
            # The one unit that a bucket of one holds at the start is the first of the minute, not one more.
            self._rate = max(per_minute - burst + (1.0 if burst <= 1.0 else 0.0), per_minute / 2) / _MINUTE

    def wait(self, now: float, units: float) -> float:
        """Return the seconds until so many units may be taken."""
        if not self._bounded:
            return 0.0
        self._fill(now)
        missing = min(units, self._burst) - self._level
        # A shade too little is enough: sums of fractions of seconds never come out even.
        return missing / self._rate if missing > 1e-6 else 0.0

    def take(self, now: float, units: float) -> None:
        """Take units, or give back what was not used (a negative number)."""
        if self._bounded:
            self._fill(now)
            self._level = min(self._burst, self._level - units)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = max(self._at, now)
