"""What becomes of the items of a worker that left, was stopped, or died."""

import asyncio

import pytest

from backstay.batch.checkpoint import ItemCounts, TokenCounts
from backstay.batch.job import JobState
from backstay.batch.outcome import AttemptUsage
from support.jobs import OWNER, claim, claim_one, commit, create, die, enter, job
from support.verdicts import completed, failed, retried

pytestmark = pytest.mark.promise("B4", "B5")


def _results(store, position=0):
    return [
        result for (result,) in store.sql("SELECT result FROM attempts WHERE position = ? ORDER BY number", position)
    ]


async def _row(store, lease):
    (row,) = [row for row in await store.batches.work.workers(OWNER, "job") if row.token == lease.token]
    return row


async def _take_over(store, row, *, crash_limit=3):
    return await store.batches.work.reclaim(OWNER, row, crash_limit=crash_limit)


# -- leaving ---------------------------------------------------------------------------------------


async def test_worker_that_leaves_gives_back_what_it_holds(store):
    """Nothing counts as a try, and whoever comes next finds it first in line."""
    await create(store, 3)
    lease = await enter(store)
    first, *_ = await claim(store, lease, 2)
    await commit(store, lease, completed(first, usage=AttemptUsage(1, 2)))

    await store.batches.work.release(lease)

    now = await job(store)
    assert (now.state, now.counts, now.tokens) == (
        JobState.RUNNING,
        ItemCounts(pending=2, completed=1),
        TokenCounts(1, 2),
    )
    assert now.workers == 0
    assert _results(store, 1) == ["released"]
    again = await claim_one(store, await enter(store))
    assert (again.position, again.attempt, again.tries, again.runs_alone) == (1, 2, 0, False)


async def test_worker_that_holds_nothing_just_leaves(store):
    """Its counts go over to the job."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, completed(await claim_one(store, lease)))

    await store.batches.work.release(lease)

    assert (await job(store)).counts == ItemCounts(completed=1)
    assert await store.batches.work.workers(OWNER, "job") == []


# -- dying -----------------------------------------------------------------------------------------


async def test_items_of_a_dead_worker_are_pending_again(store):
    """Their attempts end as interrupted: neither tries nor failures. What it had finished stays finished."""
    await create(store, 3)
    lease = await enter(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, completed(first, usage=AttemptUsage(5, 6)))

    assert await die(store, lease)

    now = await job(store)
    assert (now.state, now.counts, now.tokens) == (
        JobState.RUNNING,
        ItemCounts(pending=2, completed=1),
        TokenCounts(5, 6),
    )
    assert _results(store, second.position) == ["interrupted"]
    assert await store.batches.work.workers(OWNER, "job") == []


async def test_interruptions_are_no_tries(store):
    """Of an item that failed once and was interrupted once, one try counts."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    await claim_one(store, lease)
    await die(store, lease)

    held = await claim_one(store, await enter(store))

    assert (held.attempt, held.tries) == (3, 1)


async def test_interrupted_item_goes_behind_those_never_tried(store):
    """It may have been what killed its worker."""
    await create(store, 3)
    lease = await enter(store)
    await claim_one(store, lease)
    await die(store, lease)

    again = await enter(store)

    assert [(await claim_one(store, again)).position for _ in range(3)] == [1, 2, 0]


async def test_worker_that_was_told_to_stop_was_not_interrupted(store):
    """It was killed in its grace period, as a second Ctrl-C does."""
    await create(store, 1)
    for _ in range(5):
        lease = await enter(store)
        held = await claim_one(store, lease)
        assert not held.runs_alone
        await asyncio.to_thread(store.batches.work.mark_stopping, lease)
        await die(store, lease)

    assert _results(store) == ["released"] * 5
    assert (await job(store)).counts == ItemCounts(pending=1)


async def test_worker_that_has_beaten_since_is_alive(store):
    """The takeover looks again, and does nothing."""
    await create(store, 1)
    lease = await enter(store)
    await claim_one(store, lease)
    seen = await _row(store, lease)
    await asyncio.to_thread(store.batches.work.beat, lease)

    assert not await _take_over(store, seen)

    assert (await job(store)).counts == ItemCounts(running=1)
    assert (await _row(store, lease)).beat > seen.beat


@pytest.mark.parametrize("write", ["claim", "commit"])
async def test_work_is_a_sign_of_life(store, write):
    """A commit that wrote or claimed something counts as a beat."""
    await create(store, 2)
    lease = await enter(store)
    held = await claim_one(store, lease)
    seen = await _row(store, lease)
    await (claim(store, lease, 1) if write == "claim" else commit(store, lease, completed(held)))

    assert not await _take_over(store, seen)


async def test_worker_is_taken_over_once(store):
    """Of many observers one succeeds; the items are not put back twice."""
    await create(store, 3)
    lease = await enter(store)
    await claim(store, lease, 3)
    row = await _row(store, lease)

    taken = await asyncio.gather(*(_take_over(store, row) for _ in range(10)))

    assert sum(taken) == 1
    assert (await job(store)).counts == ItemCounts(pending=3)
    assert _results(store) == ["interrupted"]


async def test_worker_that_left_is_not_taken_over(store):
    """There is nobody."""
    await create(store, 1)
    lease = await enter(store)
    row = await _row(store, lease)
    await store.batches.work.release(lease)

    assert not await _take_over(store, row)


async def test_other_workers_are_not_touched(store):
    """They keep what they hold."""
    await create(store, 4)
    dead, alive = await enter(store), await enter(store, name="b")
    await claim(store, dead, 2)
    held = await claim(store, alive, 2)

    await die(store, dead)
    report = await commit(store, alive, *map(completed, held))

    assert report.counts == ItemCounts(pending=2, completed=2)


# -- crashing worker after worker ------------------------------------------------------------------


async def _crash(store, *, alone):
    lease = await enter(store)
    held = await claim_one(store, lease, alone=alone)
    assert held.runs_alone == alone
    await die(store, lease)


async def test_item_that_crashes_its_workers_alone_fails(store):
    """After it was interrupted twice it runs alone, and when that ends so three times, it is why."""
    await create(store, 1)
    for _ in range(2):
        await _crash(store, alone=False)
    for _ in range(2):
        await _crash(store, alone=True)
    assert (await job(store)).counts == ItemCounts(pending=1)

    await _crash(store, alone=True)

    assert (await job(store)).counts == ItemCounts(failed=1)
    assert _results(store) == ["interrupted"] * 4 + ["failed"]
    (failure,) = await store.batches.jobs.failures(OWNER, "job", after=-1, limit=10)
    assert (failure.item_id, failure.attempts, failure.error_code) == ("item-1", 5, "crashed_worker")
    assert "died 5 times" in failure.error_message
    assert "the last 3 times with nothing beside it" in failure.error_message


async def test_stop_while_alone_is_no_crash(store):
    """It is given back as any other, and is still a suspect."""
    await create(store, 1)
    for _ in range(2):
        await _crash(store, alone=False)
    for _ in range(4):
        lease = await enter(store)
        assert (await claim_one(store, lease, alone=True)).runs_alone
        await asyncio.to_thread(store.batches.work.mark_stopping, lease)
        await die(store, lease)

    assert (await job(store)).counts == ItemCounts(pending=1)


async def test_suspect_that_works_alone_is_completed(store):
    """It was innocent."""
    await create(store, 1)
    for _ in range(2):
        await _crash(store, alone=False)
    lease = await enter(store)

    report = await commit(store, lease, completed(await claim_one(store, lease, alone=True)))

    assert report.state is JobState.COMPLETED


async def test_retried_crasher_starts_anew(store):
    """The user says it may be tried again: it is no suspect any more, and has all its tries."""
    await create(store, 1)
    for alone in (False, False, True, True, True):
        await _crash(store, alone=alone)
    await store.batches.jobs.retry(OWNER, "job", None)

    held = await claim_one(store, await enter(store))

    assert (held.attempt, held.tries, held.runs_alone) == (6, 0, False)


async def test_failed_items_of_a_dead_worker_stay_failed(store):
    """They were settled before."""
    await create(store, 2)
    lease = await enter(store)
    first, _ = await claim(store, lease, 2)
    await commit(store, lease, failed(first))

    await die(store, lease)

    assert (await job(store)).counts == ItemCounts(pending=1, failed=1)
