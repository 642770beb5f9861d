"""Stopping a run: gracefully, at once, by cancelling its caller, or by an action on its job."""

import asyncio
import threading
import time

import pytest

from backstay import Backstay, ItemCounts, JobState, Retry, StopSignal
from backstay.batch.executor import Executor
from backstay.batch.lease import LeaseMonitor
from backstay.batch.worker import EndReason
from backstay.errors import InvalidTransition, JobHasWorkers, Stopped, StorageError
from backstay.remedy import Remedy
from support.data.conversations import conversation, items
from support.fakes.processors import Gate, Writer
from support.fakes.workers import card
from support.faults.batch_invariants import violations
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.promise("B1", "B6")


@pytest.fixture
def noticed(monkeypatch):
    """Return an event that is set when a worker has noticed the stop."""
    seen, abandon_waiting = asyncio.Event(), Executor.abandon_waiting

    def noted(calls):
        abandon_waiting(calls)
        seen.set()

    monkeypatch.setattr(Executor, "abandon_waiting", noted)
    return seen


def _start(backstay, process, count=10, **options):
    """Start a run as a task."""
    return asyncio.create_task(backstay.batches.run("batch", items(count), process, **options))


# -- stop requests ---------------------------------------------------------------------------------


async def test_stop_lets_calls_in_flight_finish(backstay, noticed):
    """A stop starts no new calls and stores the results of those in flight, and the job can be resumed."""
    stop, gate = StopSignal(), Gate()
    running = _start(backstay, gate, concurrency=3, stop=stop)
    await gate.reached(3)

    stop.request()
    await asyncio.wait_for(noticed.wait(), PATIENCE_SECONDS)
    gate.open()
    result = await running

    assert (result.ending, result.state) == (EndReason.STOPPED, JobState.INTERRUPTED)
    assert result.counts == ItemCounts(pending=7, completed=3)
    assert (len(gate.calls), gate.cancelled) == (3, [])
    assert (await backstay.batches.run("batch", items(10), Writer())).counts == ItemCounts(completed=10)


async def test_grace_is_bounded(backstay):
    """Calls that exceed the grace period are cancelled, and their items released without a counted try."""
    stop, gate, attempts = StopSignal(), Gate(), {}
    running = _start(backstay, gate, concurrency=3, stop=stop, grace_seconds=0.1)
    await gate.reached(3)
    asked_at = time.monotonic()

    stop.request()
    result = await running

    assert 0.09 <= time.monotonic() - asked_at < 9
    assert result.counts == ItemCounts(pending=10)
    assert len(gate.cancelled) == 3

    def answer(item, work):
        attempts[item.id] = work.attempt

    await backstay.batches.run("batch", items(10), Writer(answer), max_attempts=1)
    assert attempts["item-1"] == 2


async def test_stop_at_once_gives_no_grace(backstay):
    """A stop with `at_once` ends the run at once, regardless of the grace period."""
    stop, gate = StopSignal(), Gate()
    running = _start(backstay, gate, stop=stop, grace_seconds=600)
    await gate.reached(10)

    stop.request(at_once=True)
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert result.counts == ItemCounts(pending=10)


async def test_second_request_takes_the_grace_away(backstay, noticed):
    """A second request with `at_once`, as by a second Ctrl-C, ends the grace period."""
    stop, gate = StopSignal(), Gate()
    running = _start(backstay, gate, stop=stop, grace_seconds=600)
    await gate.reached(10)

    stop.request()
    await asyncio.wait_for(noticed.wait(), PATIENCE_SECONDS)
    assert not running.done()
    stop.request(at_once=True)
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert (result.ending, result.counts) == (EndReason.STOPPED, ItemCounts(pending=10))


async def test_stop_may_be_requested_from_a_thread(backstay):
    """A stop may be requested from another thread."""
    stop, gate = StopSignal(), Gate()
    running = _start(backstay, gate, stop=stop)
    await gate.reached(10)

    threading.Thread(target=stop.request, kwargs={"at_once": True}).start()
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert result.ending is EndReason.STOPPED


async def test_stop_is_marked_once_while_calls_are_in_flight(backstay, monkeypatch):
    """A stop that is requested twice is marked once in the database, without waiting for the calls in flight."""
    stop, gate, marked = StopSignal(), Gate(), []
    monkeypatch.setattr(backstay._store.batches.work, "mark_stopping", marked.append)
    running = _start(backstay, gate, concurrency=2, stop=stop)
    await gate.reached(2)

    stop.request()
    await until(lambda: marked)
    stop.request()
    await running

    assert [lease.job_id for lease in marked] == ["batch"]


async def test_stop_that_cannot_be_marked_is_logged(backstay, monkeypatch, caplog):
    """A failure to mark a stop in the database is logged while the run goes on, and the run ends like any other."""
    stop, gate = StopSignal(), Gate()

    def fail(_):
        raise StorageError("The disk is gone")

    monkeypatch.setattr(backstay._store.batches.work, "mark_stopping", fail)
    running = _start(backstay, gate, concurrency=2, stop=stop)
    await gate.reached(2)

    stop.request()
    await until(lambda: "stop_mark_failed" in caplog.messages)
    gate.open()

    assert (await running).ending is EndReason.STOPPED


async def test_stop_before_all_items_are_in_makes_no_job(backstay, path):
    """A stop before all items are read makes no call and leaves nothing behind."""
    stop, write = StopSignal(), Writer()

    def input_items():
        yield from items(1_500)
        stop.request()
        yield from items(1_500, start=1_501)

    with pytest.raises(Stopped):
        await backstay.batches.run("batch", input_items(), write, stop=stop)

    assert write.calls == []
    assert await backstay.batches.list() == []
    assert await backstay._store.batches.intake.orphaned_staging("local") == []


async def test_stop_that_was_requested_before_makes_no_call(backstay):
    """A run whose stop was requested before makes no call, and its job exists unchanged."""
    stop, write = StopSignal(), Writer()
    await backstay.batches.run("batch", items(5), Writer(), limit=1)
    stop.request()

    result = await backstay.batches.resume("batch", write, stop=stop)

    assert (result.ending, result.counts) == (EndReason.STOPPED, ItemCounts(pending=4, completed=1))
    assert write.calls == []


async def test_stop_does_not_wait_for_retries(backstay):
    """A stop leaves items that wait for their next try pending."""
    stop = StopSignal()

    def answer(item, _):
        if item.id == "item-5":
            asyncio.get_running_loop().call_later(0.05, stop.request)
        return Retry(after_seconds=300)

    running = backstay.batches.run("batch", items(5), Writer(answer), stop=stop)
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert result.counts == ItemCounts(pending=5)


async def test_blocking_calls_do_not_hold_up_a_stop(backstay):
    """A stop does not wait for a hanging thread after the grace period."""
    stop, release, entered = StopSignal(), threading.Event(), threading.Event()

    def process(item):
        entered.set()
        release.wait(2 * PATIENCE_SECONDS)

    running = _start(backstay, process, concurrency=2, stop=stop, grace_seconds=0.05)
    await until(entered.is_set)
    stop.request()
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)
    release.set()

    assert result.counts == ItemCounts(pending=10)


# -- cancellation of the caller --------------------------------------------------------------------


async def test_cancelled_caller_releases_what_is_in_flight(backstay):
    """A cancelled run stores finished results, releases items in flight at once, and raises CancelledError."""
    gate, finished = Gate(), conversation("quick")

    async def process(item):
        return finished if item.id == "item-1" else await gate(item)

    running = _start(backstay, process, concurrency=4)
    await gate.reached(4)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    job = await backstay.batches.checkpoint("batch")
    assert (job.state, job.counts, job.workers) == (JobState.INTERRUPTED, ItemCounts(pending=9, completed=1), 0)
    assert len(gate.cancelled) == 4


async def test_time_out_around_a_run(backstay):
    """A time-out around a run cancels it like any task, and the next run continues."""
    gate = Gate()

    async def expire(limit):
        await gate.reached(5)
        limit.reschedule(asyncio.get_running_loop().time())

    async def run():
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            group.create_task(expire(limit))
            await backstay.batches.run("batch", items(5), gate)

    with pytest.raises(TimeoutError):
        await run()

    assert (await backstay.batches.run("batch", items(5), Writer())).counts == ItemCounts(completed=5)


async def test_caller_cancelled_while_a_job_is_made(backstay, path):
    """Cancelling a run while it creates its job leaves nothing behind."""
    waiting = asyncio.Event()

    async def input_items():
        for item in items(1_500):
            yield item
        waiting.set()
        await asyncio.Event().wait()  # hangs

    running = asyncio.create_task(backstay.batches.run("batch", input_items(), Writer()))
    await waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await backstay.batches.list() == []
    assert await backstay._store.batches.intake.orphaned_staging("local") == []


async def test_program_that_ends_in_the_middle_leaves_a_resumable_job(path):
    """Closing the library during a run, as an error elsewhere does, leaves a resumable job."""
    gate = Gate()

    async def program():
        async with Backstay.open(path) as backstay, asyncio.TaskGroup() as group:
            group.create_task(backstay.batches.run("batch", items(6), gate, concurrency=2))
            await gate.reached(2)
            raise ValueError("elsewhere")

    with pytest.raises(ExceptionGroup):
        await program()
    async with Backstay.open(path) as backstay:
        assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(pending=6)
        result = await backstay.batches.run("batch", items(6), Writer())

    assert result.counts == ItemCounts(completed=6)
    assert violations(path) == []


# -- actions on the job ----------------------------------------------------------------------------


async def test_paused_job_stops_its_worker(backstay):
    """A pause stops a worker in any process after its calls in flight, and the job has the reason."""
    gate = Gate()
    running = _start(backstay, gate, concurrency=2)
    await gate.reached(2)

    paused = await backstay.batches.pause("batch")
    gate.open()
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert (paused.state, paused.pause.code) == (JobState.PAUSED, "by_user")
    assert (result.ending, result.state, result.pause.code) == (EndReason.PAUSED, JobState.PAUSED, "by_user")
    assert result.counts == ItemCounts(pending=8, completed=2)
    assert (await backstay.batches.resume("batch", Writer())).state is JobState.COMPLETED


async def test_pause_is_noticed_while_all_slots_are_taken(backstay):
    """A worker notices a pause even if none of its calls ends for long."""
    gate = Gate()
    running = _start(backstay, gate, grace_seconds=0.05)
    await gate.reached(10)

    await backstay.batches.pause("batch")
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert (result.ending, result.counts) == (EndReason.PAUSED, ItemCounts(pending=10))


async def test_cancelled_job_stops_for_good(backstay):
    """A cancelled job stops permanently, and its conversations stay."""
    gate = Gate()
    running = _start(backstay, gate, concurrency=2)
    await gate.reached(2)

    await backstay.batches.cancel("batch")
    gate.open()
    result = await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert (result.ending, result.state) == (EndReason.CANCELLED, JobState.CANCELLED)
    assert result.counts == ItemCounts(pending=8, completed=2)
    with pytest.raises(InvalidTransition):
        await backstay.batches.run("batch", items(10), Writer())


async def test_job_is_not_discarded_under_a_worker(backstay, monkeypatch):
    """Discarding a job with a living worker is refused at the first look at its workers."""
    gate, polls, poll = Gate(), [], LeaseMonitor.poll
    running = _start(backstay, gate)
    await gate.reached(10)
    monkeypatch.setattr(LeaseMonitor, "poll", lambda monitor, *own: polls.append(own) or poll(monitor, *own))

    with pytest.raises(JobHasWorkers) as caught:
        await asyncio.wait_for(backstay.batches.discard("batch"), PATIENCE_SECONDS)
    assert caught.value.remedy is Remedy.CANCEL_JOB
    assert polls.count(()) == 1
    gate.open()

    assert (await running).completed == 10


async def test_job_is_not_discarded_under_a_worker_of_another_host(path, monkeypatch):
    """Discarding a job is refused if a worker of another host still sends beats after slightly more than a lease."""
    monkeypatch.setenv("BACKSTAY_LEASE_SECONDS", "0.2")
    async with Backstay.open(path) as backstay:
        await backstay.batches.create("batch", items(1), "scripted")
        work = backstay._store.batches.work
        lease = (await work.acquire_lease("local", "batch", card(), after_lease_loss=False)).lease
        poll = LeaseMonitor.poll

        async def poll_between_beats(monitor):
            work.beat(lease)
            return await poll(monitor)

        monkeypatch.setattr(LeaseMonitor, "poll", poll_between_beats)
        with pytest.raises(JobHasWorkers):
            await asyncio.wait_for(backstay.batches.discard("batch"), PATIENCE_SECONDS)


async def test_actions_on_a_finished_job_are_refused(backstay):
    """A finished job is neither paused nor cancelled."""
    await backstay.batches.run("batch", items(1), Writer())

    with pytest.raises(InvalidTransition, match="Cannot pause: job 'batch' is completed"):
        await backstay.batches.pause("batch")
    with pytest.raises(InvalidTransition):
        await backstay.batches.cancel("batch")
    assert await backstay.batches.retry("batch") == 0
