"""Waits for conditions, which fail after a while."""

import fcntl
import struct
import termios
import time
from collections.abc import Callable
from typing import TypeVar

from support.stores.sql import ask

Found = TypeVar("Found")

PATIENCE_SECONDS = 60.0
"""How long to wait before giving up; a busy machine needs only a few seconds."""


def until(holds: Callable[[], Found], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Wait until a function returns something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return value


def unread(pipe: int) -> int:
    """Return the number of unread bytes in a pipe, by its read end."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)


def locks_waited_for(url: str, *, milliseconds: int = 0) -> int:
    """Return how many sessions of this database have waited for a lock for at least so many milliseconds."""
    ((waiting,),) = ask(
        url,
        """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND clock_timestamp() - query_start >= ? * interval '1 ms'""",
        milliseconds,
    )
    return int(waiting)
