"""What failed, in the order of the commits: who has seen one failing can ask for those after it."""

import asyncio

import pytest

from backstay.batch.outcome import AttemptUsage
from backstay.errors import JobNotFound
from support.jobs import OWNER, claim, claim_one, commit, create, die, enter
from support.verdicts import completed, failed, retried


async def _since(store, after=0, *, limit=100, owner=OWNER):
    return await store.batches.jobs.failures_since(owner, "job", after=after, limit=limit)


async def _last(store):
    return await store.batches.jobs.last_failure(OWNER, "job")


async def test_failings_come_in_the_order_of_their_commits(store):
    """Whatever the order of the items; and each once, with the attempt that settled it."""
    await create(store, 3)
    lease = await enter(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, failed(third, "late"))
    await commit(store, lease, completed(second), failed(first, "early"))

    found = await _since(store)

    assert [(one.item_id, one.attempt, one.error_code) for one in found] == [
        ("item-3", 1, "late"),
        ("item-1", 1, "early"),
    ]
    assert found[0].sequence < found[1].sequence == await _last(store)
    assert await _since(store, found[0].sequence) == found[1:]
    assert await _since(store, limit=1) == found[:1]


async def test_the_codes_of_failed_items_are_told_with_their_answers(store):
    """Each once, of the attempts that settled items; and whether one of them kept what came."""
    await create(store, 4)
    lease = await enter(store)
    first, second, third, fourth = await claim(store, lease, 4)
    await commit(store, lease, failed(first, "length"), failed(second, "length", usage=AttemptUsage(raw="{")))
    await commit(store, lease, failed(third, "refused"), retried(fourth))

    assert await store.batches.jobs.failure_codes(OWNER, "job") == {"length": True, "refused": False}


async def test_a_try_that_may_be_repeated_is_no_failing(store):
    """Until it is the last one."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    assert (await _since(store), await _last(store)) == ([], 0)

    await commit(store, lease, failed(await claim_one(store, lease)))

    assert [one.attempt for one in await _since(store)] == [2]


async def test_an_item_that_fails_again_is_told_again(store):
    """With another number; the first failing stays what it was."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, failed(await claim_one(store, lease), "first"))
    await store.batches.jobs.retry(OWNER, "job", None)
    again = await enter(store, name="b")
    await commit(store, again, failed(await claim_one(store, again), "second"))

    assert [one.error_code for one in await _since(store)] == ["first", "second"]


async def test_an_item_that_crashes_its_workers_is_told(store):
    """The takeover fails it, and no worker's commit."""
    await create(store, 1)
    for name in ("a", "b"):
        lease = await enter(store, name=name)
        await claim_one(store, lease)
        await die(store, lease)
    lease = await enter(store, name="c")
    await claim_one(store, lease, alone=True)
    await die(store, lease, crash_limit=1)

    assert [one.error_code for one in await _since(store)] == ["crashed_worker"]


async def test_discarding_and_cleaning_leave_nothing(store):
    """Neither of a job that is gone, nor of one whose failures were mended."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await store.batches.jobs.retry(OWNER, "job", None)
    again = await enter(store, name="b")
    await commit(store, again, completed(await claim_one(store, again)))
    await store.batches.work.release(again)
    await store.batches.work.release(lease)

    while await store.batches.jobs.clean_step(OWNER, "job"):
        pass

    assert store.sql("SELECT * FROM failures") == []


@pytest.mark.parametrize("asked", [_since, lambda s, **named: s.batches.jobs.last_failure(named["owner"], "job")])
async def test_foreign_failings_are_not_seen(store, asked):
    """A foreign job answers as a missing one."""
    await create(store, 1)

    with pytest.raises(JobNotFound):
        await asked(store, owner="you")


async def test_no_failing_is_ever_seen_late(store):
    """Workers that fail items at once, and a reader who always goes on from the last one seen: none is missed."""
    await create(store, 120)
    leases = [await enter(store, name=name) for name in "abc"]
    seen: list[int] = []

    async def work(lease):
        while held := await claim(store, lease, 4):
            await commit(store, lease, *map(failed, held))

    async def read():
        while len(seen) < 120:
            page = await _since(store, seen[-1] if seen else 0, limit=7)
            seen.extend(one.sequence for one in page)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *map(work, leases))

    assert len(await _since(store, limit=1_000)) == len(set(seen)) == 120
