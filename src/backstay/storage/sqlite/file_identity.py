"""Detects that the database file was deleted, moved or replaced while it was open.

An open file stays usable after its path is deleted: a worker could commit for hours to a database that no process can
open again. Source for what happens then: sqlite.org, "How To Corrupt An SQLite Database File", 1.4 and 4.
"""

from pathlib import Path

import apsw

from backstay.errors import StoreGone
from backstay.storage.sql.migrations import refuse_newer
from backstay.storage.sqlite.schema_version import version_of

_Inode = tuple[int, int]


class FileIdentity:
    """The inodes of a database and its write-ahead log when they were opened, and the schema version."""

    def __init__(self, path: Path, schema: int) -> None:
        self._path = path
        self._schema = schema
        self._log_path = Path(f"{path}-wal")
        self._database_inode = _inode(path)
        # The first transaction creates the log, which stays the same file while any process has it open.
        self._log_inode: _Inode | None = None

    def check_schema(self, connection: apsw.Connection) -> None:
        """Check, within a transaction, that the schema is still the one that this code knows.

        Raises:
            SchemaTooNew: a newer Backstay has migrated it since.
        """
        refuse_newer(self._path, version_of(connection), self._schema, path=str(self._path))

    def check_files(self) -> None:
        """Check that what was just committed is in the files at the paths of the database and its log.

        Raises:
            StoreGone: one of them was deleted, moved or replaced.
        """
        if _inode(self._path) != self._database_inode:
            raise self._gone(self._path)
        log = _inode(self._log_path)
        self._log_inode = self._log_inode or log
        if log is None or log != self._log_inode:
            raise self._gone(self._log_path)

    @property
    def is_log_replaced(self) -> bool:
        """Whether another database is at this one's path, with its own log."""
        is_replaced = _inode(self._path) not in (self._database_inode, None)
        return is_replaced and _inode(self._log_path) != self._log_inode

    def _gone(self, path: Path) -> StoreGone:
        return StoreGone(
            f"{path} was deleted, moved or replaced while it was in use, and nothing done since was stored; "
            "put back the original file together with its -wal and -shm files, then try again",
            path=str(path),
        )


def _inode(path: Path) -> _Inode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
