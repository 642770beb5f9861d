"""When a signal is a second one, and not the first one twice."""

import time

SAME_SIGNAL_SECONDS = 0.5
"""Signals that come so soon after the first are that one: `timeout`, for instance, sends it to its child and then to
the child's whole group, and a terminal sends it to a wrapper that passes it on."""


class SignalCounter:
    """Counts signals that ask to stop. Takes no lock and waits for nothing: it is used in handlers of signals."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def is_second(self) -> bool:
        """Note a signal that has come now; return whether it is another one than the first."""
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        return now - self._first_at > SAME_SIGNAL_SECONDS
