"""One database file: a writer thread, readers apart."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from holdfast.errors import StoreClosed
from holdfast.storage.sqlite.connection import connect
from holdfast.storage.sqlite.errors import translated

T = TypeVar("T")

_READERS = 2


class Database:
    """Runs functions over connections: writes one after the other in a transaction each, reads beside them.

    A write that was handed in runs to its end, whatever becomes of who waits for it: a transaction abandoned half way
    would keep everybody else waiting.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writes: queue.SimpleQueue[Callable[[apsw.Connection], None] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reader_connections: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._guard = threading.Lock()

    def start(self) -> None:
        """Open the connections and start the writer.

        Raises:
            StorageError: a connection cannot be opened.
        """
        connection = connect(self.path)
        for _ in range(_READERS):
            self._reader_connections.put(connect(self.path, read_only=True))
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="holdfast-reader")
        self._writer = threading.Thread(target=self._write_all, args=(connection,), name="holdfast-writer", daemon=True)
        self._writer.start()

    def stop(self) -> None:
        """Let writes that were handed in finish, then close. Twice is safe."""
        with self._guard:
            writer, self._writer = self._writer, None
            readers, self._readers = self._readers, None
            if writer is not None:
                self._writes.put(None)
        if writer is None or readers is None:
            return
        readers.shutdown(wait=True)
        while not self._reader_connections.empty():
            self._reader_connections.get().close()
        writer.join()

    async def write(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run `function` in a write transaction; it is committed, to disk, when this returns.

        When it raises, nothing of it is kept. Raises StorageError, and whatever `function` raises.
        """
        return await asyncio.wrap_future(self._submit(function))

    def write_blocking(self, function: Callable[[apsw.Connection], T]) -> T:
        """The same for a thread that is not the event loop's."""
        return self._submit(function).result()

    async def read(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run `function` over one consistent snapshot.

        Raises StorageError, and whatever `function` raises.
        """
        if self._readers is None:
            raise StoreClosed("The database is not open; use it within `async with`")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, function)

    def _read(self, function: Callable[[apsw.Connection], T]) -> T:
        connection = self._reader_connections.get()
        try:
            return in_transaction(connection, "BEGIN", function, self.path)
        finally:
            self._reader_connections.put(connection)

    def _submit(self, function: Callable[[apsw.Connection], T]) -> "Future[T]":
        future: Future[T] = Future()

        def run(connection: apsw.Connection) -> None:
            try:
                result = in_transaction(connection, "BEGIN IMMEDIATE", function, self.path)
            except BaseException as error:
                _settle(future, error=error)
            else:
                _settle(future, result=result)

        with self._guard:
            if self._writer is None:
                raise StoreClosed("The database is not open; use it within `async with`")
            self._writes.put(run)
        return future

    def _write_all(self, connection: apsw.Connection) -> None:
        while (run := self._writes.get()) is not None:
            run(connection)
        connection.close()


def in_transaction(connection: apsw.Connection, begin: str, function: Callable[[apsw.Connection], T], path: Path) -> T:
    """Run `function` between `begin` and COMMIT; on any error roll back and raise it in our words."""
    with translated(path):
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
    # Who waited may have been cancelled in this instant; the transaction stands all the same.
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]
