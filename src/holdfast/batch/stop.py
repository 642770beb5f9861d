"""How a run is asked to stop."""

from collections.abc import Callable


class Stop:
    """Asks a run to stop: no new calls, those in flight get a grace period, everything finished is committed.

    One object serves one run. `request` must be called on the event loop; to call it from a signal handler or another
    thread use `loop.call_soon_threadsafe(stop.request)`.
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
        """Whether calls in flight get no grace."""
        return self._at_once

    def request(self, *, at_once: bool = False) -> None:
        """Ask; a second time changes nothing."""
        if self._requested:
            return
        self._at_once = at_once
        self._requested = True
        for listener in self._listeners:
            listener()

    def when_requested(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when the stop is asked for, or now if it was already."""
        self._listeners.append(listener)
        if self._requested:
            listener()
