"""How a run is asked to stop."""

from collections.abc import Callable


class StopSignal:
    """Asks a run to stop: no new calls, those in flight get a grace period, everything finished is committed.

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
        """Whether calls in flight get no grace."""
        return self._at_once

    def request(self, *, at_once: bool = False) -> None:
        """Ask. A second time changes nothing, unless it takes the grace away."""
        if self._requested and (self._at_once or not at_once):
            return
        self._at_once = at_once
        self._requested = True
        for listener in self._listeners:
            listener()

    def when_requested(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, where `request` is, when the stop is asked for; or now if it was already."""
        self._listeners.append(listener)
        if self._requested:
            listener()
