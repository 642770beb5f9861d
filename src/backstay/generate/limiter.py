"""The queue of calls to one provider."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from backstay.batch.processor import Work
from backstay.generate.provider_trouble import AccountWait, ProviderTrouble
from backstay.generate.rate import AccountRate, Permit, RateBounds
from backstay.logs import get_logger

_log = get_logger("backstay.provider")

_LONGEST_TIMER_SECONDS = 3600.0


class JobLimiter:
    """The limits of one job, in addition to those of its account. Calls pass first come, first served."""

    def __init__(self, bounds: RateBounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._turn = asyncio.Lock()

    async def acquire(self, tokens: int, work: Work) -> None:
        """Wait until a call of about so many tokens may start."""
        with work.waiting():
            async with self._turn:
                await asyncio.sleep(self._bounds.wait(self._clock(), tokens))
                self._bounds.start(self._clock(), tokens)

    def release(self, expected_tokens: int, used_tokens: int | None) -> None:
        """Note the tokens that a call took, where they are known."""
        self._bounds.end(self._clock(), expected_tokens, used_tokens)


class RateLimiter:
    """The rate of one account with a provider, and its queue: calls get permits in the order in which they ask."""

    def __init__(self, rate: AccountRate, *, host: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._host = host
        self._clock = clock
        self._queue: deque[tuple[asyncio.Future[Permit], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._was_passing = True

    @property
    def is_proven(self) -> bool:
        """Whether there was a good answer."""
        return self._rate.good_count > 0

    @property
    def is_recovering(self) -> bool:
        """Whether calls pass: false while nothing does."""
        return self._rate.is_recovering(self._clock())

    def begin_run(self) -> None:
        """Note that a run begins: the wait of an earlier one is no part of it, unless others still wait."""
        if not self._queue:
            self._rate.restart_outage_timer()

    async def acquire(self, tokens: int, work: Work) -> Permit:
        """Wait for the permit to make a call of about so many tokens. It must be given back with `end`."""
        now = self._clock()
        if not self._queue and self._rate.wait(now, tokens) <= 0.0:
            return self._rate.start(now, tokens)
        turn: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, tokens))
        self._serve()
        with work.waiting():
            try:
                return await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.release(turn.result(), None)  # the permit came in the same instant
                else:
                    with suppress(ValueError):
                        self._queue.remove((turn, tokens))
                raise

    def release(self, permit: Permit, used_tokens: int | None) -> None:
        """Give a permit back, with the tokens the call took where they are known."""
        self._rate.end(self._clock(), permit, used_tokens)
        if self._queue:
            self._serve()

    def record_success(self, permit: Permit) -> None:
        """Note a good answer: one that shows that the provider took the call."""
        self._rate.record_success(self._clock(), permit)
        self._was_passing = True

    def record_trouble(self, permit: Permit, trouble: ProviderTrouble, retries: int = 0) -> float:
        """Note a refusal; return the seconds after which the item, refused `retries` times before, may ask again."""
        now = self._clock()
        delay = self._rate.record_trouble(now, permit, trouble, retries)
        if self._was_passing and (waiting := self._rate.waiting(now)) is not None:
            self._was_passing = False
            _log.warning("provider_backoff", host=self._host, reason=waiting.reason, seconds=round(waiting.seconds, 1))
        return delay

    def waiting(self, now: float | None = None) -> AccountWait | None:
        """Return what the account as a whole waits for, and how long, or None while calls pass."""
        return self._rate.waiting(self._clock() if now is None else now)

    def exhausted(self) -> str | None:
        """Return why the account should wait no longer, as `OutageTimer.exhausted` does; None while it should."""
        return self._rate.exhausted(self._clock())

    def close(self) -> None:
        """Stop serving; the queue must be empty."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve(self) -> None:
        """Give permits to all whose turn it is, and come back when it is the next one's."""
        self.close()
        while self._queue:
            turn, tokens = self._queue[0]
            if turn.cancelled():
                self._queue.popleft()
                continue
            wait = self._rate.wait(self._clock(), tokens)
            if wait > 0.0:
                if wait < math.inf:
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(min(wait, _LONGEST_TIMER_SECONDS), self._serve)
                return
            self._queue.popleft()
            turn.set_result(self._rate.start(self._clock(), tokens))
