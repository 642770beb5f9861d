"""Several runs of one job, several openings of one library, and several owners in it."""

import asyncio

import apsw
import pytest

from backstay import Backstay, ItemCounts, JobState, Selection, StopSignal
from backstay.batch.worker import EndReason, Worker
from backstay.errors import ConversationNotFound, JobNotFound, StoreBusy
from backstay.storage.sqlite import connection
from support.data.conversations import conversation, items
from support.fakes.processors import Gate, Writer
from support.faults.batch_invariants import violations
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS
from support.stores.kinds import DATABASES

pytestmark = pytest.mark.promise("B1", "B2", "B4")


async def test_two_runs_at_once_share_one_job(backstay):
    """Two concurrent runs process each item once between them, and both end when all is done."""
    first, second = Writer(), Writer()

    results = await asyncio.gather(
        backstay.batches.run("batch", items(300), first, concurrency=5),
        backstay.batches.run("batch", items(300), second, concurrency=5),
    )

    assert [result.counts for result in results] == [ItemCounts(completed=300)] * 2
    assert sorted(first.calls + second.calls) == sorted(item["id"] for item in items(300))
    assert await backstay.conversations.count(Selection(job_id="batch")) == 300


async def test_many_runs_at_once_make_one_job(backstay):
    """Of many concurrent runs that create a job, exactly one creates it."""
    writers = [Writer() for _ in range(8)]

    results = await asyncio.gather(*(backstay.batches.run("batch", items(40), writer) for writer in writers))

    assert sum(result.created.is_new for result in results) == 1
    assert [job.id for job in await backstay.batches.list()] == ["batch"]
    assert sorted(call for writer in writers for call in writer.calls) == sorted(item["id"] for item in items(40))


async def test_library_may_be_opened_twice(path):
    """Two openings of a library in one process share its data and process jobs concurrently."""
    first, second = Writer(), Writer()
    async with Backstay.open(path) as left, Backstay.open(path) as right:
        results = await asyncio.gather(
            left.batches.run("batch", items(200), first, concurrency=4),
            right.batches.run("batch", items(200), second, concurrency=4),
        )
        seen = await right.conversations.count(Selection(everything=True))

    assert {result.state for result in results} == {JobState.COMPLETED}
    assert (len(first.calls) + len(second.calls), seen) == (200, 200)
    assert violations(path) == []


async def test_second_worker_waits_for_what_the_first_holds(backstay, monkeypatch):
    """A worker with nothing to claim waits until the items of the other are settled."""
    gate, write, waits = Gate(), Writer(), asyncio.Event()
    wait = Worker._wait

    async def noted(worker, report):
        if report.counts == ItemCounts(running=2, completed=2) and not len(worker._executor):
            waits.set()  # the second worker has nothing to do and waits
        await wait(worker, report)

    monkeypatch.setattr(Worker, "_wait", noted)
    first = asyncio.create_task(backstay.batches.run("batch", items(4), gate, concurrency=2))
    await gate.reached(2)
    second = asyncio.create_task(backstay.batches.run("batch", items(4), write))
    await asyncio.wait_for(waits.wait(), PATIENCE_SECONDS)
    assert len(write.calls) == 2
    assert not second.done()

    gate.open()

    assert (await first).counts == (await second).counts == ItemCounts(completed=4)


async def test_second_worker_takes_what_the_first_releases(backstay):
    """A second worker processes the items that a stopped worker releases."""
    gate, write = Gate(), Writer()
    first = asyncio.create_task(backstay.batches.run("batch", items(6), gate, concurrency=3))
    await gate.reached(3)
    second = asyncio.create_task(backstay.batches.run("batch", items(6), write))
    await until(lambda: len(write.calls) == 3)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert (await asyncio.wait_for(second, PATIENCE_SECONDS)).counts == ItemCounts(completed=6)
    assert len(write.calls) == 6


async def test_run_whose_lease_was_reclaimed_starts_anew(backstay):
    """A run whose lease another worker reclaimed continues under a new lease until all items are completed."""
    work, reclaimed = backstay._store.batches.work, []

    async def process(item):
        if not reclaimed:
            reclaimed.extend(await work.workers("local", "batch"))
            assert await work.reclaim("local", reclaimed[0], crash_limit=3)
        return conversation(item.topic)

    result = await backstay.batches.run("batch", items(5), process)

    assert (result.ending, result.counts) == (EndReason.FINISHED, ItemCounts(completed=5))


async def test_several_jobs_run_side_by_side(backstay):
    """Several jobs run concurrently in one library."""
    results = await asyncio.gather(*(backstay.batches.run(f"batch-{n}", items(30), Writer()) for n in range(5)))

    assert [result.counts for result in results] == [ItemCounts(completed=30)] * 5
    assert await backstay.conversations.count(Selection(everything=True)) == 150


# -- other programs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DATABASES[:1], indirect=True, ids=["sqlite"])
async def test_lock_of_another_program_only_delays_a_run(path, monkeypatch, caplog):
    """While another program locks the database, results wait; none is lost and no call repeated."""
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    write = Writer()
    async with Backstay.open(path) as backstay, asyncio.TaskGroup() as group:
        await backstay.batches.create("batch", items(40), "scripted")
        other = apsw.Connection(str(path))
        other.set_busy_timeout(60_000)

        async def let_go():
            await until(lambda: caplog.messages.count("database_unavailable_retrying") >= 2)
            other.execute("ROLLBACK")

        async def process(item, work):
            if item.id == "item-8":
                other.execute("BEGIN IMMEDIATE")
                group.create_task(let_go())
            return await write(item, work)

        result = await backstay.batches.resume("batch", process, concurrency=4)
        other.close()

    assert result.counts == ItemCounts(completed=40)
    assert sorted(write.calls) == sorted(item["id"] for item in items(40))
    assert violations(path) == []


@pytest.mark.parametrize("path", DATABASES[:1], indirect=True, ids=["sqlite"])
async def test_stop_does_not_wait_for_the_lock_of_another_program(path, monkeypatch, caplog):
    """A stop during another program's lock ends the run with that error, and unwritten items become pending."""
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    stop = StopSignal()
    async with Backstay.open(path) as backstay, asyncio.TaskGroup() as group:
        await backstay.batches.create("batch", items(6), "scripted")
        other = apsw.Connection(str(path))
        other.set_busy_timeout(60_000)

        async def stop_when_it_waits():
            await until(lambda: "database_unavailable_retrying" in caplog.messages)
            stop.request()

        async def process(item):
            if not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
                group.create_task(stop_when_it_waits())
            return conversation(item.topic)

        with pytest.raises(StoreBusy):
            await backstay.batches.resume("batch", process, concurrency=2, stop=stop)
        other.execute("ROLLBACK")
        other.close()
        assert (await backstay.batches.checkpoint("batch")).state is JobState.INTERRUPTED
        result = await backstay.batches.resume("batch")

    assert result.counts == ItemCounts(completed=6)
    assert violations(path) == []


# -- owners ----------------------------------------------------------------------------------------


async def test_job_of_another_owner_is_not_there(path):
    """Another owner's job is not found, and its name is free."""
    async with Backstay.open(path, owner="me") as mine, Backstay.open(path, owner="you") as yours:
        await mine.batches.run("batch", items(3), Writer())
        (stored,) = [
            stored
            async for stored in mine.conversations.export(Selection(everything=True))
            if stored.item_id == "item-1"
        ]

        assert await yours.batches.list() == []
        assert await yours.conversations.list() == []
        for call in (
            yours.batches.checkpoint("batch"),
            yours.batches.resume("batch", Writer()),
            yours.batches.discard("batch"),
            yours.batches.retry("batch"),
        ):
            with pytest.raises(JobNotFound):
                await call
        with pytest.raises(ConversationNotFound):
            await yours.conversations.show(stored.id)
        with pytest.raises(ConversationNotFound):
            async for _ in yours.conversations.export(Selection(ids=(stored.id,))):
                pass

        assert (await yours.batches.run("batch", items(5), Writer())).counts == ItemCounts(completed=5)
        assert (await mine.batches.checkpoint("batch")).counts == ItemCounts(completed=3)
        assert await mine.conversations.count(Selection(everything=True)) == 3


async def test_owner_is_set_in_the_environment(path, monkeypatch):
    """The owner is that of the environment variable, or `local`."""
    monkeypatch.setenv("BACKSTAY_OWNER", "you")
    async with Backstay.open(path) as yours:
        await yours.batches.run("batch", items(1), Writer())
        assert (await yours.batches.checkpoint("batch")).owner == "you"
    monkeypatch.delenv("BACKSTAY_OWNER")

    async with Backstay.open(path) as local:
        assert await local.batches.list() == []
