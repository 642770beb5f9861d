"""The line before a provider: in order, woken in time, and left without a trace."""

import asyncio

import pytest

from backstay.batch.processor import Work, waits
from backstay.generate.limiter import Limiter
from backstay.generate.pace import Pace


async def _turn(limiter: Limiter, name: str, told: list[str]) -> None:
    leave = await limiter.enter(0, Work(1))
    told.append(name)
    limiter.end(leave, None)


async def test_leave_is_given_in_order():
    """First come, first served, also when time has to pass."""
    limiter, told = Limiter(Pace(rpm=6_000)), []

    async with asyncio.timeout(20):
        await asyncio.gather(*(_turn(limiter, str(number), told) for number in range(150)))

    assert told == [str(number) for number in range(150)]


async def test_a_refusal_holds_everybody():
    """`Retry-After` of one answer is honoured by all in line, not only by who was refused."""
    now = 0.0
    limiter, told = Limiter(Pace(), clock=lambda: now), []
    leave = await limiter.enter(0, Work(1))
    limiter.refused(leave, 30.0)
    limiter.end(leave, None)
    line = [asyncio.create_task(_turn(limiter, str(number), told)) for number in range(5)]
    await asyncio.sleep(0)

    now = 29.9
    limiter._serve()
    await asyncio.sleep(0)
    assert told == []

    now = 30.0
    limiter._serve()
    async with asyncio.timeout(20):
        while len(told) < 1:
            await asyncio.sleep(0)
    assert told[0] == "0"
    limiter.succeeded()
    limiter._serve()
    async with asyncio.timeout(20):
        await asyncio.gather(*line)
    limiter.close()


@pytest.mark.parametrize(("asked", "told"), [(1.0, []), (60.0, ["60"])])
async def test_a_long_wait_is_told_of_once(asked, told, caplog):
    """By the host and the seconds; not once more for each call that was refused in the same moment."""
    now = 0.0
    limiter = Limiter(Pace(), host="models.example", clock=lambda: now)
    leaves = [await limiter.enter(0, Work(1)) for _ in range(3)]

    for number, leave in enumerate(leaves):
        now = 0.1 * number
        limiter.refused(leave, asked)

    assert [record.__dict__["seconds"] for record in caplog.records] == [int(seconds) for seconds in told]
    assert all(record.__dict__["host"] == "models.example" for record in caplog.records)


async def test_control_without_the_pause_they_go(monkeypatch):
    """What holds them is the pause: without it all go at once."""
    monkeypatch.setattr(Pace, "refused", lambda *_: None)
    limiter, told = Limiter(Pace(), clock=lambda: 0.0), []
    leave = await limiter.enter(0, Work(1))
    limiter.refused(leave, 30.0)
    limiter.end(leave, None)

    await asyncio.gather(*(_turn(limiter, str(number), told) for number in range(5)))

    assert len(told) == 5


async def test_who_leaves_the_line_leaves_no_gap():
    """Cancelled while waiting, or in the very instant leave came: the next gets it, and nothing stays taken."""
    pace = Pace()
    limiter, told = Limiter(pace), []
    first = await limiter.enter(0, Work(1))
    pace.refused(-1.0, first, None)
    second = asyncio.create_task(_turn(limiter, "second", told))
    third = asyncio.create_task(_turn(limiter, "third", told))
    fourth = asyncio.create_task(_turn(limiter, "fourth", told))
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.sleep(0)
    limiter.end(first, None)
    third.cancel()
    async with asyncio.timeout(20):
        await fourth

    assert told == ["fourth"]
    assert pace.in_flight == 0


async def test_work_waits_while_it_is_in_line():
    """So that its deadline counts from the call, and a stop does not wait for it."""
    pace = Pace()
    limiter, work = Limiter(pace), Work(1)
    first = await limiter.enter(0, Work(1))
    pace.refused(-1.0, first, None)
    task = asyncio.create_task(limiter.enter(0, work))
    await asyncio.sleep(0)

    assert waits(work)
    limiter.end(first, None)
    async with asyncio.timeout(20):
        await task
    assert not waits(work)


async def test_a_closed_line_has_no_timer():
    """Nothing is left on the loop."""
    limiter = Limiter(Pace(rpm=1))
    leave = await limiter.enter(0, Work(1))
    waiting = asyncio.create_task(limiter.enter(0, Work(1)))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    limiter.end(leave, None)
    limiter.close()

    assert limiter._timer is None
