"""Signals during a run: the first requests a graceful stop, a second ends the process at once."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from backstay.batch.stop_signal import StopSignal
from backstay.cli.exit_status import ExitStatus
from backstay.cli.text import format_count
from backstay.clock import SystemClock, to_text
from backstay.signal_counter import SignalCounter

if TYPE_CHECKING:
    import asyncio

    from backstay.batch.progress import JobProgress
    from backstay.cli.progress import ProgressView

GRACE_SECONDS = 10.0
_MAX_BLOCKED_SECONDS = 2.0  # that the event loop may be blocked, after the grace period
_ENDING_SECONDS = 30.0  # for the run to end, after the grace period
_IDLE_SECONDS = 5.0  # for the run to end, without a grace period, if no call is in flight
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEAR_LINE = "\r\x1b[2K"
_SHOW_CURSOR = "\x1b[?25h"


class SignalHandling:
    """Signal handlers, installed while the context is entered.

    They do not use the event loop, because a processor that blocks it would block them, too. They use no buffered
    output, since they may run in the middle of a print.

    A blocked loop, or a database that another process has locked, can also keep the run from ending after its grace
    period. From then on a thread watches the loop and ends the process if the loop is blocked or the run does not end.
    """

    def __init__(
        self,
        *,
        stop: StopSignal,
        progress_view: "ProgressView[JobProgress]",
        farewell: Callable[[], str],
        json_logs: bool,
    ) -> None:
        self._stop = stop
        self._progress_view = progress_view
        self._farewell = farewell
        self._json_logs = json_logs
        self._is_stopping = False
        self._signals = SignalCounter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup to survive its terminal
            self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def watch(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Watch the event loop of the run: if it is blocked, the process still ends after a stop."""
        self._loop = loop

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        is_second = self._signals.is_second()
        if not self._is_stopping:
            self._is_stopping = True
            self._stop.request()
            latest = self._progress_view.latest
            calls = latest.counts.running if latest is not None else 0
            self._print(_announcement(calls))
            seconds = (GRACE_SECONDS, _ENDING_SECONDS) if calls else (_IDLE_SECONDS, 0.0)
            threading.Thread(target=self._end_when_blocked, args=seconds, name="backstay-grace", daemon=True).start()
        elif is_second and number != signal.SIGHUP:  # a closing terminal sends several signals without a key press
            self._end()

    def _end(self) -> None:
        self._print(self._farewell(), show_cursor=self._progress_view.is_live)
        os._exit(ExitStatus.INTERRUPTED)

    def _end_when_blocked(self, grace_seconds: float, ending_seconds: float) -> None:
        self._ended.wait(grace_seconds)
        ends_at = time.monotonic() + ending_seconds
        while not self._ended.is_set() and self._loop is not None:
            if time.monotonic() > ends_at:
                self._end()
            loop_ran = threading.Event()
            with suppress(RuntimeError):  # the loop is closed: the command is ending
                self._loop.call_soon_threadsafe(loop_ran.set)
            if not loop_ran.wait(_MAX_BLOCKED_SECONDS) and not self._ended.is_set():
                self._end()
            self._ended.wait(_MAX_BLOCKED_SECONDS)

    def _print(self, text: str, *, show_cursor: bool = False) -> None:
        if sys.__stderr__ is None:
            return
        if self._json_logs:
            event = {"event": "stop_requested", "level": "info", "logger": "backstay.cli", "text": text}
            text = json.dumps({**event, "timestamp": to_text(SystemClock().now())})
        elif self._progress_view.is_live:
            text = _CLEAR_LINE + text
        with suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno(), f"{text}\n{_SHOW_CURSOR if show_cursor else ''}".encode())


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM as on Ctrl-C, so that the command can report its state."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _announcement(calls: int) -> str:
    in_flight = f"{format_count(calls, 'call')} in flight get{'s' if calls == 1 else ''} up to {GRACE_SECONDS:.0f} s; "
    return f"Stopping: {in_flight if calls else ''}press again to stop at once"
