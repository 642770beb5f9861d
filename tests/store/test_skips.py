"""Items that a user skips."""

import asyncio

import pytest

from backstay.batch.job import JobAction, JobState, Pause
from backstay.batch.progress import ItemCounts
from backstay.errors import InvalidTransition, ItemNotFound
from support.data.verdicts import completed, doomed, failed, retried, skipped
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job


async def _skip(store, *ids):
    return await store.batches.jobs.skip(OWNER, "job", ids)


def _attempts(store, position=0):
    columns = "number, worker, result, error_code, error_message, tokens_in, started_at = ended_at"
    return store.sql(f"SELECT {columns} FROM attempts WHERE position = {position} ORDER BY number")


async def test_pending_and_failed_items_become_skipped(store):
    """Skipped items count once, even if named twice, and the others stay unchanged."""
    await create(store, 5)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, failed(first), completed(second))

    assert await _skip(store, "item-1", "item-3", "item-1") == 2

    now = await job(store)
    assert (now.state, now.counts) == (JobState.RUNNING, ItemCounts(pending=2, completed=1, skipped=2))
    assert store.sql("SELECT id FROM items WHERE state = 'skipped' ORDER BY position") == [("item-1",), ("item-3",)]
    assert await store.batches.jobs.failures(OWNER, "job", after=-1, limit=9) == []


async def test_a_skip_is_recorded_as_an_attempt(store):
    """A skip is recorded as the next attempt, without worker and tokens, and later attempts continue from it."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease), delay=60))

    await _skip(store, "item-1")

    assert _attempts(store)[1:] == [(2, 0, "skipped", "skipped", "skipped by the user", 0, 1)]
    assert store.sql("SELECT attempt, worker, started_at FROM items") == [(2, None, None)]


async def test_skipped_items_are_not_processed(store):
    """A worker claims only the items that were not skipped, and the job ends with them."""
    await create(store, 2)
    await _skip(store, "item-1")
    lease = await acquire_lease(store)
    held = await claim(store, lease, 5)

    report = await commit(store, lease, *map(completed, held))

    assert [claimed.item.id for claimed in held] == ["item-2"]
    assert (report.state, report.counts) == (JobState.COMPLETED, ItemCounts(completed=1, skipped=1))


@pytest.mark.parametrize("remaining", ["one failed", "none failed", "running"])
async def test_a_job_with_nothing_left_settles(store, remaining):
    """A job whose last open items are skipped is settled, unless a worker still holds an item."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    verdict = {"one failed": failed, "none failed": skipped, "running": None}[remaining]
    await commit(store, lease, completed(first), *([verdict(second)] if verdict else []))

    await _skip(store, "item-3")

    now = await job(store)
    expected = {
        "one failed": JobState.COMPLETED_WITH_FAILURES,
        "none failed": JobState.COMPLETED,
        "running": JobState.RUNNING,
    }
    assert now.state is expected[remaining]
    assert (now.finished_at is None) == (remaining == "running")
    assert (await commit(store, lease, room=1)).state is now.state


async def test_a_finished_job_whose_failed_items_are_skipped_is_completed(store):
    """A finished job becomes completed when its last failed item is skipped, and not before."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, failed(first), failed(second), completed(third))
    await store.batches.work.release(lease)

    await _skip(store, "item-1")
    assert (await job(store)).state is JobState.COMPLETED_WITH_FAILURES
    await _skip(store, "item-2")

    now = await job(store)
    assert (now.state, now.counts) == (JobState.COMPLETED, ItemCounts(completed=1, skipped=2))
    assert await store.batches.jobs.jobs_to_clean(OWNER) == ["job"]


async def test_a_paused_job_keeps_its_pause(store):
    """Skipping the item that paused a job leaves the pause, and a resume processes the others."""
    await create(store, 2)
    lease = await acquire_lease(store)
    await commit(store, lease, doomed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    before = (await job(store)).pause

    await _skip(store, "item-1")

    now = await job(store)
    assert (now.state, now.pause) == (JobState.PAUSED, before)
    assert before == Pause("no_key", "there is no key", ((0, 1),))
    assert [claimed.item.id for claimed in await claim(store, await acquire_lease(store, name="b"), 5)] == ["item-2"]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["item-4", "none"], ItemNotFound, "Job 'job' has no item 'none'"),
        (["item-4", "item-1"], InvalidTransition, "is completed; only pending and failed items can be skipped"),
        (["item-4", "item-2"], InvalidTransition, "is running; only"),
        (["item-4", "item-3"], InvalidTransition, "is skipped; only"),
    ],
)
async def test_all_named_items_or_none(store, ids, error, message):
    """A skip with an item that cannot be skipped names it and changes no item."""
    await create(store, 4)
    lease = await acquire_lease(store)
    first, _, third = await claim(store, lease, 3)
    await commit(store, lease, completed(first), skipped(third))
    before, rows = await job(store), store.sql("SELECT * FROM items ORDER BY position")

    with pytest.raises(error) as caught:
        await _skip(store, *ids)

    assert caught.value.context["item_id"] == ids[-1]
    assert message in caught.value.message
    assert (await job(store), store.sql("SELECT * FROM items ORDER BY position")) == (before, rows)
    assert _attempts(store, 3) == []


async def test_a_cancelled_job_is_left_alone(store):
    """A cancelled job refuses skips."""
    await create(store, 1)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    with pytest.raises(InvalidTransition, match="Cannot skip: job 'job' is cancelled"):
        await _skip(store, "item-1")


async def test_nothing_named_changes_nothing(store):
    """A skip without items changes nothing, not even the job's time of update."""
    await create(store, 1)
    before = await job(store)
    store.clock.move(60)

    assert await _skip(store) == 0

    assert await job(store) == before


async def test_a_suspect_can_be_skipped(store):
    """A suspect can be skipped, so that it no longer blocks its job."""
    await create(store, 1)
    for name in "ab":
        lease = await acquire_lease(store, name=name)
        await claim_one(store, lease)
        await die(store, lease)

    await _skip(store, "item-1")

    now = await job(store)
    assert (now.state, now.counts) == (JobState.COMPLETED, ItemCounts(skipped=1))


async def test_of_a_skip_and_a_claim_one_gets_the_item(store):
    """With concurrent claims and skips each item is either processed or skipped, and the job is settled."""
    await create(store, 60)
    leases = [await acquire_lease(store, name=name) for name in "ab"]
    refused = []

    async def work(lease):
        while held := await claim(store, lease, 2):
            await commit(store, lease, *map(completed, held))

    async def skip():
        for number in range(60, 0, -1):
            try:
                await _skip(store, f"item-{number}")
            except InvalidTransition:
                refused.append(number)

    async with asyncio.timeout(60):
        await asyncio.gather(skip(), *map(work, leases))

    now = await job(store)
    assert (now.state, now.counts) == (
        JobState.COMPLETED,
        ItemCounts(completed=len(refused), skipped=60 - len(refused)),
    )
