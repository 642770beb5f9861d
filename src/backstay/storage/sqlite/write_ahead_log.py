"""Checkpoints the write-ahead log: copies its pages to the database file."""

from contextlib import suppress

import apsw


class WriteAheadLog:
    """The write-ahead log of a connection, checkpointed at SQLite's own threshold, but only when the caller asks.

    By itself SQLite checkpoints within a commit, which would delay the caller although the commit is on disk already.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._threshold: int = connection.execute("PRAGMA wal_autocheckpoint").get
        self._pages = 0
        connection.set_wal_hook(self._on_commit)  # replaces the automatic checkpoint

    def checkpoint(self) -> None:
        """Checkpoint the log if it has grown to the threshold. Does not block other writers."""
        if self._pages < self._threshold:
            return
        self._pages = 0
        # Errors are ignored, as SQLite does: a page that was not copied is safe in the log until the next checkpoint.
        with suppress(apsw.Error):
            self._connection.wal_checkpoint()

    def _on_commit(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK
