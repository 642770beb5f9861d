"""What passes at a provider just now: how many calls a second, and how many at once. Pure: it is given the time."""

_SPAN_SECONDS = 1.0
_LONGEST_SPAN_SECONDS = 30.0
_ENOUGH = 20  # good answers of a span: with fewer it goes on


class AnswerMeter:
    """The good answers of the last two spans."""

    def __init__(self, now: float = 0.0) -> None:
        self.reset(now)

    def reset(self, now: float) -> None:
        """Forget all that was before."""
        self._began_at = self._window_began_at = now
        self._before = self._count = 0
        self._busy_before = self._busy = 0.0

    def add(self, now: float, seconds: float) -> None:
        """Count a good answer that took so long."""
        self._roll_window(now)
        self._count += 1
        self._busy += seconds

    @property
    def count(self) -> int:
        """The good answers it knows of."""
        return self._before + self._count

    def rate(self, now: float) -> float:
        """Return the good answers a second."""
        count, _, age = self._latest(now)
        return count / age

    def concurrency(self, now: float) -> float:
        """Return how many of the calls that passed were under way at once, on average."""
        _, busy, age = self._latest(now)
        return busy / age

    def _latest(self, now: float) -> tuple[int, float, float]:
        """Return count, seconds of calls and length of the newest span that says something."""
        self._roll_window(now)
        age = now - self._window_began_at
        if age >= _SPAN_SECONDS / 2 and self._count >= _ENOUGH / 2:
            return self._count, self._busy, age
        return self.count, self._busy_before + self._busy, max(now - self._began_at, 1e-3)

    def _roll_window(self, now: float) -> None:
        age = now - self._window_began_at
        if age >= _LONGEST_SPAN_SECONDS or (age >= _SPAN_SECONDS and self._count >= _ENOUGH):
            self._began_at, self._window_began_at = self._window_began_at, now
            self._before, self._count = self._count, 0
            self._busy_before, self._busy = self._busy, 0.0
