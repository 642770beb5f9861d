"""The csv module's limit on the length of a cell, raised only while it has to be."""

import csv
import threading


class RaisedFieldLimit:
    """Lets the csv module read cells of up to `limit` characters between `hold` and `release`.

    The limit is one number for the whole process and 128 KiB at first. Other code may rely on it, so it is raised for
    the single record that needs it. Readers in several threads share the raised limit: the last one to let go puts back
    what the first one found.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._holders = 0
        self._before = 0

    def hold(self) -> None:
        """Raise the limit. Each call needs one `release`."""
        with self._lock:
            if self._holders == 0:
                self._before = csv.field_size_limit(self._limit)
            self._holders += 1

    def release(self) -> None:
        """Undo one `hold`."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                csv.field_size_limit(self._before)
