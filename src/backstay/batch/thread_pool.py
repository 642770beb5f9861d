"""Threads for processors that block."""

import queue
import threading
from collections.abc import Callable

_IDLE_SECONDS = 5.0


class ThreadPool:
    """Runs calls in daemon threads, as many as there are calls at once.

    Not `concurrent.futures`: its threads are waited for when the interpreter ends, so that one call which hangs would
    keep the process from ever stopping. A call that is abandoned here keeps its thread and nothing else.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def submit(self, call: Callable[[], None]) -> None:
        """Start `call` soon in a thread; it must not raise."""
        with self._lock:
            start = self._idle == 0
            if not start:
                self._idle -= 1  # promised to this call
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
                # Between the time-out and here a call was promised to this thread: it is on its way.
                call = self._calls.get()
