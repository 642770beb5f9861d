"""Items of workers that left, were stopped, or died."""

import asyncio

import pytest

from backstay.batch.job import JobState
from backstay.batch.outcome import AttemptUsage
from backstay.batch.progress import ItemCounts, TokenCounts
from support.data.verdicts import completed, failed, retried
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job

pytestmark = pytest.mark.promise("B4", "B5")


def _results(store, position=0):
    return [
        result for (result,) in store.sql("SELECT result FROM attempts WHERE position = ? ORDER BY number", position)
    ]


async def _row(store, lease):
    (row,) = [row for row in await store.batches.work.workers(OWNER, "job") if row.token == lease.token]
    return row


async def _reclaim(store, row, *, crash_limit=3):
    return await store.batches.work.reclaim(OWNER, row, crash_limit=crash_limit)


# -- releases --------------------------------------------------------------------------------------


async def test_worker_that_leaves_releases_its_items(store):
    """A released lease returns its items to the head of the queue, without counting a try."""
    await create(store, 3)
    lease = await acquire_lease(store)
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
    again = await claim_one(store, await acquire_lease(store))
    assert (again.position, again.attempt, again.tries, again.runs_alone) == (1, 2, 0, False)


async def test_worker_that_holds_nothing_just_leaves(store):
    """A lease without items is released, and its counts are added to the job."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease)))

    await store.batches.work.release(lease)

    assert (await job(store)).counts == ItemCounts(completed=1)
    assert await store.batches.work.workers(OWNER, "job") == []


# -- reclaims --------------------------------------------------------------------------------------


async def test_items_of_a_dead_worker_are_pending_again(store):
    """Reclaiming a lease ends attempts as interrupted, without counting them, and keeps what was finished."""
    await create(store, 3)
    lease = await acquire_lease(store)
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
    """An item that failed once and was interrupted once has one counted try."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    await claim_one(store, lease)
    await die(store, lease)

    held = await claim_one(store, await acquire_lease(store))

    assert (held.attempt, held.tries) == (3, 1)


async def test_interrupted_item_goes_behind_those_never_tried(store):
    """An interrupted item is claimed after untried ones, as it may have killed its worker."""
    await create(store, 3)
    lease = await acquire_lease(store)
    await claim_one(store, lease)
    await die(store, lease)

    again = await acquire_lease(store)

    assert [(await claim_one(store, again)).position for _ in range(3)] == [1, 2, 0]


async def test_stopping_worker_was_not_interrupted(store):
    """Items of a worker killed in its grace period, as by a second Ctrl-C, do not count as interrupted."""
    await create(store, 1)
    for _ in range(5):
        lease = await acquire_lease(store)
        held = await claim_one(store, lease)
        assert not held.runs_alone
        await asyncio.to_thread(store.batches.work.mark_stopping, lease)
        await die(store, lease)

    assert _results(store) == ["released"] * 5
    assert (await job(store)).counts == ItemCounts(pending=1)


async def test_worker_that_has_beaten_since_is_alive(store):
    """A lease is not reclaimed if the worker has sent a beat since it was observed."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await claim_one(store, lease)
    seen = await _row(store, lease)
    await asyncio.to_thread(store.batches.work.beat, lease)

    assert not await _reclaim(store, seen)

    assert (await job(store)).counts == ItemCounts(running=1)
    assert (await _row(store, lease)).beat > seen.beat


@pytest.mark.parametrize("write", ["claim", "commit"])
async def test_work_is_a_sign_of_life(store, write):
    """A commit that writes or claims counts as a beat."""
    await create(store, 2)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    seen = await _row(store, lease)
    await (claim(store, lease, 1) if write == "claim" else commit(store, lease, completed(held)))

    assert not await _reclaim(store, seen)


async def test_lease_is_reclaimed_once(store):
    """Of many concurrent attempts to reclaim a lease one succeeds, and the items return to pending once."""
    await create(store, 3)
    lease = await acquire_lease(store)
    await claim(store, lease, 3)
    row = await _row(store, lease)

    results = await asyncio.gather(*(_reclaim(store, row) for _ in range(10)))

    assert sum(results) == 1
    assert (await job(store)).counts == ItemCounts(pending=3)
    assert _results(store) == ["interrupted"]


async def test_lease_that_was_released_is_not_reclaimed(store):
    """A lease that its worker has released cannot be reclaimed."""
    await create(store, 1)
    lease = await acquire_lease(store)
    row = await _row(store, lease)
    await store.batches.work.release(lease)

    assert not await _reclaim(store, row)


async def test_other_workers_are_not_touched(store):
    """Reclaiming a lease does not affect the items of other workers."""
    await create(store, 4)
    dead, alive = await acquire_lease(store), await acquire_lease(store, name="b")
    await claim(store, dead, 2)
    held = await claim(store, alive, 2)

    await die(store, dead)
    report = await commit(store, alive, *map(completed, held))

    assert report.counts == ItemCounts(pending=2, completed=2)


# -- crashers --------------------------------------------------------------------------------------


async def _crash(store, *, alone):
    lease = await acquire_lease(store)
    held = await claim_one(store, lease, alone=alone)
    assert held.runs_alone == alone
    await die(store, lease)


async def test_item_that_crashes_its_workers_alone_fails(store):
    """An item interrupted twice runs alone, and fails when it was interrupted three times alone."""
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
    assert "the last 3 times with no other item running" in failure.error_message


async def test_stop_while_alone_is_no_crash(store):
    """A suspect whose worker is stopped is released like any item and stays a suspect."""
    await create(store, 1)
    for _ in range(2):
        await _crash(store, alone=False)
    for _ in range(4):
        lease = await acquire_lease(store)
        assert (await claim_one(store, lease, alone=True)).runs_alone
        await asyncio.to_thread(store.batches.work.mark_stopping, lease)
        await die(store, lease)

    assert (await job(store)).counts == ItemCounts(pending=1)


async def test_suspect_that_works_alone_is_completed(store):
    """A suspect that succeeds alone is completed."""
    await create(store, 1)
    for _ in range(2):
        await _crash(store, alone=False)
    lease = await acquire_lease(store)

    report = await commit(store, lease, completed(await claim_one(store, lease, alone=True)))

    assert report.state is JobState.COMPLETED


async def test_retried_crasher_starts_anew(store):
    """A retried crasher is no longer a suspect and has all its tries."""
    await create(store, 1)
    for alone in (False, False, True, True, True):
        await _crash(store, alone=alone)
    await store.batches.jobs.retry(OWNER, "job", None)

    held = await claim_one(store, await acquire_lease(store))

    assert (held.attempt, held.tries, held.runs_alone) == (6, 0, False)


async def test_failed_items_of_a_dead_worker_stay_failed(store):
    """Items that a dead worker had failed stay failed."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, _ = await claim(store, lease, 2)
    await commit(store, lease, failed(first))

    await die(store, lease)

    assert (await job(store)).counts == ItemCounts(pending=1, failed=1)
