"""One database file, with one writer thread and a pool of readers. Implements `storage.sql.database.Database`."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from backstay.errors import StorageError
from backstay.logs import get_logger
from backstay.storage.sql.database import Session, closed_error
from backstay.storage.sql.reader_pool import MAX_READS, ReadDeadline, ReaderPool
from backstay.storage.sqlite.connection import connect
from backstay.storage.sqlite.errors import translate_errors
from backstay.storage.sqlite.file_identity import FileIdentity
from backstay.storage.sqlite.session import SqliteSession
from backstay.storage.sqlite.write_ahead_log import WriteAheadLog

_log = get_logger("backstay.storage")

T = TypeVar("T")

_STEPS_PER_CHECK = 50_000  # of SQLite's virtual machine between deadline checks; takes some milliseconds
_MAX_VACUUM_BYTES = 256 * 1024 * 1024  # VACUUM holds the write lock, for a few seconds at this size
_ERASE_BUSY_MS = 5_000


class SqliteDatabase:
    """A database file. Writes run one after the other, each in a transaction; reads run concurrently with them.

    A submitted write runs to its end even if its caller is cancelled, because an abandoned transaction would block all
    others.

    A write is acknowledged only while the opened file is still at its path and has the schema that this code knows.
    """

    def __init__(self, path: Path, *, read_seconds: float | None = None) -> None:
        """Open nothing yet. `read_seconds` limits the time of a read."""
        self.path = path
        self._read_seconds = read_seconds
        self._writes: queue.SimpleQueue[Callable[[apsw.Connection, FileIdentity], None] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ReaderPool | None = None
        self._reader_connections: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._identity: FileIdentity | None = None
        self._guard = threading.Lock()

    def start(self, *, schema_version: int) -> None:
        """Open the connections to a database of that version of the schema, and start the writer.

        Raises:
            StorageError: a connection cannot be opened.
        """
        # Recorded before the file is opened, so that a replacement in between is detected as well.
        identity = FileIdentity(self.path, schema_version)
        connection = connect(self.path)
        for _ in range(MAX_READS):
            self._reader_connections.put(connect(self.path, read_only=True))
        self._readers = ReaderPool()
        self._identity = identity
        self._writer = threading.Thread(
            target=self._write_all, args=(connection, identity), name="backstay-writer", daemon=True
        )
        self._writer.start()

    def stop(self) -> None:
        """Finish the submitted writes, then close. Idempotent."""
        with self._guard:
            writer, self._writer = self._writer, None
            readers, self._readers = self._readers, None
            if writer is not None:
                self._writes.put(None)
        if writer is None or readers is None or self._identity is None:
            return
        readers.close()
        while not self._reader_connections.empty():
            _close(self._reader_connections.get(), self._identity)
        writer.join()

    async def write(
        self, function: Callable[[Session], T], *, wait_for_outcome: bool = False, overwrite_deleted: bool = False
    ) -> T:
        # `wait_for_outcome` has no effect, because the outcome of a commit to a file is always known.
        return await asyncio.wrap_future(self._submit(function, overwrite_deleted=overwrite_deleted))

    def write_blocking(self, function: Callable[[Session], T]) -> T:
        return self._submit(function).result()

    async def read(self, function: Callable[[Session], T], *, owner: str | None = None) -> T:
        if self._readers is None:
            raise closed_error()
        deadline = ReadDeadline(self._read_seconds)
        future = self._readers.submit(owner, partial(self._read, function, deadline))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            deadline.is_cancelled = True
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        connection = connect(self.path, read_only=True)
        try:
            connection.execute("BEGIN")
            yield SqliteSession(connection)
        finally:
            connection.close(True)

    async def erase(self) -> bool:
        return await asyncio.to_thread(self._erase)

    def translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self.path)

    def _read(self, function: Callable[[Session], T], deadline: ReadDeadline) -> T:
        def run_until_deadline(connection: apsw.Connection) -> T:
            try:
                return function(SqliteSession(connection))
            except apsw.InterruptError as error:
                raise deadline.error() from error

        connection = self._reader_connections.get()
        deadline.begin()
        connection.set_progress_handler(deadline.is_over, _STEPS_PER_CHECK)
        try:
            return in_transaction(connection, "BEGIN", run_until_deadline, self.path)
        finally:
            connection.set_progress_handler(None)
            self._reader_connections.put(connection)

    def _erase(self) -> bool:
        try:
            with closing(connect(self.path)) as connection:
                connection.set_busy_timeout(_ERASE_BUSY_MS)
                # secure_delete leaves copies that SQLite made when it moved rows between pages; VACUUM removes them.
                is_small = self.path.stat().st_size <= _MAX_VACUUM_BYTES
                if is_small:
                    connection.execute("VACUUM")
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (StorageError, apsw.Error, OSError) as error:
            _log.warning("erase_unfinished", error=type(error).__name__)
            return False
        return is_small

    def _submit(self, function: Callable[[Session], T], *, overwrite_deleted: bool = False) -> "Future[T]":
        future: Future[T] = Future()

        def run(connection: apsw.Connection, identity: FileIdentity) -> None:
            try:
                if overwrite_deleted:
                    connection.execute("PRAGMA secure_delete = ON")
                try:
                    result = self._write(connection, identity, function)
                finally:
                    if overwrite_deleted:
                        connection.execute("PRAGMA secure_delete = FAST")
            except BaseException as error:
                _settle(future, error=error)
            else:
                _settle(future, result=result)

        with self._guard:
            if self._writer is None:
                raise closed_error()
            self._writes.put(run)
        return future

    def _write(self, connection: apsw.Connection, identity: FileIdentity, function: Callable[[Session], T]) -> T:
        def in_known_schema(connection: apsw.Connection) -> T:
            identity.check_schema(connection)
            return function(SqliteSession(connection))

        result = in_transaction(connection, "BEGIN IMMEDIATE", in_known_schema, self.path)
        identity.check_files()
        return result

    def _write_all(self, connection: apsw.Connection, identity: FileIdentity) -> None:
        log = WriteAheadLog(connection)
        while (run := self._writes.get()) is not None:
            run(connection, identity)
            log.checkpoint()  # after the caller's answer, so that the caller does not wait for this
        _close(connection, identity)


def in_transaction(connection: apsw.Connection, begin: str, function: Callable[[apsw.Connection], T], path: Path) -> T:
    """Run `function` between `begin` and COMMIT; on an error roll back, and raise it as one of Backstay's."""
    with translate_errors(path):
        connection.execute(begin)
        try:
            result = function(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result


def _settle(future: "Future[T]", *, result: T | None = None, error: BaseException | None = None) -> None:
    # The caller may have been cancelled meanwhile, but the transaction is committed all the same.
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]  # T may be None


def _close(connection: apsw.Connection, identity: FileIdentity) -> None:
    if identity.is_log_replaced:
        # The last connection to close deletes the log by its path, which now is another database's log.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()
