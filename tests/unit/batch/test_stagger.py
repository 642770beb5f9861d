"""Beginning many things on the event loop without holding it up."""

import asyncio
import time

from backstay.batch import stagger
from backstay.batch.stagger import Stagger
from support.loop_waiting import until


async def _begun(count, step):
    """Begin so many tasks with one slow or quick first step; say how many had begun when each took its second."""
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
    """Steps that take long are taken by few in a round of the loop, and by fewer from round to round."""
    seen = await _begun(200, _slow)

    assert seen[0] <= stagger._FIRST
    assert seen[100] < 150


async def test_control_all_at_once_the_first_waits_for_the_last(monkeypatch):
    """Without it, each waits for the first step of all the others."""
    monkeypatch.setattr(stagger, "_FIRST", 10_000)

    assert (await _begun(200, _slow))[0] == 200


async def test_quick_steps_are_soon_taken_by_all(monkeypatch):
    """A loop that bears it gets twice as many in each round."""
    monkeypatch.setattr(stagger, "_ROUND_SECONDS", 10.0)
    rounds = set(await _begun(1_000, lambda: None))

    assert len(rounds) <= 7


async def test_few_begin_at_once():
    """In the very round in which they are given, as if it were not there."""
    begun = []
    staggered = Stagger()

    for number in range(16):
        staggered.run(lambda number=number: begun.append(number))

    assert begun == list(range(16))
