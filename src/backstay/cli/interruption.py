"""Signals while a run works: the first asks it to stop, a later one leaves."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from backstay.batch.stop import StopSignal
from backstay.cli.exits import ExitStatus
from backstay.cli.progress import RunProgressView
from backstay.cli.text import format_count
from backstay.clock import SystemClock, to_text
from backstay.signals import SignalCounter

if TYPE_CHECKING:
    import asyncio

GRACE_SECONDS = 10.0
_STANDSTILL_SECONDS = 2.0  # without a turn of the loop, once the grace is over
_ENDING_SECONDS = 30.0  # for a run to come to its end, once the grace is over
_IDLE_SECONDS = 5.0  # for both, where no call is in flight that could be lost
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEAR_LINE = "\r\x1b[2K"
_SHOW_CURSOR = "\x1b[?25h"


class SignalHandling:
    """Handles signals as long as it is entered.

    Not by the event loop, whose own handlers wait for its turn: a processor that blocks the loop would make the
    command deaf. Nothing here may use buffered output either, since it may run in the middle of a print.

    A processor that blocks the loop for good also keeps the run from ending at its grace, and so does a database that
    somebody else holds. So a thread looks, after that, whether the loop still turns, and leaves when it does not, or
    when the run has not ended some time later.
    """

    def __init__(
        self, *, stop: StopSignal, watcher: RunProgressView, farewell: Callable[[], str], json_logs: bool
    ) -> None:
        self._stop = stop
        self._watcher = watcher
        self._farewell = farewell
        self._json_logs = json_logs
        self._asked = False
        self._signals = SignalCounter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup, to outlive its terminal
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Name the loop that the run is in, whose standstill must not keep a stop from coming to its end."""
        self._loop = loop

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        is_second = self._signals.is_second()
        if not self._asked:
            self._asked = True
            self._stop.request()
            calls = self._watcher.in_flight
            self._say(_announcement(calls))
            seconds = (GRACE_SECONDS, _ENDING_SECONDS) if calls else (_IDLE_SECONDS, 0.0)
            threading.Thread(
                target=self._leave_what_does_not_end, args=seconds, name="backstay-grace", daemon=True
            ).start()
        elif (
            is_second and number != signal.SIGHUP
        ):  # a closing terminal sends several signals, without a key being pressed
            self._leave()

    def _leave(self) -> None:
        self._say(self._farewell(), show_cursor=self._watcher.is_live)
        os._exit(ExitStatus.INTERRUPTED)

    def _leave_what_does_not_end(self, grace_seconds: float, ending_seconds: float) -> None:
        self._ended.wait(grace_seconds)
        leaves_at = time.monotonic() + ending_seconds
        while not self._ended.is_set() and self._loop is not None:
            if time.monotonic() > leaves_at:
                self._leave()
            turned = threading.Event()
            with suppress(RuntimeError):  # it is closed: the command is at its end
                self._loop.call_soon_threadsafe(turned.set)
            if not turned.wait(_STANDSTILL_SECONDS) and not self._ended.is_set():
                self._leave()
            self._ended.wait(_STANDSTILL_SECONDS)

    def _say(self, text: str, *, show_cursor: bool = False) -> None:
        if sys.__stderr__ is None:
            return
        if self._json_logs:
            event = {"event": "stopping", "level": "info", "logger": "backstay.cli", "text": text}
            text = json.dumps({**event, "timestamp": to_text(SystemClock().now())})
        elif self._watcher.is_live:
            text = _CLEAR_LINE + text
        with suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno(), f"{text}\n{_SHOW_CURSOR if show_cursor else ''}".encode())


def _announcement(calls: int) -> str:
    what = f"{format_count(calls, 'call')} in flight get{'s' if calls == 1 else ''} up to {GRACE_SECONDS:.0f} s; "
    return f"Stopping: {what if calls else ''}press again to leave now"
