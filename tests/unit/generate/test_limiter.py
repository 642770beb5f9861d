"""The queue before a provider: its order, its timer, and its cleanup."""

import asyncio

import pytest

from backstay.batch.attempt import Work, is_waiting
from backstay.generate.limiter import JobLimiter, RateLimiter
from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind
from backstay.generate.rate import AccountRate, RateBounds

OVERLOAD = ProviderTrouble(TroubleKind.OVERLOAD, "503: overloaded")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _call(limiter: RateLimiter, name: str, finished: list[str]) -> None:
    permit = await limiter.acquire(0, Work(1))
    finished.append(name)
    limiter.release(permit, None)


async def _hold(limiter: RateLimiter, trouble: ProviderTrouble = OVERLOAD) -> list[float]:
    """Let ten calls be rejected together, and return the delays of their items."""
    delays = []
    for permit in [await limiter.acquire(0, Work(1)) for _ in range(10)]:
        delays.append(limiter.record_trouble(permit, trouble))
        limiter.release(permit, None)
    return delays


async def test_permits_are_given_in_order():
    """Calls get their permits in order of arrival, also when they have to wait."""
    limiter = RateLimiter(AccountRate(rpm=6_000))

    async with asyncio.timeout(20):
        permits = await asyncio.gather(*(limiter.acquire(0, Work(1)) for _ in range(150)))

    # A call that waited resumes a moment after it got its permit, when the next call may have begun already.
    granted_at = [permit.start.started_at for permit in permits]
    assert granted_at == sorted(granted_at)
    assert granted_at[0] < granted_at[-1]


async def test_a_single_refusal_holds_nobody():
    """A single rejected call waits alone, and queued calls continue."""
    limiter, finished = RateLimiter(AccountRate(), clock=lambda: 0.0), []
    permit = await limiter.acquire(0, Work(1))

    delay = limiter.record_trouble(permit, ProviderTrouble(TroubleKind.LIMIT, "429", 3.0))
    limiter.release(permit, None)
    await asyncio.gather(*(_call(limiter, str(number), finished) for number in range(5)))

    assert delay == 3.0
    assert len(finished) == 5
    assert limiter.waiting() is None


async def test_while_nothing_passes_one_probe_goes_and_the_others_follow_its_answer():
    """After ten rejections together, one probe goes at the Retry-After, and the others follow its answer."""
    clock = _Clock()
    limiter = RateLimiter(AccountRate(), clock=clock)
    await _hold(limiter, ProviderTrouble(TroubleKind.OVERLOAD, "503", 2.0))
    queue = [asyncio.create_task(limiter.acquire(0, Work(1))) for _ in range(3)]
    await asyncio.sleep(0)

    clock.now = 1.9
    limiter._serve()
    await asyncio.sleep(0)
    assert [task.done() for task in queue] == [False] * 3

    clock.now = 2.0
    limiter._serve()
    await asyncio.sleep(0)
    assert [task.done() for task in queue] == [True, False, False]
    limiter.record_success(queue[0].result())
    limiter.release(queue[0].result(), None)
    async with asyncio.timeout(20):
        await asyncio.gather(*queue)
    limiter.close()


async def test_a_held_account_reports_it_once(caplog):
    """A backoff is logged once with host, reason and seconds, and again only after calls have succeeded."""
    clock = _Clock()
    limiter = RateLimiter(AccountRate(), host="models.example", clock=clock)
    await _hold(limiter)
    for clock.now in (0.5, 1.5):
        permit = await limiter.acquire(0, Work(1))
        limiter.record_trouble(permit, OVERLOAD)
        limiter.release(permit, None)

    (record,) = (record.__dict__ for record in caplog.records)

    assert (record["host"], record["reason"], record["seconds"]) == ("models.example", "503: overloaded", 0.5)
    waiting = limiter.waiting()
    assert waiting is not None
    assert (waiting.cause, waiting.seconds) == (TroubleKind.OVERLOAD, 2.0)


async def test_items_come_back_after_the_hold():
    """An item rejected during a backoff is not retried before the next probe."""
    limiter = RateLimiter(AccountRate(), clock=lambda: 0.0)

    delays = await _hold(limiter, ProviderTrouble(TroubleKind.LIMIT, "429", 1.5))

    assert delays[-1] == 1.5


async def test_patience_ends_with_a_sentence():
    """After ten minutes without an answer, and not before, the limiter reports that waiting should end."""
    clock = _Clock()
    limiter = RateLimiter(AccountRate(), clock=clock)
    await _hold(limiter)
    assert not limiter.accepts_calls

    clock.now = 599.0
    assert limiter.reason_to_stop() is None
    clock.now = 600.0
    assert limiter.reason_to_stop() == "no good answer came for 10 min"


async def test_a_cancelled_call_leaves_no_gap_in_the_queue():
    """A call cancelled in the queue, or just as its permit is granted, passes its turn to the next one."""
    rate = AccountRate(rpm=60)
    clock = _Clock()
    limiter, finished = RateLimiter(rate, clock=clock), []
    limiter.release(await limiter.acquire(0, Work(1)), None)
    second = asyncio.create_task(_call(limiter, "second", finished))
    third = asyncio.create_task(_call(limiter, "third", finished))
    fourth = asyncio.create_task(_call(limiter, "fourth", finished))
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.sleep(0)
    clock.now = 1.0
    limiter._serve()
    third.cancel()
    await asyncio.sleep(0)
    clock.now = 2.0
    limiter._serve()
    async with asyncio.timeout(20):
        await fourth

    assert finished == ["fourth"]
    assert rate._limit.in_flight == 0


async def test_a_cancelled_large_call_does_not_delay_a_smaller_one():
    """When the call at the front is cancelled, a smaller one behind it starts at once, if there are tokens for it."""
    limiter = RateLimiter(AccountRate(tpm=60_000), clock=_Clock())
    await limiter.acquire(2_000, Work(1))
    large = asyncio.create_task(limiter.acquire(2_500, Work(1)))
    small = asyncio.create_task(limiter.acquire(100, Work(1)))
    await asyncio.sleep(0)
    assert not small.done()

    large.cancel()
    await asyncio.wait([large])

    assert small.done()


async def test_work_waits_while_it_is_queued():
    """The deadline of queued work starts with its call, and a stop does not wait for queued work."""
    clock = _Clock()
    limiter, work = RateLimiter(AccountRate(rpm=60), clock=clock), Work(1)
    limiter.release(await limiter.acquire(0, Work(1)), None)
    task = asyncio.create_task(limiter.acquire(0, work))
    await asyncio.sleep(0)

    assert is_waiting(work)
    clock.now = 1.0
    limiter._serve()
    async with asyncio.timeout(20):
        await task
    assert not is_waiting(work)


async def test_a_closed_limiter_has_no_timer():
    """A closed limiter leaves no timer on the event loop."""
    limiter = RateLimiter(AccountRate(rpm=1))
    permit = await limiter.acquire(0, Work(1))
    waiting = asyncio.create_task(limiter.acquire(0, Work(1)))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    limiter.release(permit, None)
    limiter.close()

    assert limiter._timer is None


async def test_the_bounds_of_a_job_hold_in_the_order_of_its_calls():
    """Calls of a rate-limited job start in order of arrival, and a cancelled one uses no permit."""
    limiter, finished = JobLimiter(RateBounds(rpm=1_200)), []

    async def call(number: int) -> None:
        await limiter.acquire(0, Work(1))
        finished.append(number)

    started = asyncio.get_running_loop().time()
    calls = [asyncio.create_task(call(number)) for number in range(24)]
    await asyncio.sleep(0)
    calls[22].cancel()
    async with asyncio.timeout(20):
        await asyncio.gather(*calls, return_exceptions=True)

    assert finished == [*range(22), 23]
    assert asyncio.get_running_loop().time() - started >= 0.1  # twenty at once, then one each 50 ms


async def test_a_call_that_used_more_than_expected_delays_the_next_of_its_job(monkeypatch):
    """A call that waits for tokens waits longer if another one turns out to have used more than expected."""
    clock, waits = _Clock(), []
    limiter = JobLimiter(RateBounds(tpm=6_000), clock=clock)

    async def sleep_by_clock(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds
        if len(waits) == 1:
            limiter.release(6_000, 7_000)

    await limiter.acquire(6_000, Work(1))
    monkeypatch.setattr(asyncio, "sleep", sleep_by_clock)
    await limiter.acquire(1_000, Work(1))

    assert len(waits) == 2
