"""Execution of calls: every started item ends exactly once, or is abandoned."""

import asyncio
import gc
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import pytest

from backstay.batch.attempt import Work, is_waiting
from backstay.batch.executor import Executor
from backstay.batch.item import ClaimedItem
from backstay.batch.outcome import AttemptUsage, Done, Fail, Halt, Outcome, Retry, Skip
from backstay.batch.processor import CallableProcessor
from support.data.conversations import claimed, conversation
from support.harness import waiting
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS


class _Ended(NamedTuple):
    claimed: ClaimedItem
    outcome: Outcome
    usage: AttemptUsage


class _EndRecorder:
    """A listener that records the calls that ended."""

    def __init__(self):
        self.ended = []
        self._news = asyncio.Event()

    def hear(self, claimed, outcome, usage):
        self.ended.append(_Ended(claimed, outcome, usage))
        self._news.set()

    async def wait(self, count):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.ended) < count:
                self._news.clear()
                await self._news.wait()

    @property
    def outcomes(self):
        return [ended.outcome for ended in self.ended]


@pytest.fixture
async def ear():
    return _EndRecorder()


@pytest.fixture
def calls_of(ear):
    """Return a function that makes an Executor of a processor."""

    def make(processor, *, timeout_seconds=10.0):
        return Executor(
            callee=CallableProcessor.from_processor(processor), timeout_seconds=timeout_seconds, on_ended=ear.hear
        )

    return make


def _async(function):
    async def process(item, work):
        return function(item, work)

    return process


def _blocking(function):
    def process(item, work):
        return function(item, work)

    return process


both = pytest.mark.parametrize("kind", [_async, _blocking])


async def _hang():
    """Wait for ever."""
    await asyncio.Event().wait()


async def _threads_are_idle(calls, count=1):
    """Wait until `count` threads are idle and the loop has received their results."""
    await until(lambda: calls._threads._idle == count)
    await asyncio.sleep(0)


def _time_is_up(calls):
    """Expire every deadline and run the timer."""
    for call in calls._in_flight.values():
        call.deadline = 0.0
    calls._stop_timer()
    calls._expire()


@both
async def test_call_ends_with_what_it_returned(calls_of, ear, kind):
    """The processor gets item and attempt, and its result reaches the listener."""
    calls = calls_of(kind(lambda item, work: conversation(f"{item.id} {work.attempt}")))

    calls.start(claimed(3, attempt=2))
    assert len(calls) == 1
    await ear.wait(1)

    assert len(calls) == 0
    assert ear.outcomes == [Done(conversation("item-3 2"))]
    assert ear.ended[0].claimed == claimed(3, attempt=2)


@both
@pytest.mark.parametrize("returned", [None, Skip("no"), Retry("later"), Fail("no"), Halt("no key")])
async def test_outcome_is_passed_on(calls_of, ear, kind, returned):
    """An outcome that the processor returns reaches the listener unchanged."""
    calls_of(kind(lambda *_: returned)).start(claimed())

    await ear.wait(1)

    assert ear.outcomes == [returned or Done()]


@both
async def test_usage_is_reported_for_every_outcome(calls_of, ear, kind):
    """The tokens of a call are reported even if it failed."""

    def process(_, work):
        work.usage(tokens_in=3)
        work.usage(tokens_in=4, tokens_out=5)
        work.raw("half an ans")
        raise ValueError("cut")

    calls_of(kind(process)).start(claimed())
    await ear.wait(1)

    usage = ear.ended[0].usage
    assert (usage.tokens_in, usage.tokens_out, usage.raw) == (7, 5, "half an ans")
    assert ear.outcomes == [Fail("ValueError: cut", code="processor_error.ValueError")]


@both
async def test_frames_of_an_exception_are_kept_from_the_processor_on(calls_of, ear, kind):
    """A processor that raises leaves a traceback without the engine's frames; one that returns `Fail` leaves none."""

    def process(item, _):
        if item.id == "item-1":
            raise ValueError("cut")
        return Fail("no")

    calls = calls_of(kind(process))
    for number in (1, 2):
        calls.start(claimed(number))
    await ear.wait(2)

    raised, returned = sorted(ear.ended, key=lambda ended: ended.claimed.position)
    lines = raised.usage.traceback.splitlines()
    assert lines[-1].endswith("in test_frames_of_an_exception_are_kept_from_the_processor_on.<locals>.process")
    assert all("test_executor.py" in line for line in lines)
    assert returned.usage.traceback is None


@both
async def test_exception_is_an_outcome(calls_of, ear, kind):
    """A lost connection becomes a retry, and the event loop reports no error."""

    def process(*_):
        raise ConnectionResetError("cut")

    calls_of(kind(process)).start(claimed())
    await ear.wait(1)

    assert ear.outcomes == [Retry("ConnectionResetError: cut", code="connection")]


@both
async def test_exception_without_a_text_ends_its_call(calls_of, ear, kind):
    """An exception whose `__str__` raises still ends its call, which would otherwise stay in flight for ever."""

    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def process(*_):
        raise Unprintable

    calls_of(kind(process)).start(claimed())
    await ear.wait(1)

    assert ear.outcomes == [Fail("Unprintable", code="processor_error.Unprintable")]


@both
async def test_processor_may_ask_to_exit(calls_of, ear, kind):
    """A processor that calls `sys.exit` fails its own item and does not end the program."""

    def process(*_):
        raise SystemExit(3)

    calls_of(kind(process)).start(claimed())
    await ear.wait(1)

    assert ear.outcomes == [Fail("SystemExit: 3", code="processor_error.SystemExit")]


def test_interrupt_during_an_async_call_ends_the_program():
    """A Ctrl-C that arrives while an async processor runs is not taken for a failure of its item."""
    tasks = []

    async def process(_):
        tasks.append(asyncio.current_task())
        raise KeyboardInterrupt

    async def run():
        calls = Executor(callee=CallableProcessor.from_processor(process), timeout_seconds=10, on_ended=lambda *_: None)
        calls.start(claimed())
        await until(lambda: tasks and tasks[0].done())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())

    assert isinstance(tasks[0].exception(), KeyboardInterrupt)


@pytest.mark.parametrize("revision", [None, 3])
async def test_an_attempt_knows_the_revision_that_it_follows(ear, revision):
    """The work of an attempt has the revision of the recipe that its processor follows; none without a recipe."""
    seen = []
    callee = CallableProcessor.from_processor(_async(lambda _, work: seen.append(work.revision)))
    calls = Executor(callee=replace(callee, revision=revision), timeout_seconds=10, on_ended=ear.hear)

    calls.start(claimed())
    await until(lambda: seen)

    assert seen == [revision]


async def test_function_that_returns_a_coroutine_is_awaited(calls_of, ear):
    """A lambda around an async function works like the function itself."""

    async def process(item):
        await asyncio.sleep(0)
        return conversation(item.topic)

    calls_of(lambda item, work=None: process(item)).start(claimed(4))
    await ear.wait(1)

    assert ear.outcomes == [Done(conversation("topic 4"))]


# -- deadlines -------------------------------------------------------------------------------------


async def test_call_over_its_deadline_is_cancelled(calls_of, ear):
    """A call that exceeds its deadline is cancelled and ends with a time-out."""
    cancelled = asyncio.Event()

    async def process(_):
        try:
            await _hang()
        finally:
            cancelled.set()

    calls_of(process, timeout_seconds=0.02).start(claimed())
    await ear.wait(1)
    await asyncio.wait_for(cancelled.wait(), PATIENCE_SECONDS)

    assert ear.outcomes == [Retry("no answer within 0.02 s", code="timeout")]


async def test_late_result_is_dropped(calls_of, ear):
    """What a processor returns after ignoring its cancellation is dropped."""
    returned = asyncio.Event()

    async def process(_):
        try:
            await _hang()
        except asyncio.CancelledError:
            returned.set()
        return conversation("late")

    calls = calls_of(process, timeout_seconds=0.02)
    calls.start(claimed())
    await ear.wait(1)
    await asyncio.wait_for(returned.wait(), PATIENCE_SECONDS)
    await until(lambda: not calls._abandoned)

    assert [outcome.code for outcome in ear.outcomes] == ["timeout"]


async def test_late_result_does_not_stand_for_the_next_try(calls_of, ear):
    """If an item is called again while its first call still runs, only the result of the second call counts."""
    may_end = {1: threading.Event(), 2: threading.Event()}

    def process(_, work):
        may_end[work.attempt].wait(PATIENCE_SECONDS)
        return conversation(f"attempt {work.attempt}")

    calls = calls_of(process)
    calls.start(claimed(attempt=1))
    _time_is_up(calls)
    await ear.wait(1)
    calls.start(claimed(attempt=2))
    may_end[1].set()
    await _threads_are_idle(calls)
    assert (len(ear.ended), len(calls)) == (1, 1)
    may_end[2].set()
    await ear.wait(2)

    assert ear.outcomes[1:] == [Done(conversation("attempt 2"))]


async def test_blocking_call_over_its_deadline_is_abandoned(calls_of, ear):
    """A blocking call that exceeds its deadline frees its slot, and its later result is dropped."""
    release = threading.Event()

    def process(_):
        release.wait(PATIENCE_SECONDS)
        return conversation("late")

    calls = calls_of(process, timeout_seconds=0.03)
    calls.start(claimed())
    await ear.wait(1)
    assert len(calls) == 0
    release.set()
    await _threads_are_idle(calls)

    assert [outcome.code for outcome in ear.outcomes] == ["timeout"]


async def test_each_call_has_its_own_deadline(calls_of, ear):
    """The single timer gives every call its full time: calls in time succeed, and only the late one times out."""

    async def process(item):
        if item.id != "item-0":
            await _hang()
        return conversation()

    calls, started = calls_of(process, timeout_seconds=0.3), []
    for position in range(3):
        started.append(time.monotonic())
        calls.start(claimed(position))
        await asyncio.sleep(0.1)  # keeps the deadlines at least this far apart
    waited = []
    for count in (2, 3):
        await ear.wait(count)
        waited.append(time.monotonic() - started[ear.ended[count - 1].claimed.position])

    assert [ended.claimed.position for ended in ear.ended] == [0, 1, 2]
    assert [type(outcome) for outcome in ear.outcomes] == [Done, Retry, Retry]
    assert all(seconds >= 0.299 for seconds in waited)


async def test_timer_is_gone_when_nothing_is_in_flight(calls_of, ear):
    """The timer is cancelled when the last call has ended, as it would keep the calls in memory."""
    calls = calls_of(lambda _: None, timeout_seconds=600)
    calls.start(claimed())
    await ear.wait(1)

    assert calls._timer is None


# -- cancellation ----------------------------------------------------------------------------------


async def _all_had_their_turn(calls):
    """Wait until every queued call has had its turn and every cancelled one has ended."""
    await until(lambda: not calls._stagger._waiting and not calls._abandoned)
    await asyncio.sleep(0)


async def test_processor_that_cancels_itself_may_try_again(calls_of, ear):
    """A processor that raises CancelledError by itself gets a retry."""

    async def raises(_):
        raise asyncio.CancelledError

    async def cancels(_):
        asyncio.current_task().cancel()
        await _hang()

    calls_of(raises).start(claimed(0))
    calls_of(cancels).start(claimed(1))
    await ear.wait(2)

    assert ear.outcomes == [Retry("the processor cancelled itself", code="cancelled")] * 2


async def test_abandoned_calls_are_cancelled_and_silent(calls_of, ear):
    """After all calls are abandoned, no outcome is reported and no timer is left."""
    cancelled = []

    async def process(item):
        try:
            await _hang()
        finally:
            cancelled.append(item.id)

    calls = calls_of(process)
    for position in range(3):
        calls.start(claimed(position))
    await asyncio.sleep(0)
    calls.abandon_all()
    await until(lambda: not calls._abandoned)

    assert sorted(cancelled) == ["item-0", "item-1", "item-2"]
    assert len(calls) == 0
    assert calls._timer is None
    assert ear.ended == []


async def test_calls_that_have_not_begun_do_not_when_all_are_abandoned(calls_of, ear):
    """Calls that have not begun never begin after all calls are abandoned."""
    begun = []

    async def process(item):
        begun.append(item.id)
        await _hang()

    calls = calls_of(process)
    for position in range(100):
        calls.start(claimed(position))
    calls.abandon_all()
    await _all_had_their_turn(calls)

    assert begun == []  # a task cancelled before its first step never runs
    assert ear.ended == []


async def test_calls_that_have_not_begun_are_abandoned_as_waiting(calls_of, ear):
    """Calls that have not begun are abandoned like those that wait for a permit, while running ones continue."""
    begun, may_end = [], asyncio.Event()

    async def process(item):
        begun.append(item.id)
        await may_end.wait()

    calls = calls_of(process)
    for position in range(100):
        calls.start(claimed(position))
    await asyncio.sleep(0)
    calls.abandon_waiting()
    under_way = len(calls)
    may_end.set()
    await ear.wait(under_way)
    await _all_had_their_turn(calls)

    assert 0 < under_way < 100
    assert len(begun) == under_way == len(ear.ended)
    assert len(calls) == 0


@pytest.mark.parametrize("waits", [True, False])
async def test_begun_blocking_call_is_not_abandoned_as_waiting(calls_of, ear, waits):
    """A blocking call in its thread cannot be stopped, so it keeps its outcome whether or not it waits for a permit."""
    begun, may_end = [], threading.Event()

    def process(_, work):
        with work.waiting() if waits else nullcontext():
            begun.append(work)
            may_end.wait(PATIENCE_SECONDS)
        return conversation("done")

    calls = calls_of(process)
    calls.start(claimed())
    await until(lambda: begun and is_waiting(begun[0]) == waits)
    calls.abandon_waiting()
    in_flight = len(calls)
    may_end.set()
    assert in_flight == 1
    await ear.wait(1)

    assert ear.outcomes == [Done(conversation("done"))]


async def test_abandoned_blocking_call_is_silent(calls_of, ear):
    """The result of an abandoned blocking call is dropped."""
    release = threading.Event()
    calls = calls_of(lambda _: release.wait(PATIENCE_SECONDS))
    calls.start(claimed())
    calls.abandon_all()
    release.set()
    await _threads_are_idle(calls)

    assert ear.ended == []


def test_abandoned_blocking_call_outlives_the_loop():
    """A result that arrives after the event loop was closed is dropped silently."""
    begun, release = threading.Event(), threading.Event()

    def process(_):
        begun.set()
        release.wait(PATIENCE_SECONDS)
        return conversation()

    async def run():
        calls = Executor(callee=CallableProcessor.from_processor(process), timeout_seconds=10, on_ended=lambda *_: None)
        calls.start(claimed())
        await until(begun.is_set)
        calls.abandon_all()
        return calls

    calls = asyncio.run(run())
    release.set()

    waiting.until(lambda: calls._threads._idle == 1)  # its thread is unharmed and could serve the next call


async def test_blocking_calls_share_threads(calls_of, ear):
    """A blocking call reuses the thread of an earlier one that has ended."""
    threads = []
    calls = calls_of(lambda _: threads.append(threading.get_ident()))

    for position in range(10):
        calls.start(claimed(position))
        await ear.wait(position + 1)
        await _threads_are_idle(calls)

    assert len(set(threads)) == 1


# -- waiting for a permit -------------------------------------------------------------------------


async def test_a_wait_for_a_permit_is_not_part_of_the_deadline(calls_of, ear):
    """The deadline of a call counts from the end of its wait for a permit."""
    may_end, begun, waited_until = asyncio.Event(), [], []

    async def process(item, work):
        begun.append(work)
        with work.waiting():
            await may_end.wait()
            waited_until.append(time.monotonic())
        return conversation("done")

    calls = calls_of(process)
    calls.start(claimed())
    await until(lambda: begun)
    for _ in range(2):
        _time_is_up(calls)
    assert ear.ended == []

    may_end.set()
    await ear.wait(1)

    assert isinstance(ear.outcomes[0], Done)
    assert begun[0].deadline >= waited_until[0] + 10.0


async def test_a_blocking_processor_may_wait_too(calls_of, ear):
    """The deadline of a blocking call counts from the end of its wait, too."""
    may_end, begun, waited_until = threading.Event(), [], []

    def process(item, work):
        with work.waiting():
            begun.append(work)
            may_end.wait(PATIENCE_SECONDS)
            waited_until.append(time.monotonic())
        return conversation("done")

    calls = calls_of(process)
    calls.start(claimed())
    await until(lambda: begun and is_waiting(begun[0]))
    for _ in range(2):
        _time_is_up(calls)
    assert ear.ended == []

    may_end.set()
    await ear.wait(1)

    assert isinstance(ear.outcomes[0], Done)
    assert begun[0].deadline >= waited_until[0] + 10.0


async def test_a_wait_that_has_just_ended_in_a_thread_is_no_timeout(calls_of, ear):
    """A call whose wait has ended, but is not noted on the event loop yet, does not time out by its old deadline."""
    may_end, begun, over, going = threading.Event(), [], threading.Event(), threading.Event()

    def process(item, work):
        with work.waiting():
            begun.append(work)
            may_end.wait(PATIENCE_SECONDS)
        over.set()
        going.wait(PATIENCE_SECONDS)
        return conversation("done")

    calls = calls_of(process)
    calls.start(claimed())
    await until(lambda: begun and is_waiting(begun[0]))
    may_end.set()
    over.wait(PATIENCE_SECONDS)  # blocks the loop, so that it cannot note the end of the wait
    _time_is_up(calls)
    going.set()
    await ear.wait(1)

    assert isinstance(ear.outcomes[0], Done)


async def test_a_processor_chooses_the_outcome_of_a_timeout(calls_of, ear):
    """A processor may set the outcome of its time-out; an invalid one fails the item, and nothing hangs."""

    async def process(item, work):
        work.on_timeout(lambda: Retry("nobody answers", code="timeout", counts=False) if item.id == "item-1" else 1 / 0)
        await _hang()

    calls = calls_of(process)
    calls.start(claimed(1))
    calls.start(claimed(2))
    await asyncio.sleep(0)
    _time_is_up(calls)
    await ear.wait(2)

    assert [outcome.code for outcome in ear.outcomes] == ["timeout", "processor_error.ZeroDivisionError"]
    assert not ear.outcomes[0].counts


async def test_after_the_wait_the_deadline_holds(calls_of, ear):
    """After a wait for a permit the new deadline applies, and concurrent calls keep theirs."""

    async def process(item, work):
        if item.id == "item-1":
            with work.waiting():
                await asyncio.sleep(0.01)
        await _hang()

    calls = calls_of(process, timeout_seconds=0.2)
    calls.start(claimed(1))
    calls.start(claimed(2))
    await ear.wait(2)

    assert [outcome.code for outcome in ear.outcomes] == ["timeout", "timeout"]
    assert len(calls) == 0


async def test_waiting_call_is_abandoned_without_an_outcome(calls_of, ear):
    """A call that waits for a permit is abandoned without an outcome, and running calls are not."""
    going = asyncio.Event()

    async def process(item, work):
        if item.id == "item-1":
            with work.waiting():
                await _hang()
        await going.wait()
        return conversation("done")

    calls = calls_of(process)
    calls.start(claimed(1))
    calls.start(claimed(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    calls.abandon_waiting()
    assert len(calls) == 1
    assert calls._timer is not None
    going.set()
    await ear.wait(1)

    assert [ended.claimed.item.id for ended in ear.ended] == ["item-2"]


async def test_timer_is_gone_when_all_calls_are_abandoned_as_waiting(calls_of):
    """The timer is cancelled when the last call in flight is abandoned as waiting."""

    async def process(_, work):
        with work.waiting():
            await _hang()

    calls = calls_of(process)
    calls.start(claimed())
    await until(lambda: is_waiting(calls._in_flight[0]))
    calls.abandon_waiting()

    assert len(calls) == 0
    assert calls._timer is None


async def test_ended_call_leaves_nothing_to_the_collector(calls_of, ear):
    """An ended call is freed without a pass of the garbage collector."""

    async def process(_item, _work):
        return None

    gc.collect()
    gc.disable()
    try:
        calls_of(process).start(claimed(attempt=4_711))
        await ear.wait(1)
        for _ in range(5):
            await asyncio.sleep(0)  # lets its task finish
        leftovers = [work for work in gc.get_objects() if isinstance(work, Work) and work.attempt == 4_711]
    finally:
        gc.enable()

    assert leftovers == []
