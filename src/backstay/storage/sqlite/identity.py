"""What was opened, so that something else in its place is noticed.

An open file stays usable when its name goes: a worker could commit for hours into a database that nobody can open any
more. Source of what goes wrong then: sqlite.org, "How To Corrupt An SQLite Database File", 1.4 and 4.
"""

from pathlib import Path

import apsw

from backstay.errors import StoreGone
from backstay.storage.sqlite.schema import refuse_newer, version_of

_Inode = tuple[int, int]


class FileIdentity:
    """The database and its write-ahead log as they were when they were opened, and the schema it had."""

    def __init__(self, path: Path, schema: int) -> None:
        self._path = path
        self._schema = schema
        self._log_path = Path(f"{path}-wal")
        self._database = _inode(path)
        # The log is made with the first transaction, and stays the same file for as long as anybody has it open.
        self._log: _Inode | None = None

    def check_schema(self, connection: apsw.Connection) -> None:
        """Make sure, within a transaction, that what it writes is what the schema means.

        Raises:
            SchemaTooNew: a newer Backstay has migrated it in the meantime.
        """
        refuse_newer(self._path, version_of(connection), self._schema)

    def check_files(self) -> None:
        """Make sure that what was just committed is in the files that the next to open the database will find.

        Raises:
            StoreGone: one of them was deleted, moved or replaced.
        """
        if _inode(self._path) != self._database:
            raise self._gone(self._path)
        log = _inode(self._log_path)
        self._log = self._log or log
        if log is None or log != self._log:
            raise self._gone(self._log_path)

    @property
    def is_log_replaced(self) -> bool:
        """Whether another database stands under this one's name, with a log of its own."""
        is_replaced = _inode(self._path) not in (self._database, None)
        return is_replaced and _inode(self._log_path) != self._log

    def _gone(self, path: Path) -> StoreGone:
        return StoreGone(
            f"{path} was deleted, moved or replaced while it was in use, and nothing done since was kept; "
            "put back the file that was there, with those beside it, then resume",
            path=str(path),
        )


def _inode(path: Path) -> _Inode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
