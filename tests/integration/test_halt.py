"""If every item would fail, the job pauses after a few, without harm to the items."""

import asyncio
from dataclasses import replace

import pytest

from backstay import Fail, Halt, ItemCounts, JobState, Retry, Selection
from backstay.batch.executor import Executor
from backstay.batch.worker import EndReason, Worker
from support.data.conversations import conversation, items
from support.fakes.processors import Gate, Writer
from support.harness.async_waiting import until

pytestmark = pytest.mark.promise("B5", "B6")


async def test_halt_pauses_the_job(backstay):
    """A `Halt` pauses the job with its reason, leaves its items pending, and stops further calls."""
    write = Writer(lambda item, _: Halt("the key is wrong", code="http_401"))

    result = await backstay.batches.run("batch", items(50), write, concurrency=4)

    assert (result.ending, result.state) == (EndReason.PAUSED, JobState.PAUSED)
    assert (result.pause.code, result.pause.message) == ("http_401", "the key is wrong")
    assert result.counts == ItemCounts(pending=50)
    assert len(write.calls) <= 8
    assert (await backstay.batches.checkpoint("batch")).workers == 0


async def test_calls_in_flight_during_a_halt_are_stored(backstay):
    """The results of calls in flight during a `Halt` are stored, since they were paid for."""

    def answer(item, _):
        return Halt("quota exhausted") if item.id == "item-3" else conversation(item.topic)

    result = await backstay.batches.run("batch", items(5), Writer(answer), concurrency=5)

    assert result.counts == ItemCounts(pending=1, completed=4)
    assert await backstay.conversations.count(Selection(job_id="batch")) == 4


async def test_fixed_job_resumes(backstay):
    """A job resumes after a `Halt` is fixed, and the halted tries do not count."""
    attempts = {}

    def answer(item, work):
        attempts[item.id] = work.attempt
        return conversation(item.topic)

    for _ in range(3):
        await backstay.batches.run("batch", items(3), Writer(lambda *_: Halt("no key")), max_attempts=1, concurrency=1)
    result = await backstay.batches.run("batch", items(3), Writer(answer), max_attempts=1)

    assert (result.state, result.pause) == (JobState.COMPLETED, None)
    assert attempts == {"item-1": 4, "item-2": 1, "item-3": 1}


@pytest.mark.parametrize(("concurrency", "most"), [(1, 20), (8, 20), (50, 50)])
async def test_one_error_over_all_first_calls_pauses_the_job(backstay, concurrency, most):
    """After max(20, concurrency) first calls with one error the job pauses, and its items are requeued."""
    write = Writer(lambda *_: Fail("no such model", code="http_404"))

    result = await backstay.batches.run("batch", items(120), write, concurrency=concurrency)

    assert len(write.calls) == most
    assert (result.ending, result.state) == (EndReason.PAUSED, JobState.PAUSED)
    assert result.counts == ItemCounts(pending=120)
    assert result.pause.code == "http_404"
    assert result.pause.message == f"the first {most} calls all ended in http_404: no such model"


async def test_processor_with_a_mistake_pauses_the_job(backstay):
    """A bug in the user's function pauses the job after twenty calls."""

    def process(item):
        return item.parameters["temprature"]

    result = await backstay.batches.run("batch", items(200), process, concurrency=4)

    assert result.counts == ItemCounts(pending=200)
    assert result.pause.code == "processor_error.KeyError"


async def test_fixed_job_has_all_its_tries(backstay):
    """Items requeued by the breaker have all their tries after the error is fixed."""
    await backstay.batches.run("batch", items(30), Writer(lambda *_: Fail("no")), max_attempts=1)

    result = await backstay.batches.run("batch", items(30), Writer(), max_attempts=1)

    assert result.counts == ItemCounts(completed=30)


@pytest.mark.parametrize("innocent", [1, 10, 20])
async def test_one_that_works_lets_the_others_be_tried(backstay, innocent):
    """After one success failures count as the items' own, as long as they do not fill the window."""
    write = Writer(lambda item, _: conversation() if item.id == f"item-{innocent}" else Fail("no"))

    result = await backstay.batches.run("batch", items(45), write, concurrency=4)

    assert (result.state, result.counts) == (JobState.COMPLETED_WITH_FAILURES, ItemCounts(completed=1, failed=44))
    assert len(write.calls) == 45


async def test_what_breaks_after_a_good_run_pauses_the_job(backstay):
    """Failures after a hundred successes pause the job, and all items in the window are requeued."""
    write = Writer(lambda item, _: conversation() if int(item.id[5:]) <= 100 else Fail("no", code="length"))

    result = await backstay.batches.run("batch", items(400), write, concurrency=4)

    assert (result.ending, result.pause.code) == (EndReason.PAUSED, "length")
    assert result.counts == ItemCounts(completed=100, pending=300)
    assert len(write.calls) <= 100 + 50 + 4


async def test_tries_that_are_repeated_pause_the_job_too(backstay):
    """Retried items with unusable answers pause the job too, and get all their tries back."""

    def answer(item, work):
        work.raw("I would rather talk.")
        return Retry("it is no JSON", after_seconds=0.0, code="unreadable_answer")

    write = Writer(answer)

    result = await backstay.batches.run("batch", items(200), write, concurrency=4)
    mended = await backstay.batches.run("batch", items(200), Writer(), max_attempts=3)

    assert (result.ending, result.pause.code) == (EndReason.PAUSED, "unreadable_answer")
    assert len(write.calls) <= 50 + 4
    assert mended.counts == ItemCounts(completed=200)


async def test_call_that_ends_during_a_requeue_is_requeued_too(backstay, monkeypatch):
    """An item whose call fails while the others are requeued is requeued as well."""
    late, requeue = asyncio.Event(), Worker._requeue

    async def requeue_while_it_ends(worker, pause):
        await requeue(worker, pause)
        late.set()
        await until(lambda: not len(worker._executor))

    async def process(item):
        if item.id == "item-1":
            return conversation()
        if item.id == "item-30":
            await late.wait()
        return Fail("no")

    monkeypatch.setattr(Worker, "_requeue", requeue_while_it_ends)
    result = await backstay.batches.run("batch", items(100), process, concurrency=4)

    assert (result.state, result.counts) == (JobState.PAUSED, ItemCounts(completed=1, pending=99))


async def test_different_errors_do_not_trip_the_breaker(backstay):
    """Different errors of the items do not pause the job."""
    write = Writer(lambda item, _: Fail("no", code=f"code_{int(item.id[5:]) % 2}"))

    result = await backstay.batches.run("batch", items(40), write)

    assert result.counts == ItemCounts(failed=40)


async def test_small_job_simply_fails(backstay):
    """A job with fewer items than the first calls is tried whole, and its failures are reported."""
    result = await backstay.batches.run("batch", items(19), Writer(lambda *_: Fail("no")))

    assert (result.state, result.counts) == (JobState.COMPLETED_WITH_FAILURES, ItemCounts(failed=19))


async def test_job_of_just_the_first_calls_is_paused(backstay):
    """A job with exactly as many items as the first calls is paused, although its last failure settled it."""
    result = await backstay.batches.run("batch", items(20), Writer(lambda *_: Fail("no")))

    assert (result.ending, result.state, result.counts) == (EndReason.PAUSED, JobState.PAUSED, ItemCounts(pending=20))


async def test_cancelled_job_is_not_paused_by_its_last_calls(backstay):
    """A job that was cancelled during its last calls stays cancelled when they fail."""
    calls = []

    async def process(item):
        calls.append(item.id)
        if len(calls) == 20:
            await backstay.batches.cancel("batch")
        return Fail("no")

    result = await backstay.batches.run("batch", items(60), process, concurrency=20)

    assert (result.ending, result.state) == (EndReason.CANCELLED, JobState.CANCELLED)


async def _is_paused(backstay):
    return [job.state for job in await backstay.batches.incomplete()] == [JobState.PAUSED]


async def test_job_that_is_cancelled_while_a_paused_run_drains_ends_cancelled(backstay):
    """A job that is cancelled while its paused run waits for its last calls ends cancelled."""
    gate = asyncio.Event()

    async def process(item):
        if item.id == "item-1":
            return Halt("the key is wrong")
        await gate.wait()
        return conversation(item.topic)

    running = asyncio.create_task(backstay.batches.run("batch", items(5), process, concurrency=2))
    await until(lambda: _is_paused(backstay))
    await backstay.batches.cancel("batch")
    gate.set()
    result = await running

    assert (result.ending, result.state) == (EndReason.CANCELLED, JobState.CANCELLED)
    assert result.counts == ItemCounts(pending=4, completed=1)


async def test_paused_run_whose_last_calls_finish_the_job_ends_finished(backstay):
    """A paused run whose last calls complete the job ends as finished."""
    gate, calls = asyncio.Event(), []

    async def first_is_kept():
        return (await backstay.batches.checkpoint("batch")).counts.completed == 1

    async def process(item):
        calls.append(item.id)
        await gate.wait()
        if item.id == "item-2":
            await until(first_is_kept)  # its commit shows the pause to the worker
        return conversation(item.topic)

    running = asyncio.create_task(backstay.batches.run("batch", items(2), process, concurrency=2))
    await until(lambda: len(calls) == 2)
    await backstay.batches.pause("batch")
    gate.set()
    result = await running

    assert (result.ending, result.state) == (EndReason.FINISHED, JobState.COMPLETED)


async def test_a_job_that_pauses_itself_waits_for_the_calls_under_way(backstay, monkeypatch):
    """A job that pauses itself waits for all calls in flight, regardless of the grace period of a stop."""
    gate, looks, abandon_waiting = Gate(), [], Executor.abandon_waiting
    # A worker of a paused job calls this each time it checks whether it may end.
    monkeypatch.setattr(Executor, "abandon_waiting", lambda calls: (looks.append(None), abandon_waiting(calls)))

    async def process(item):
        return Halt("the key is blocked") if item.id == "item-1" else await gate(item)

    run = backstay.batches.run("batch", items(3), process, concurrency=3, grace_seconds=0.01)
    running = asyncio.create_task(run)
    await until(lambda: len(looks) > 2 or running.done())
    gate.open()
    result = await running

    assert (result.ending, result.counts) == (EndReason.PAUSED, ItemCounts(pending=1, completed=2))
    assert gate.cancelled == []


async def test_a_database_that_refuses_every_conversation_pauses_the_job(backstay):
    """When the database refuses what every call returned, the job pauses after its first calls."""
    calls = []

    async def process(item):
        calls.append(item.id)
        return replace(conversation(item.topic), id="always-the-same")

    await backstay.batches.run("first", items(1), process)
    result = await backstay.batches.run("batch", items(200), process, concurrency=4)

    assert (result.ending, result.pause.code) == (EndReason.PAUSED, "outcome_refused")
    assert result.counts == ItemCounts(pending=200)
    assert len(calls) < 100
