"""Everybody who wants to ask one provider, in line."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from backstay.batch.processor import Work
from backstay.generate.pace import Leave, Pace
from backstay.logs import get_logger

_log = get_logger("backstay.provider")

_MOST_SECONDS = 3600.0
_TOLD_SECONDS = 5.0  # a wait that is longer than this is told of: otherwise it looks as if nothing went on


class Limiter:
    """One for each account with a provider in the process: calls get leave in the order in which they ask for it."""

    def __init__(self, pace: Pace, *, host: str = "", clock: Callable[[], float] | None = None) -> None:
        self.pace = pace
        self._host = host
        self._clock = clock
        self._line: deque[tuple[asyncio.Future[Leave], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int, work: Work) -> Leave:
        """Wait for leave to make a call of about so many tokens. Whoever has it must `end` it."""
        now = self._now()
        if not self._line and self.pace.wait(now, tokens) <= 0.0:
            return self.pace.start(now, tokens)
        turn: asyncio.Future[Leave] = asyncio.get_running_loop().create_future()
        self._line.append((turn, tokens))
        self._serve()
        with work.waiting():
            try:
                return await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.end(turn.result(), None)  # leave came in the same instant
                else:
                    with suppress(ValueError):
                        self._line.remove((turn, tokens))
                raise

    def end(self, leave: Leave, used: int | None) -> None:
        """Give leave back, with the tokens it took where they are known."""
        self.pace.end(self._now(), leave, used)
        self._serve()

    def succeeded(self) -> None:
        self.pace.succeeded()

    def refused(self, leave: Leave, retry_after: float | None) -> None:
        """Have everybody in line wait, not only whoever was refused."""
        now, before = self._now(), self.pace.paused_until
        self.pace.refused(now, leave, retry_after)
        seconds = self.pace.paused_until - now
        # Calls that were refused together put the same moment off by a little each.
        if seconds > _TOLD_SECONDS and self.pace.paused_until - before > _TOLD_SECONDS:
            _log.warning("all_wait_for_the_provider", host=self._host, seconds=round(seconds))

    def close(self) -> None:
        """Stop serving; nobody may be in line any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve(self) -> None:
        """Give leave to all whose turn it is, and come back when it is the next one's."""
        self.close()
        while self._line:
            turn, tokens = self._line[0]
            if turn.cancelled():
                self._line.popleft()
                continue
            wait = self.pace.wait(self._now(), tokens)
            if wait > 0.0:
                if wait < math.inf:
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(min(wait, _MOST_SECONDS), self._serve)
                return
            self._line.popleft()
            turn.set_result(self.pace.start(self._now(), tokens))

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
