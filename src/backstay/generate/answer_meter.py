"""Throughput and concurrency of the calls that a provider answers. Pure: callers pass the time."""

_MIN_WINDOW_SECONDS = 1.0
_MAX_WINDOW_SECONDS = 30.0
_WINDOW_ANSWERS = 20  # good answers that end a window; with fewer, the window continues


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
