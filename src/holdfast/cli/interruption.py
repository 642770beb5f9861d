"""Signals while a run works: the first asks it to stop, the second leaves."""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from holdfast.batch.stop import Stop
from holdfast.cli.exits import Status
from holdfast.cli.progress import Watcher
from holdfast.cli.text import counted
from holdfast.clock import SystemClock, to_text

GRACE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEAR_LINE = "\r\x1b[2K"
_SHOW_CURSOR = "\x1b[?25h"


class Interruption:
    """Handles signals as long as it is entered.

    Not by the event loop, whose own handlers wait for its turn: a processor that blocks the loop would make the
    command deaf. Nothing here may use buffered output either, since it may run in the middle of a print.
    """

    def __init__(self, *, stop: Stop, watcher: Watcher, farewell: Callable[[], str], json_logs: bool) -> None:
        self._stop = stop
        self._watcher = watcher
        self._farewell = farewell
        self._json_logs = json_logs
        self._asked = False
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
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._asked:
            self._asked = True
            self._stop.request()
            self._say(self._announcement())
        elif number != signal.SIGHUP:  # a terminal that closes sends more than one: nobody pressed anything
            self._say(self._farewell(), show_cursor=self._watcher.is_live)
            os._exit(Status.INTERRUPTED)

    def _announcement(self) -> str:
        calls = self._watcher.in_flight
        what = f"{counted(calls, 'call')} in flight get{'s' if calls == 1 else ''} up to {GRACE_SECONDS:.0f} s; "
        return f"Stopping: {what if calls else ''}press again to leave now"

    def _say(self, text: str, *, show_cursor: bool = False) -> None:
        if sys.__stderr__ is None:
            return
        if self._json_logs:
            event = {"event": "stopping", "level": "info", "logger": "holdfast.cli", "text": text}
            text = json.dumps({**event, "timestamp": to_text(SystemClock().now())})
        elif self._watcher.is_live:
            text = _CLEAR_LINE + text
        with suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno(), f"{text}\n{_SHOW_CURSOR if show_cursor else ''}".encode())
