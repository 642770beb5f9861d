"""Evidence that rejections depend on the number of calls in flight rather than on their rate. Pure."""

import math

_VOTES = 8
_MEAN_WEIGHT = 0.05


class ConcurrencyEvidence:
    """Votes of rejected calls that started with more calls in flight than good ones."""

    def __init__(self, in_flight: int = 0) -> None:
        self._votes = 0
        self._min_in_flight = math.inf
        self._mean = float(in_flight)
        self._spread = 1.0

    def record_success(self, in_flight: int) -> None:
        """Count a good answer to a call that started with so many calls in flight."""
        off = in_flight - self._mean
        self._mean += _MEAN_WEIGHT * off
        self._spread += _MEAN_WEIGHT * (abs(off) - self._spread)

    def record_rejection(self, in_flight: int) -> float | None:
        """Count a rejected call; return the number of calls in flight to stay below once that is proven."""
        if in_flight < self._mean + max(1.0, self._spread):
            self._votes = max(0, self._votes - 2)
            return None
        self._votes += 1
        self._min_in_flight = min(self._min_in_flight, in_flight)
        return max(1.0, self._min_in_flight) if self._votes >= _VOTES else None
