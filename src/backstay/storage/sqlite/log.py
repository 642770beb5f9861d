"""The write-ahead log, and when it is copied back into the database."""

from contextlib import suppress

import apsw


class WriteAheadLog:
    """Copies the log of a connection back as often as SQLite would by itself, but when it is told to.

    By itself SQLite does it within a commit. Who waits for that commit would wait for this as well, although what was
    committed is on disk before.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._most: int = connection.execute("PRAGMA wal_autocheckpoint").get
        self._pages = 0
        connection.set_wal_hook(self._committed)  # takes the place of what SQLite does by itself

    def checkpoint(self) -> None:
        """Copy it back if it has grown long enough; nobody else is kept from writing."""
        if self._pages < self._most:
            return
        self._pages = 0
        # As within a commit, an error is none: what cannot be copied is safe in the log, and is copied another time.
        with suppress(apsw.Error):
            self._connection.wal_checkpoint()

    def _committed(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK
