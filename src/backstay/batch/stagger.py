"""Staggered starts of many functions, so that they do not block the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

_ROUND_SECONDS = 0.002  # duration of a loop round above which fewer functions start in the next one
_FIRST_STARTS, _MIN_STARTS, _MAX_STARTS = 32, 4, 1_024  # functions per loop round


class Stagger:
    """A queue of functions, of which each round of the event loop runs only as many as it can without blocking.

    A thousand calls that begin in one round go through every step together: the first request is not sent before the
    last prompt is built, and all answers arrive at once. So if the first steps are slow, few functions start per
    round; if they are quick, the number doubles from round to round.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._limit = _FIRST_STARTS
        self._started = 0  # in this round
        self._round_started_at = 0.0

    def run(self, function: Callable[[], None]) -> None:
        """Run `function`, which must not raise, now, or in a later round if this one is full."""
        if self._started == self._limit:
            self._waiting.append(function)
            return
        if self._started == 0:
            loop = asyncio.get_running_loop()
            self._round_started_at = loop.time()
            # Twice, so that the functions started now have taken their first step by then, and its time is measured.
            loop.call_soon(loop.call_soon, self._next_round)
        self._started += 1
        function()

    def _next_round(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self._round_started_at
        if elapsed > _ROUND_SECONDS:
            self._limit = max(_MIN_STARTS, self._limit // 2)
        elif self._started == self._limit:
            self._limit = min(_MAX_STARTS, self._limit * 2)
        self._started = 0
        while self._waiting and self._started < self._limit:
            self.run(self._waiting.popleft())
