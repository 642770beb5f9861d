"""Statistics of answers and rejections, from which an adaptive limit is derived. Pure: callers pass the time."""

import math

_MIN_WINDOW_SECONDS = 1.0
_MAX_WINDOW_SECONDS = 30.0
_WINDOW_ANSWERS = 20  # good answers that end a window; with fewer, the window continues
_VOTES = 8  # that prove a concurrency limit
_MEAN_WEIGHT = 0.05  # of one good call in the mean number of calls in flight


class AnswerMeter:
    """The good answers of the last two time windows."""

    def __init__(self, now: float = 0.0) -> None:
        self.reset(now)

    def reset(self, now: float) -> None:
        """Forget all answers so far."""
        self._began_at = self._window_began_at = now
        self._before = self._count = 0
        self._busy_before = self._busy = 0.0

    def add(self, now: float, seconds: float) -> None:
        """Count a good answer to a call that took so many seconds."""
        self._roll_window(now)
        self._count += 1
        self._busy += seconds

    @property
    def count(self) -> int:
        """The number of good answers in both windows."""
        return self._before + self._count

    def rate(self, now: float) -> float:
        """Return the good answers per second."""
        count, _, age = self._latest(now)
        return count / age

    def concurrency(self, now: float) -> float:
        """Return how many of the answered calls were in flight at once, on average."""
        _, busy, age = self._latest(now)
        return busy / age

    def _latest(self, now: float) -> tuple[int, float, float]:
        """Return the answers, total call seconds and length of the newest window with enough answers."""
        self._roll_window(now)
        age = now - self._window_began_at
        if age >= _MIN_WINDOW_SECONDS / 2 and self._count >= _WINDOW_ANSWERS / 2:
            return self._count, self._busy, age
        return self.count, self._busy_before + self._busy, max(now - self._began_at, 1e-3)

    def _roll_window(self, now: float) -> None:
        age = now - self._window_began_at
        if age >= _MAX_WINDOW_SECONDS or (age >= _MIN_WINDOW_SECONDS and self._count >= _WINDOW_ANSWERS):
            self._began_at, self._window_began_at = self._window_began_at, now
            self._before, self._count = self._count, 0
            self._busy_before, self._busy = self._busy, 0.0


class ConcurrencyEvidence:
    """Evidence that rejections depend on the number of calls in flight rather than on the rate of calls.

    A rejected call is a vote for that if it started with more calls in flight than good calls did.
    """

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
