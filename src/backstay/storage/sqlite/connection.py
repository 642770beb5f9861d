"""Opens connections with durable commits, and refuses a SQLite library that can lose commits."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from backstay.errors import StoreBusy, UnsafeSQLite
from backstay.library import traits
from backstay.library.selection import contains
from backstay.storage.sql.text_search import fold
from backstay.storage.sqlite.errors import translate_errors

BUSY_MS = 30_000
_WAL_LIMIT_BYTES = 64 * 1024 * 1024

# SQLite's own LIKE ignores case in A to Z only, and its length() ends at a NUL.
FUNCTIONS: tuple[tuple[str, Callable[..., Any], int], ...] = (
    ("backstay_contains", contains, 2),
    ("backstay_folded", fold, 1),
    ("backstay_characters", traits.count_characters, 1),
    ("backstay_model", traits.model_of, 1),
    ("backstay_has_tools", traits.has_tools, 1),
    ("backstay_has_tool_calls", traits.has_tool_calls, 1),
)
"""The functions that statements use: name, function and number of arguments."""

# SQLite may reset a write-ahead log that another process still needs, which loses commits, in all releases
# before 3.51.3 except two maintenance releases. Source: sqlite.org, "The WAL-reset bug".
_SAFE_SINCE = (3, 51, 3)
_SAFE_MAINTENANCE_RELEASES = ((3, 44, 6), (3, 50, 7))


def check_sqlite(version: str | None = None) -> None:
    """Refuse a SQLite library that can lose commits.

    Raises:
        UnsafeSQLite: the library can; the message says what to install.
    """
    installed = version or apsw.sqlite_lib_version()
    number = tuple(map(int, installed.split(".")))
    if number < _SAFE_SINCE and number not in _SAFE_MAINTENANCE_RELEASES:
        raise UnsafeSQLite(
            f"SQLite {installed} can lose commits; install a newer one with `pip install -U apsw`", version=installed
        )


def connect(path: Path, *, create: bool = False, read_only: bool = False) -> apsw.Connection:
    """Open a connection whose commits are on disk when they return.

    Raises:
        StorageError: it cannot be opened, or cannot use a write-ahead log.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    with translate_errors(path):
        connection = apsw.Connection(str(path), flags=flags)
        try:
            connection.set_busy_timeout(BUSY_MS)
            # Otherwise the plan depends on the bound values, and each execution with other values prepares it anew.
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
            _use_wal(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = FAST")  # zero deleted content where that writes no extra page
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            if platform.system() == "Darwin":
                # On macOS fsync leaves data in the drive's cache; this uses F_FULLFSYNC instead.
                connection.execute("PRAGMA fullfsync = ON")
                connection.execute("PRAGMA checkpoint_fullfsync = ON")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
            for name, function, arguments in FUNCTIONS:
                connection.create_scalar_function(name, function, arguments, deterministic=True)
        except BaseException:
            connection.close()
            raise
        return connection


def _use_wal(connection: apsw.Connection, path: Path) -> None:
    # Changing the mode needs an exclusive lock, and SQLite does not wait for that one.
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").get
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise StoreBusy(
                f"{path} cannot use a write-ahead log (mode {mode}); put it on a local disk", path=str(path)
            )
        return
