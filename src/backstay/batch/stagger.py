"""Beginning many things on the event loop without holding it up."""

import asyncio
from collections import deque
from collections.abc import Callable

_ROUND_SECONDS = 0.002  # that a round of the loop may take before fewer begin in the next
_FIRST, _FEWEST, _MOST = 32, 4, 1_024


class Stagger:
    """Runs functions in the order in which they are given, in each round of the event loop only as many as it bears.

    A thousand calls that begin in one round go through every step together: the request of the first is not sent
    before the prompt of the last is made, and all answers come back together. So, of steps that take long, few are
    begun in a round; of quick ones, soon all.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._most = _FIRST
        self._run = 0  # in this round
        self._began_at = 0.0

    def run(self, function: Callable[[], None]) -> None:
        """Run it now, or in a later round when this one has its share; it must not raise."""
        if self._run == self._most:
            self._waiting.append(function)
            return
        if self._run == 0:
            loop = asyncio.get_running_loop()
            self._began_at = loop.time()
            # Twice, so that what begins now has taken its first step by then, and its time is measured.
            loop.call_soon(loop.call_soon, self._next)
        self._run += 1
        function()

    def _next(self) -> None:
        took = asyncio.get_running_loop().time() - self._began_at
        if took > _ROUND_SECONDS:
            self._most = max(_FEWEST, self._most // 2)
        elif self._run == self._most:
            self._most = min(_MOST, self._most * 2)
        self._run = 0
        while self._waiting and self._run < self._most:
            self.run(self._waiting.popleft())
