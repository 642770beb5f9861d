"""Staggered starts that do not block the event loop."""

import asyncio
import time

from backstay.batch import stagger
from backstay.batch.stagger import Stagger
from support.harness.async_waiting import until


async def _started_before(count, step):
    """Start tasks with a slow or quick first step; return how many had started when each took its second step."""
    order, seen, tasks = [], [], []

    async def work(number):
        step()
        order.append(number)
        await asyncio.sleep(0)
        seen.append(len(order))

    staggered = Stagger()
    for number in range(count):
        staggered.run(lambda number=number: tasks.append(asyncio.create_task(work(number))))
    await until(lambda: len(seen) == count)
    assert order == list(range(count))
    return seen


def _slow():
    time.sleep(0.001)


async def test_the_first_are_on_their_way_before_the_last_begin():
    """With slow first steps, few tasks start per round of the loop, and fewer from round to round."""
    seen = await _started_before(200, _slow)

    assert seen[0] <= stagger._FIRST_STARTS
    assert seen[100] < 150


async def test_control_all_at_once_the_first_waits_for_the_last(monkeypatch):
    """Control: without staggering, each task waits for the first steps of all others."""
    monkeypatch.setattr(stagger, "_FIRST_STARTS", 10_000)

    assert (await _started_before(200, _slow))[0] == 200


async def test_quick_steps_are_soon_taken_by_all(monkeypatch):
    """With quick first steps, the number of tasks started per round doubles."""
    monkeypatch.setattr(stagger, "_ROUND_SECONDS", 10.0)
    rounds = set(await _started_before(1_000, lambda: None))

    assert len(rounds) <= 7


async def test_few_begin_at_once():
    """A few functions run at once, in the round in which they are passed."""
    begun = []
    staggered = Stagger()

    for number in range(16):
        staggered.run(lambda number=number: begun.append(number))

    assert begun == list(range(16))


async def test_a_round_ends_with_the_last_that_waits():
    """A round that has room for more than what waits starts that, and the event loop reports no error."""
    begun, reported = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    staggered = Stagger()

    for number in range(stagger._FIRST_STARTS + 1):
        staggered.run(lambda number=number: begun.append(number))
    await until(lambda: not staggered._waiting)

    assert (len(begun), reported) == (stagger._FIRST_STARTS + 1, [])
