"""The csv module's limit on the length of a cell, raised only while needed."""

import csv
import threading


class RaisedFieldLimit:
    """A limit of `limit` characters per cell, in force between `hold` and `release`.

    The csv module has one limit for the whole process, 128 KiB by default. Other code may rely on it, so it is raised
    only for a record that needs it. Readers in several threads share the raised limit; the last one to release it
    restores the previous value.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._holders = 0
        self._previous_limit = 0

    def hold(self) -> None:
        """Raise the limit. Each call needs one `release`."""
        with self._lock:
            if self._holders == 0:
                self._previous_limit = csv.field_size_limit(self._limit)
            self._holders += 1

    def release(self) -> None:
        """Undo one `hold`."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                csv.field_size_limit(self._previous_limit)
