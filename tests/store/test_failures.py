"""Failures in the order of their commits, so that a reader can ask for those after the last one seen."""

import asyncio

import pytest

from backstay.batch.outcome import AttemptUsage
from backstay.errors import JobNotFound
from support.data.verdicts import completed, failed, retried
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die


async def _since(store, after=0, *, limit=100, owner=OWNER):
    return await store.batches.jobs.failures_since(owner, "job", after=after, limit=limit)


async def _last(store):
    return await store.batches.jobs.last_failure(OWNER, "job")


async def test_failures_come_in_the_order_of_their_commits(store):
    """Failures are listed once each in the order of their commits, with the attempt that settled the item."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, failed(third, "late"))
    await commit(store, lease, completed(second), failed(first, "early"))

    failures = await _since(store)

    assert [(failure.item_id, failure.attempt, failure.error_code) for failure in failures] == [
        ("item-3", 1, "late"),
        ("item-1", 1, "early"),
    ]
    assert failures[0].sequence < failures[1].sequence == await _last(store)
    assert await _since(store, failures[0].sequence) == failures[1:]
    assert await _since(store, limit=1) == failures[:1]


async def test_the_codes_of_failed_items_are_listed(store):
    """Each code of a failed item is listed once, with whether a raw answer is stored for it."""
    await create(store, 4)
    lease = await acquire_lease(store)
    first, second, third, fourth = await claim(store, lease, 4)
    await commit(store, lease, failed(first, "length"), failed(second, "length", usage=AttemptUsage(raw="{")))
    await commit(store, lease, failed(third, "refused"), retried(fourth))

    assert await store.batches.jobs.failure_codes(OWNER, "job") == {"length": True, "refused": False}


async def test_a_try_that_may_be_repeated_is_no_failure(store):
    """A try is listed as a failure only if it is the item's last one."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    assert (await _since(store), await _last(store)) == ([], 0)

    await commit(store, lease, failed(await claim_one(store, lease)))

    assert [failure.attempt for failure in await _since(store)] == [2]


async def test_an_item_that_fails_again_is_listed_again(store):
    """An item that fails again is listed again with a new number, and its first failure stays unchanged."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease), "first"))
    await store.batches.jobs.retry(OWNER, "job", None)
    again = await acquire_lease(store, name="b")
    await commit(store, again, failed(await claim_one(store, again), "second"))

    assert [failure.error_code for failure in await _since(store)] == ["first", "second"]


async def test_an_item_that_crashes_its_workers_is_listed(store):
    """An item that fails when its lease is reclaimed is listed like any other failure."""
    await create(store, 1)
    for name in ("a", "b"):
        lease = await acquire_lease(store, name=name)
        await claim_one(store, lease)
        await die(store, lease)
    lease = await acquire_lease(store, name="c")
    await claim_one(store, lease, alone=True)
    await die(store, lease, crash_limit=1)

    assert [failure.error_code for failure in await _since(store)] == ["crashed_worker"]


async def test_discarding_and_cleaning_leave_nothing(store):
    """No failure is left of a discarded job, or of a cleaned job whose failures were retried."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await store.batches.jobs.retry(OWNER, "job", None)
    again = await acquire_lease(store, name="b")
    await commit(store, again, completed(await claim_one(store, again)))
    await store.batches.work.release(again)
    await store.batches.work.release(lease)

    while await store.batches.jobs.clean_step(OWNER, "job"):
        pass

    assert store.sql("SELECT * FROM failures") == []


@pytest.mark.parametrize("call", [_since, lambda s, **named: s.batches.jobs.last_failure(named["owner"], "job")])
async def test_foreign_failures_are_not_found(store, call):
    """The failures of another owner's job raise JobNotFound, like those of a missing job."""
    await create(store, 1)

    with pytest.raises(JobNotFound):
        await call(store, owner="you")


async def test_no_failure_is_ever_missed(store):
    """A reader that asks from its last failure on misses none of those that concurrent workers commit."""
    await create(store, 120)
    leases = [await acquire_lease(store, name=name) for name in "abc"]
    seen: list[int] = []

    async def work(lease):
        while held := await claim(store, lease, 4):
            await commit(store, lease, *map(failed, held))

    async def read():
        while len(seen) < 120:
            page = await _since(store, seen[-1] if seen else 0, limit=7)
            seen.extend(failure.sequence for failure in page)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *map(work, leases))

    assert len(await _since(store, limit=1_000)) == len(set(seen)) == 120
