"""The holder of an outdated token writes nothing."""

import asyncio

import pytest

from backstay.batch.job import JobState, Pause
from backstay.batch.progress import ItemCounts, ProviderWait
from backstay.batch.store import Lease
from backstay.errors import LeaseLost
from support.data.verdicts import completed, failed, retried
from support.fakes.clock import NOON
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create, die, job

pytestmark = pytest.mark.promise("B4")

_PAUSE = Pause("broken", "all")


async def _commit_completed(store, lease, held):
    await commit(store, lease, *map(completed, held))


async def _commit_failed(store, lease, held):
    await commit(store, lease, *map(failed, held))


async def _commit_retried(store, lease, held):
    await commit(store, lease, *map(retried, held))


async def _claim(store, lease, held):
    await claim(store, lease, 5)


async def _commit_nothing(store, lease, held):
    await commit(store, lease)


async def _requeue(store, lease, held):
    await store.batches.work.requeue(lease, [claimed.position for claimed in held], _PAUSE)


async def _beat(store, lease, held):
    await asyncio.to_thread(store.batches.work.beat, lease)


async def _mark_stopping(store, lease, held):
    await asyncio.to_thread(store.batches.work.mark_stopping, lease)


async def _note_waiting(store, lease, held):
    await store.batches.work.note_waiting(lease, ProviderWait("Rate limited by models.example", "429", NOON))


_WRITES = [
    _commit_completed,
    _commit_failed,
    _commit_retried,
    _claim,
    _commit_nothing,
    _requeue,
    _beat,
    _mark_stopping,
    _note_waiting,
]


async def _everything(store):
    tables = ("jobs", "workers", "items", "item_inputs", "attempts", "conversations", "turns")
    return {table: store.sql(f"SELECT * FROM {table}") for table in tables}


@pytest.mark.parametrize("write", _WRITES, ids=lambda write: write.__name__.strip("_"))
@pytest.mark.parametrize("is_claimed_again", [False, True])
async def test_worker_with_a_reclaimed_lease_writes_nothing(store, write, is_claimed_again):
    """A worker whose lease was reclaimed cannot write, whether its items are pending or held by its successor."""
    await create(store, 3)
    slow = await acquire_lease(store)
    held = await claim(store, slow, 2)
    fast = await acquire_lease(store, name="fast")
    await die(store, slow)
    if is_claimed_again:
        await claim(store, fast, 2)
    before = await _everything(store)

    with pytest.raises(LeaseLost):
        await write(store, slow, held)

    assert await _everything(store) == before


@pytest.mark.parametrize("write", _WRITES, ids=lambda write: write.__name__.strip("_"))
async def test_worker_that_left_writes_nothing(store, write):
    """A worker that released its lease cannot write."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 2)
    await store.batches.work.release(lease)
    before = await _everything(store)

    with pytest.raises(LeaseLost):
        await write(store, lease, held)

    assert await _everything(store) == before


@pytest.mark.parametrize("write", _WRITES, ids=lambda write: write.__name__.strip("_"))
@pytest.mark.parametrize("wrong", ["owner", "token"])
async def test_lease_that_was_never_given_writes_nothing(store, write, wrong):
    """A lease with another owner or an invented token cannot write."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 2)
    forged = Lease(
        owner="other" if wrong == "owner" else OWNER,
        job_key=lease.job_key,
        job_id=lease.job_id,
        token=lease.token + (wrong == "token"),
    )
    before = await _everything(store)

    with pytest.raises(LeaseLost):
        await write(store, forged, held)

    assert await _everything(store) == before


async def test_lease_of_one_job_is_none_on_another(store):
    """The token of one job's lease is not valid for another job."""
    await create(store, 2, job_id="one")
    await create(store, 2, job_id="two")
    lease_a, lease_b = await acquire_lease(store, "one"), await acquire_lease(store, "two")
    held = await claim(store, lease_b, 2)
    mixed = Lease(OWNER, lease_b.job_key, lease_b.job_id, lease_a.token)

    with pytest.raises(LeaseLost):
        await commit(store, mixed, *map(completed, held))

    assert (await job(store, "two")).counts == ItemCounts(running=2)


async def test_late_worker_whose_token_is_current_continues(store):
    """A worker may write however late it is, as long as no other has reclaimed its lease."""
    await create(store, 1)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 1)
    store.clock.move(86_400)

    report = await commit(store, lease, *map(completed, held))

    assert report.state is JobState.COMPLETED


async def test_release_is_idempotent(store):
    """Releasing a lease again, even after it was reclaimed, changes nothing."""
    await create(store, 2)
    first, second = await acquire_lease(store), await acquire_lease(store, name="b")
    await claim(store, first, 1)
    await claim(store, second, 1)
    await store.batches.work.release(first)
    await die(store, second)
    before = await _everything(store)

    await store.batches.work.release(first)
    await store.batches.work.release(second)

    assert await _everything(store) == before
    assert (await job(store)).counts == ItemCounts(pending=2)
