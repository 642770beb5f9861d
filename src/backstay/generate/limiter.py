"""Rate limiters: the queues in which calls wait for a permit."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from backstay.batch.attempt import Work
from backstay.generate.provider_trouble import AccountWait, ProviderTrouble
from backstay.generate.rate import AccountRate, Permit, RateBounds
from backstay.logs import get_logger

_log = get_logger("backstay.provider")

_MAX_TIMER_SECONDS = 3600.0  # after this the wait is computed again


class JobLimiter:
    """The rate limit of one job, in addition to that of its account. Calls start in order of arrival."""

    def __init__(self, bounds: RateBounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._turn = asyncio.Lock()

    async def acquire(self, expected_tokens: int, work: Work) -> None:
        """Wait until a call with an estimated number of tokens may start."""
        with work.waiting():
            async with self._turn:
                # Meanwhile another call may end with more tokens than expected, and so lengthen the wait.
                while seconds := self._bounds.wait(self._clock(), expected_tokens):  # noqa: ASYNC110 - it is no poll
                    await asyncio.sleep(seconds)
                self._bounds.start(self._clock(), expected_tokens)

    def release(self, expected_tokens: int, used_tokens: int | None) -> None:
        """Correct the estimate by the tokens that a call used, if known."""
        self._bounds.end(self._clock(), expected_tokens, used_tokens)


class RateLimiter:
    """The rate limit and queue of one provider account. Calls get permits in order of arrival."""

    def __init__(self, rate: AccountRate, *, host: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._host = host
        self._clock = clock
        self._queue: deque[tuple[asyncio.Future[Permit], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._has_logged_backoff = False

    @property
    def has_answered(self) -> bool:
        """Whether the account has received a good answer."""
        return self._rate.good_count > 0

    @property
    def accepts_calls(self) -> bool:
        """Whether the account accepts at least some calls."""
        return self._rate.accepts_calls(self._clock())

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
                if turn.cancelled():
                    with suppress(ValueError):
                        self._queue.remove((turn, tokens))
                    self._serve()  # the next call may be smaller and start sooner
                else:
                    self.release(turn.result(), None)  # granted just before the cancellation
                raise

    def release(self, permit: Permit, used_tokens: int | None) -> None:
        """Return a permit, with the tokens that the call used, if known."""
        self._rate.end(self._clock(), permit, used_tokens)
        if self._queue:
            self._serve()

    def record_success(self, permit: Permit) -> None:
        """Record a response that shows that the provider accepted the call."""
        self._rate.record_success(self._clock(), permit)
        self._has_logged_backoff = False

    def record_trouble(self, permit: Permit, trouble: ProviderTrouble, retries: int = 0) -> float:
        """Record a rejected call; return the seconds that its item, rejected `retries` times before, must wait."""
        now = self._clock()
        delay = self._rate.record_trouble(now, permit, trouble, retries)
        if not self._has_logged_backoff and (waiting := self._rate.waiting(now)) is not None:
            self._has_logged_backoff = True
            _log.warning("provider_backoff", host=self._host, reason=waiting.reason, seconds=round(waiting.seconds, 1))
        return delay

    def waiting(self) -> AccountWait | None:
        """Return why and how long the whole account waits; None while calls succeed."""
        return self._rate.waiting(self._clock())

    def reason_to_stop(self) -> str | None:
        """Return why the account should stop waiting, like `OutageTimer.reason_to_stop`; None while it should wait."""
        return self._rate.reason_to_stop(self._clock())

    def close(self) -> None:
        """Cancel the timer, without which no waiting call gets a permit before another one ends."""
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
