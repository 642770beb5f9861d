"""A PostgreSQL database with threads that write and threads that read. Implements `storage.sql.database.Database`."""

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg

from backstay.errors import BackstayError, StoreUnavailable
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import begin, connect
from backstay.storage.postgres.errors import RETRYABLE, translate_errors
from backstay.storage.postgres.queries import Statements
from backstay.storage.postgres.session import PostgresSession
from backstay.storage.postgres.write_connection import WriteConnection
from backstay.storage.sql.database import Session, closed_error
from backstay.storage.sql.reader_pool import ReadDeadline, ReaderPool

T = TypeVar("T")

_WRITER_THREADS = 4
_MAX_TRIES = 20  # of a transaction that conflicts with others
PATIENCE_SECONDS = 5.0  # how long to wait for a lost server before StoreUnavailable is raised
DOUBT_SECONDS = 120.0  # how long before CommitUnknown is raised: longer, because the caller needs to know the outcome
_READ = "ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresDatabase:
    """A database that runs functions in transactions, and retries after a conflict or a connection lost before COMMIT.

    When the reply to a COMMIT is lost, the database is asked whether the transaction was committed.
    """

    def __init__(self, address: ServerAddress, *, schema: str, read_seconds: float | None = None) -> None:
        """Name the database. `read_seconds` limits the time of a statement that reads."""
        self.address = address
        self._read_seconds = read_seconds
        self._schema = schema
        self._statements = Statements(schema)
        self._schema_version = 0
        self._writers: ThreadPoolExecutor | None = None
        self._readers: ReaderPool | None = None
        self._guard = threading.Lock()
        self._local = threading.local()
        self._connections: list[WriteConnection] = []
        self._stopping = threading.Event()
        self._in_flight: set[Future[Any]] = set()
        self._awaited: set[Future[Any]] = set()

    def start(self, *, schema_version: int, collation: str) -> None:
        """Start to accept work; connections are opened when they are needed.

        Args:
            schema_version: The version of the schema that this code knows. A write to any other is refused.
            collation: The collation whose rules turn letters into lower case in a search.
        """
        self._schema_version = schema_version
        self._stopping.clear()
        self._statements = Statements(self._schema, collation=collation)
        self._writers = ThreadPoolExecutor(_WRITER_THREADS, thread_name_prefix="backstay-writer")
        self._readers = ReaderPool()

    def stop(self) -> None:
        """Let submitted writes finish, as long as the server answers, then close. Idempotent.

        A call for which no caller waits gets `PATIENCE_SECONDS` only, since another program's lock may last for hours.
        """
        self._stopping.set()
        with self._guard:
            writers, self._writers = self._writers, None
            readers, self._readers = self._readers, None
        while unfinished := wait(set(self._in_flight), timeout=PATIENCE_SECONDS).not_done:
            is_reachable = self._is_reachable()
            if is_reachable and unfinished & self._awaited:
                continue
            for connection in self._connections:
                if is_reachable:
                    connection.cancel()
                connection.shut_down()
        if readers is not None:
            readers.close()
        if writers is not None:
            writers.shutdown(wait=True)
        while self._connections:
            self._connections.pop().close()

    async def write(
        self, function: Callable[[Session], T], *, wait_for_outcome: bool = False, overwrite_deleted: bool = False
    ) -> T:
        doubt_seconds = math.inf if wait_for_outcome else DOUBT_SECONDS
        future: Future[T] = self._submit(self._writers, self._write, function, doubt_seconds)
        pending: asyncio.Future[T] = asyncio.wrap_future(future)
        # If the caller leaves, the write still runs. Its error is retrieved here, or asyncio would log it.
        pending.add_done_callback(lambda settled: settled.cancelled() or settled.exception())
        with self._mark_awaited(future):
            return await asyncio.shield(pending)

    def write_blocking(self, function: Callable[[Session], T]) -> T:
        # Not marked as awaited: a heartbeat, for instance, must not delay the closing of the database.
        future: Future[T] = self._submit(self._writers, self._write, function, PATIENCE_SECONDS)
        return future.result()

    async def read(self, function: Callable[[Session], T], *, owner: str | None = None) -> T:
        if self._readers is None:
            raise closed_error()
        reading = _CancellableRead(self._read_seconds)
        future = self._track(self._readers.submit(owner, partial(self._read, function, reading)))
        try:
            with self._mark_awaited(future):
                return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            asyncio.get_running_loop().run_in_executor(None, reading.cancel)  # in a thread: it calls the server
            raise

    async def erase(self) -> bool:
        return False  # the server removes dead rows in its own time

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        # Closed, not committed, because a statement whose result is no longer needed may still be running.
        with self.translate_errors(), closing(connect(self.address)) as connection:
            begin(connection, _READ)
            yield PostgresSession(connection, self._statements)

    def translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self.address, self._schema)

    def _submit(
        self, executor: ThreadPoolExecutor | None, function: Callable[..., T], *arguments: object
    ) -> "Future[T]":
        if executor is None:
            raise closed_error()
        return self._track(executor.submit(function, *arguments))

    def _track(self, future: "Future[T]") -> "Future[T]":
        self._in_flight.add(future)
        future.add_done_callback(self._in_flight.discard)
        return future

    @contextmanager
    def _mark_awaited(self, future: "Future[Any]") -> Iterator[None]:
        self._awaited.add(future)
        try:
            yield
        finally:
            self._awaited.discard(future)

    def _is_reachable(self) -> bool:
        try:
            connect(self.address, connect_timeout=math.ceil(PATIENCE_SECONDS)).close()
        except BackstayError:
            return False
        return True

    def _thread_connection(self) -> WriteConnection:
        """Return this thread's connection."""
        connection: WriteConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = WriteConnection(
                self.address, schema=self._schema, schema_version=self._schema_version, stopping=self._stopping
            )
            with self._guard:
                self._connections.append(connection)
        return connection

    def _write(self, function: Callable[[Session], T], doubt_seconds: float) -> T:
        def run(connection: WriteConnection) -> T:
            begin_seconds = connection.begin()
            result = function(PostgresSession(connection.current, self._statements, begin_seconds=begin_seconds))
            connection.commit(doubt_seconds)
            return result

        return self._with_retries(run)

    def _read(self, function: Callable[[Session], T], reading: "_CancellableRead") -> T:
        def run(connection: WriteConnection) -> T:
            connection.begin_reading(_READ, self._read_seconds)
            try:
                result = function(PostgresSession(connection.current, self._statements))
            except psycopg.errors.QueryCanceled as error:
                if reading.is_over():
                    raise reading.error() from error
                raise
            connection.end_reading()
            return result

        with reading.on(self._thread_connection()):
            return self._with_retries(run)

    def _with_retries(self, run: Callable[[WriteConnection], T]) -> T:
        connection = self._thread_connection()
        failed_at, tries = math.inf, 0  # `failed_at`: of the first try
        while True:
            try:
                with self.translate_errors():
                    return run(connection)
            except BaseException as error:
                connection.rollback()
                tries += 1
                failed_at = min(failed_at, time.monotonic())
                if tries >= _MAX_TRIES:
                    raise
                if isinstance(error.__cause__, RETRYABLE):
                    # Two transactions in conflict would conflict again if they waited equally long.
                    time.sleep(random.uniform(0, min(0.5, 0.002 * 2**tries)))  # noqa: S311 - no secret
                # After StoreUnavailable nothing was committed; if that were in doubt, this would be CommitUnknown.
                elif not isinstance(error, StoreUnavailable) or not self._may_retry(connection, failed_at, tries):
                    raise

    def _may_retry(self, connection: WriteConnection, failed_at: float, tries: int) -> bool:
        """Wait briefly for a lost server. Return False if it was lost for too long, or the database is being closed."""
        if time.monotonic() > max(failed_at, connection.answered_at) + PATIENCE_SECONDS:
            return False
        return not self._stopping.wait(min(0.5, 0.05 * 2**tries))


class _CancellableRead(ReadDeadline):
    """A read that another thread may cancel."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self._guard = threading.Lock()
        self._connection: WriteConnection | None = None

    @contextmanager
    def on(self, connection: WriteConnection) -> Iterator[None]:
        """Read on this connection within the context."""
        with self._guard:
            self.begin()
            self._connection = connection
        try:
            yield
        finally:
            with self._guard:
                self._connection = None
            if self.is_cancelled:
                connection.drop()  # the cancel request may still be under way, and would cancel the next statement

    def cancel(self) -> None:
        """Let the server cancel the read. May be called from any thread; raises nothing."""
        self.is_cancelled = True
        with self._guard:
            if self._connection is not None:
                self._connection.cancel()
