"""Rate limiters: the queues in which calls wait for a permit."""

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

_MAX_TIMER_SECONDS = 3600.0


class JobLimiter:
    """The rate limit of one job, in addition to that of its account. Calls are served first come, first served."""

    def __init__(self, bounds: RateBounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._turn = asyncio.Lock()

    async def acquire(self, tokens: int, work: Work) -> None:
        """Wait until a call with an estimated number of tokens may start."""
        with work.waiting():
            async with self._turn:
                await asyncio.sleep(self._bounds.wait(self._clock(), tokens))
                self._bounds.start(self._clock(), tokens)

    def release(self, expected_tokens: int, used_tokens: int | None) -> None:
        """Correct the estimate by the tokens that a call used, if known."""
        self._bounds.end(self._clock(), expected_tokens, used_tokens)


class RateLimiter:
    """The rate limit and queue of one provider account. Calls get permits first come, first served."""

    def __init__(self, rate: AccountRate, *, host: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._host = host
        self._clock = clock
        self._queue: deque[tuple[asyncio.Future[Permit], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._was_passing = True

    @property
    def is_proven(self) -> bool:
        """Whether the account has received a good answer."""
        return self._rate.good_count > 0

    @property
    def is_recovering(self) -> bool:
        """Whether calls succeed; false while all are rejected."""
        return self._rate.is_recovering(self._clock())

    def begin_run(self) -> None:
        """Restart the outage timer for a new run, unless calls of other runs still wait."""
        if not self._queue:
            self._rate.restart_outage_timer()

    async def acquire(self, tokens: int, work: Work) -> Permit:
        """Wait for a permit to make a call with an estimated number of tokens. The caller must `release` the permit."""
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
                    self.release(turn.result(), None)  # granted just before the cancellation
                else:
                    with suppress(ValueError):
                        self._queue.remove((turn, tokens))
                raise

    def release(self, permit: Permit, used_tokens: int | None) -> None:
        """Return a permit, with the tokens that the call used, if known."""
        self._rate.end(self._clock(), permit, used_tokens)
        if self._queue:
            self._serve()

    def record_success(self, permit: Permit) -> None:
        """Record a response that shows that the provider accepted the call."""
        self._rate.record_success(self._clock(), permit)
        self._was_passing = True

    def record_trouble(self, permit: Permit, trouble: ProviderTrouble, retries: int = 0) -> float:
        """Record a rejection; return the seconds until the item, rejected `retries` times before, may be retried."""
        now = self._clock()
        delay = self._rate.record_trouble(now, permit, trouble, retries)
        if self._was_passing and (waiting := self._rate.waiting(now)) is not None:
            self._was_passing = False
            _log.warning("provider_backoff", host=self._host, reason=waiting.reason, seconds=round(waiting.seconds, 1))
        return delay

    def waiting(self) -> AccountWait | None:
        """Return why and how long the whole account waits; None while calls succeed."""
        return self._rate.waiting(self._clock())

    def reason_to_stop(self) -> str | None:
        """Return why the account should stop waiting, like `OutageTimer.reason_to_stop`; None while it should wait."""
        return self._rate.reason_to_stop(self._clock())

    def close(self) -> None:
        """Stop the timer; the queue must be empty."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve(self) -> None:
        """Grant permits from the front of the queue, and schedule the next one."""
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
                    self._timer = loop.call_later(min(wait, _MAX_TIMER_SECONDS), self._serve)
                return
            self._queue.popleft()
            turn.set_result(self._rate.start(self._clock(), tokens))
