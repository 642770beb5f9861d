"""The calls in flight: each started, timed, and turned into exactly one outcome."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from holdfast.batch.item import ClaimedItem
from holdfast.batch.outcome import Outcome, Retry, Usage, outcome_of, outcome_of_exception
from holdfast.batch.processor import Callee, Work, let_go, used, waits
from holdfast.batch.threads import ThreadPool


@dataclass(slots=True)
class _Call:
    claimed: ClaimedItem
    work: Work
    deadline: float
    task: asyncio.Task[Any] | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that came to an outcome."""

    claimed: ClaimedItem
    outcome: Outcome
    usage: Usage


class Calls:
    """Runs a processor over claimed items. `on_ended` is called on the event loop, once for each item started.

    A call that outlives its deadline is cancelled and, if it does not heed that, abandoned: its outcome is a time-out
    at once, and whatever it returns later is dropped. All calls have the same time allowed, so the one that was
    started first is due first and a single timer watches them all. The time of a call that waits for leave to begin
    starts anew when it has got it, which makes it the last of all.
    """

    def __init__(self, *, callee: Callee, timeout_seconds: float, on_ended: Callable[[Ended], None]) -> None:
        self._callee = callee
        self._timeout = timeout_seconds
        self._on_ended = on_ended
        self._in_flight: dict[int, _Call] = {}
        self._threads = ThreadPool()
        self._timer: asyncio.TimerHandle | None = None
        # The event loop keeps weak references only; this also holds the abandoned ones.
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._in_flight)

    def start(self, claimed: ClaimedItem) -> None:
        """Call the processor for one claimed item."""
        loop = asyncio.get_running_loop()
        work = Work(claimed.attempt, on_resumed=lambda: self._resumed(loop, call))
        call = _Call(claimed, work, loop.time() + self._timeout, None)
        self._in_flight[claimed.position] = call
        if self._timer is None:
            self._timer = loop.call_at(call.deadline, self._expire)
        if self._callee.is_async:
            self._start_task(call, self._callee.call_async(claimed.item, work))
        else:
            self._threads.submit(lambda: self._call_in_thread(loop, call))

    def abandon_all(self) -> None:
        """Cancel what runs; no outcome is reported any more."""
        abandoned = list(self._in_flight.values())
        self._in_flight.clear()
        self._stop_timer()
        for call in abandoned:
            if call.task is not None:
                call.task.cancel()

    def abandon_waiting(self) -> None:
        """Cancel the calls that wait for leave to begin, and report no outcome: nobody was asked anything."""
        for position, call in list(self._in_flight.items()):
            if call.task is not None and waits(call.work):
                del self._in_flight[position]
                call.task.cancel()
        if not self._in_flight:
            self._stop_timer()

    def _start_task(self, call: _Call, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        call.task = task
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._task_done(call, task))

    def _task_done(self, call: _Call, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # Nobody cancelled it from here, or it would not be in flight: the processor cancelled itself.
            self._settle(call, lambda: Retry("the processor cancelled itself", code="cancelled"))
        elif (error := task.exception()) is not None:
            self._settle(call, lambda: outcome_of_exception(error))
        else:
            self._settle(call, lambda: outcome_of(task.result()))

    def _call_in_thread(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        try:
            returned = self._callee.call_sync(call.claimed.item, call.work)
            outcome = None if inspect.iscoroutine(returned) else outcome_of(returned)
        except BaseException as error:
            outcome = outcome_of_exception(error)
        try:
            if outcome is None:
                loop.call_soon_threadsafe(self._go_on, call, returned)
            else:
                loop.call_soon_threadsafe(self._settle, call, lambda: outcome)
        except RuntimeError:
            # The loop is closed: the run ended without this abandoned call, and nobody listens.
            return

    def _go_on(self, call: _Call, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Await what a processor returned that looked blocking, such as a lambda around an asynchronous one."""
        if self._in_flight.get(call.claimed.position) is call:
            self._start_task(call, coroutine)
        else:
            coroutine.close()

    def _settle(self, call: _Call, outcome: Callable[[], Outcome]) -> None:
        if self._in_flight.get(call.claimed.position) is not call:
            return  # too late: it was abandoned
        del self._in_flight[call.claimed.position]
        if not self._in_flight:
            self._stop_timer()
        try:
            came_to = outcome()
        except Exception as error:
            came_to = outcome_of_exception(error)
        let_go(call.work)
        self._on_ended(Ended(call.claimed, came_to, used(call.work)))

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._in_flight:
            call = next(iter(self._in_flight.values()))
            if call.deadline > now:
                self._timer = loop.call_at(call.deadline, self._expire)
                return
            if waits(call.work):
                self._allow_anew(call)
                continue
            self._settle(call, lambda: Retry(f"no answer within {self._timeout:g} s", code="timeout"))
            if call.task is not None:
                call.task.cancel()

    def _resumed(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        if call.task is not None:
            self._allow_anew(call)
            return
        # A blocking processor, in a thread; when the run has ended without it, the loop may be closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._allow_anew, call)

    def _allow_anew(self, call: _Call) -> None:
        """Give a call all its time from now on."""
        position = call.claimed.position
        if self._in_flight.get(position) is call:
            del self._in_flight[position]
            call.deadline = asyncio.get_running_loop().time() + self._timeout
            self._in_flight[position] = call

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
