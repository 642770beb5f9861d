"""Distinguish a second signal from a repetition of the first."""

import time

SAME_SIGNAL_SECONDS = 0.5
"""Signals within this time after the first count as the same: `timeout`, for instance, sends one to its child and then
another to the child's whole group, and a terminal sends one to a wrapper that passes it on."""


class SignalCounter:
    """Counter of stop signals. It takes no lock and does not block, so that signal handlers can use it."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def is_second(self) -> bool:
        """Record a signal, and return whether it differs from the first."""
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        return now - self._first_at > SAME_SIGNAL_SECONDS
