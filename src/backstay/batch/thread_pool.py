"""Threads for blocking processors."""

import queue
import threading
from collections.abc import Callable

_IDLE_SECONDS = 5.0


class ThreadPool:
    """A pool of daemon threads, as many as there are concurrent calls.

    Not `concurrent.futures`: the interpreter waits for its threads on exit, so a single hanging call would keep the
    process alive for ever. A call that is abandoned here only keeps its thread.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, which must not raise, in an idle thread or a new one."""
        with self._lock:
            start = self._idle == 0
            if not start:
                self._idle -= 1  # reserved for this call
        if start:
            threading.Thread(target=self._serve, args=(call,), name="backstay-processor", daemon=True).start()
        else:
            self._calls.put(call)

    def _serve(self, call: Callable[[], None]) -> None:
        while True:
            call()
            with self._lock:
                self._idle += 1
            try:
                call = self._calls.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                # Between the time-out and here this thread was reserved for a call, which is about to arrive.
                call = self._calls.get()
