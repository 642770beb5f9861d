"""Waiting for signs: what is expected has happened, or it never will."""

import fcntl
import struct
import termios
import time
from collections.abc import Callable
from typing import TypeVar

from support.sql import ask

Found = TypeVar("Found")

PATIENCE_SECONDS = 60.0
"""After so long what has not happened never will; a machine that is busy needs a few of them."""


def until(holds: Callable[[], Found], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Wait for what is expected to come true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return found


def unread(pipe: int) -> int:
    """Return how many bytes wait in a pipe, asked at the end for reading; none once somebody has begun to read."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def locks_waited_for(url: str, *, milliseconds: int = 0) -> int:
    """Return how many in this database of a server wait for a lock, and have for so long."""
    (waiting,) = ask(
        url,
        """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND clock_timestamp() - query_start >= ? * interval '1 ms'""",
        milliseconds,
    )[0]
    return waiting
