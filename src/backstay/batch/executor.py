"""Execution of processor calls: each is started, timed, and turned into exactly one outcome."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from backstay.batch.attempt import Work, is_waiting, recorded_usage, timeout_outcome
from backstay.batch.item import ClaimedItem
from backstay.batch.outcome import AttemptUsage, Outcome, Retry, outcome_from_exception, outcome_from_result
from backstay.batch.processor import CallableProcessor
from backstay.batch.stagger import Stagger
from backstay.batch.thread_pool import ThreadPool
from backstay.batch.traceback_text import format_traceback


class _Attempt(Work):
    """One attempt in flight: the `Work` that its processor sees, and the state of its execution."""

    __slots__ = ("_on_waiting", "claimed", "deadline", "task", "traceback")

    def __init__(
        self,
        claimed: ClaimedItem,
        revision: int | None,
        *,
        deadline: float,
        on_waiting: "Callable[[_Attempt, bool], None]",
    ) -> None:
        super().__init__(claimed.attempt, revision)
        self.claimed = claimed
        self.deadline = deadline
        self.task: asyncio.Task[None] | None = None
        self.traceback: str | None = None
        self._on_waiting = on_waiting

    def _set_waiting(self, is_waiting: bool) -> None:
        self._on_waiting(self, is_waiting)

    def note_waiting(self, is_waiting: bool) -> None:
        """Note, on the event loop, whether the attempt waits for a permit."""
        self._is_waiting = is_waiting

    def end(self) -> None:
        """Drop the time-out callback: it refers to this attempt, and the cycle would keep the answer in memory."""
        self._on_timeout = None


class Executor:
    """The calls of a processor for claimed items.

    `on_ended` is called on the event loop once for each started item, with the outcome and the usage.

    A call that exceeds its deadline is cancelled, and abandoned if it ignores that: its outcome is a time-out at once,
    and what it returns later is dropped. All calls have the same time-out, so the call started first is due first and
    a single timer serves them all. When a call gets the permit that it waited for, its time-out starts anew, which
    makes it the last to be due.
    """

    def __init__(
        self,
        *,
        callee: CallableProcessor,
        timeout_seconds: float,
        on_ended: Callable[[ClaimedItem, Outcome, AttemptUsage], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._callee = callee
        self._timeout = timeout_seconds
        self._on_ended = on_ended
        self._in_flight: dict[int, _Attempt] = {}
        self._threads = ThreadPool()
        self._stagger = Stagger()
        self._timer: asyncio.TimerHandle | None = None
        # The event loop keeps only weak references to tasks.
        self._abandoned: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._in_flight)

    def start(self, claimed: ClaimedItem) -> None:
        """Call the processor for one claimed item."""
        deadline, revision = self._loop.time() + self._timeout, self._callee.revision
        call = _Attempt(claimed, revision, deadline=deadline, on_waiting=self._on_waiting_changed)
        self._in_flight[claimed.position] = call
        if self._timer is None:
            self._timer = self._loop.call_at(call.deadline, self._expire)
        if self._callee.is_async:
            self._stagger.run(partial(self._begin, call))
        else:
            self._threads.submit(lambda: self._call_in_thread(call))

    def abandon_all(self) -> None:
        """Cancel all calls; no outcome is reported any more."""
        abandoned = list(self._in_flight.values())
        self._in_flight.clear()
        self._stop_timer()
        for call in abandoned:
            self._cancel(call)

    def abandon_waiting(self) -> None:
        """Cancel the calls that have not begun or wait for a permit. They get no outcome, as no request was sent."""
        for position, call in list(self._in_flight.items()):
            if call.task is not None and is_waiting(call):
                del self._in_flight[position]
                self._cancel(call)
            elif call.task is None and self._callee.is_async:
                del self._in_flight[position]
        if not self._in_flight:
            self._stop_timer()

    def _begin(self, call: _Attempt) -> None:
        if self._is_in_flight(call):
            call.task = self._loop.create_task(self._await_outcome(call))

    async def _await_outcome(self, call: _Attempt, returned: Awaitable[Any] | None = None) -> None:
        """Await the processor, or the awaitable that it has returned already, and settle the call."""
        try:
            outcome = outcome_from_result(await (returned or self._callee.call(call.claimed.item, call)))
        except asyncio.CancelledError:
            # If this executor cancelled the call, it is no longer in flight, and the outcome is dropped.
            outcome = Retry("the processor cancelled itself", code="cancelled")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit too: asyncio would propagate it, and the function of one item must not end the whole run.
            outcome = self._outcome_of_exception(call, error)
        self._settle(call, outcome)

    def _call_in_thread(self, call: _Attempt) -> None:
        try:
            returned = self._callee.call(call.claimed.item, call)
            outcome = None if inspect.iscoroutine(returned) else outcome_from_result(returned)
        except BaseException as error:
            outcome = self._outcome_of_exception(call, error)
        try:
            if outcome is None:
                self._loop.call_soon_threadsafe(self._continue, call, returned)
            else:
                self._loop.call_soon_threadsafe(self._settle, call, outcome)
        except RuntimeError:
            # The loop is closed: the run ended without this abandoned call.
            return

    def _outcome_of_exception(self, call: _Attempt, error: BaseException) -> Outcome:
        call.traceback = format_traceback(error)
        return outcome_from_exception(error, retry_on=self._callee.retry_on)

    def _continue(self, call: _Attempt, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Await the coroutine returned by a function that looked blocking, such as a lambda around an async one."""
        if self._is_in_flight(call):
            call.task = self._loop.create_task(self._await_outcome(call, coroutine))
        else:
            coroutine.close()

    def _is_in_flight(self, call: _Attempt) -> bool:
        return self._in_flight.get(call.claimed.position) is call

    def _settle(self, call: _Attempt, outcome: Outcome) -> None:
        if not self._is_in_flight(call):
            return  # too late: it was abandoned
        del self._in_flight[call.claimed.position]
        if not self._in_flight:
            self._stop_timer()
        call.end()
        usage = recorded_usage(call)
        if call.traceback is not None:
            usage = replace(usage, traceback=call.traceback)
        self._on_ended(call.claimed, outcome, usage)

    def _cancel(self, call: _Attempt) -> None:
        if call.task is not None and call.task.cancel():
            self._abandoned.add(call.task)
            call.task.add_done_callback(self._abandoned.discard)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._in_flight:
            call = next(iter(self._in_flight.values()))
            if call.deadline > now:
                self._timer = self._loop.call_at(call.deadline, self._expire)
                return
            if is_waiting(call):
                self._restart_timeout(call)
                continue
            self._settle(call, timeout_outcome(call, self._timeout))
            self._cancel(call)

    def _on_waiting_changed(self, call: _Attempt, is_waiting: bool) -> None:
        if call.task is not None:
            self._note_waiting(call, is_waiting)
            return
        # A blocking processor, in a thread: the event loop notes the end of the wait and the new deadline in one step,
        # so that the wait is not counted as call time. If the run has ended without this call, the loop may be closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_waiting, call, is_waiting)

    def _note_waiting(self, call: _Attempt, is_waiting: bool) -> None:
        call.note_waiting(is_waiting)
        if not is_waiting:
            self._restart_timeout(call)

    def _restart_timeout(self, call: _Attempt) -> None:
        if self._is_in_flight(call):
            del self._in_flight[call.claimed.position]
            call.deadline = self._loop.time() + self._timeout
            self._in_flight[call.claimed.position] = call

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
