"""The signal by which a run is asked to stop."""

from collections.abc import Callable


class StopSignal:
    """A request to stop a run: no new calls, a grace period for those in flight, and a commit of finished items.

    One object serves one run. `request` may be called from the event loop, another thread or a signal handler.
    """

    def __init__(self) -> None:
        self._requested = False
        self._at_once = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self._requested

    @property
    def at_once(self) -> bool:
        """Whether calls in flight get no grace period."""
        return self._at_once

    def request(self, *, at_once: bool = False) -> None:
        """Request the stop. A repeated call has an effect only if it is the first with `at_once`."""
        if self._requested and (self._at_once or not at_once):
            return
        self._at_once = at_once
        self._requested = True
        for listener in self._listeners:
            listener()

    def when_requested(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a stop is requested, in the thread of `request`; at once if it was requested already."""
        self._listeners.append(listener)
        if self._requested:
            listener()
