"""A PostgreSQL database: some threads that write, some that read. Implements `storage.sql.session.Database`."""

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

from backstay.errors import BackstayError, StoreClosed, StoreUnavailable
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import begin, connect
from backstay.storage.postgres.errors import AGAIN, translate_errors
from backstay.storage.postgres.queries import Statements
from backstay.storage.postgres.session import PostgresSession
from backstay.storage.postgres.write_connection import WriteConnection
from backstay.storage.sql.reader_pool import ReadDeadline, ReaderPool
from backstay.storage.sql.session import Session

T = TypeVar("T")

_WRITERS = 4
_TRIES = 20  # of a transaction that others have got in the way of
PATIENCE_SECONDS = 5.0  # with a server that has gone, before the caller hears of it
DOUBT_SECONDS = 120.0  # with one that went during a commit: what became of it is worth more of a wait
_READ = "ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresDatabase:
    """Runs functions in transactions, over again where the server asks for it or was gone before the commit.

    When the answer to a COMMIT is lost, nothing is decided before the database has said whether it was made.
    """

    def __init__(self, address: ServerAddress, *, schema: str, read_seconds: float | None = None) -> None:
        """Name the database. `read_seconds` limits the time of a statement that reads."""
        self.address = address
        self._read_seconds = read_seconds
        self._schema = schema
        self._statements = Statements(schema)
        self._known = 0
        self._writers: ThreadPoolExecutor | None = None
        self._readers: ReaderPool | None = None
        self._guard = threading.Lock()
        self._local = threading.local()
        self._channels: list[WriteConnection] = []
        self._leaving = threading.Event()
        self._under_way: set[Future[Any]] = set()
        self._waited_for: set[Future[Any]] = set()

    def start(self, *, known: int, collation: str) -> None:
        """Begin to take work; connections are made when they are needed.

        Args:
            known: The number of the schema that this code knows, which each write makes sure of.
            collation: By which upper and lower case are told apart.
        """
        self._known = known
        self._leaving.clear()
        self._statements = Statements(self._schema, collation=collation)
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="backstay-writer")
        self._readers = ReaderPool()

    def stop(self) -> None:
        """Let writes that were handed in finish, as long as the server answers, then close. Twice is safe.

        What nobody waits for any more gets a little time only: a lock of somebody else's may hold it up for hours.
        """
        self._leaving.set()
        with self._guard:
            writers, self._writers = self._writers, None
            readers, self._readers = self._readers, None
        while left := wait(set(self._under_way), timeout=PATIENCE_SECONDS).not_done:
            is_there = self._is_there()
            if is_there and left & self._waited_for:
                continue
            for channel in self._channels:
                if is_there:
                    channel.cancel()
                channel.cut()
        if readers is not None:
            readers.close()
        if writers is not None:
            writers.shutdown(wait=True)
        while self._channels:
            self._channels.pop().end()

    async def write(self, function: Callable[[Session], T], *, until_known: bool = False, erases: bool = False) -> T:
        doubt_seconds = math.inf if until_known else DOUBT_SECONDS
        future: Future[T] = self._hand_in(self._writers, self._write, function, doubt_seconds)
        writing: asyncio.Future[T] = asyncio.wrap_future(future)
        # A write that was handed in is made, and its error is nobody's, where nobody waits for it any more.
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        with self._waiting_for(future):
            return await asyncio.shield(writing)

    def write_blocking(self, function: Callable[[Session], T]) -> T:
        future: Future[T] = self._hand_in(self._writers, self._write, function, PATIENCE_SECONDS)
        return future.result()

    async def read(self, function: Callable[[Session], T], *, owner: str | None = None) -> T:
        if self._readers is None:
            raise StoreClosed("The database is not open; use it within `async with`")
        reading = _CancellableRead(self._read_seconds)
        future = self._noted(self._readers.submit(owner, partial(self._read, function, reading)))
        try:
            with self._waiting_for(future):
                return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            asyncio.get_running_loop().run_in_executor(None, reading.give_up)  # in a thread: it calls the server
            raise

    async def erase(self) -> bool:
        return False  # the server removes dead rows in its own time

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        # Closed, and not committed: it may still be in the middle of what nobody wants any more.
        with translate_errors(self.address, self._schema), closing(connect(self.address)) as connection:
            begin(connection, _READ)
            yield PostgresSession(connection, self._statements)

    def translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self.address, self._schema)

    def _hand_in(self, executor: ThreadPoolExecutor | None, function: Callable[..., T], *given: object) -> "Future[T]":
        if executor is None:
            raise StoreClosed("The database is not open; use it within `async with`")
        return self._noted(executor.submit(function, *given))

    def _noted(self, future: "Future[T]") -> "Future[T]":
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    @contextmanager
    def _waiting_for(self, future: "Future[Any]") -> Iterator[None]:
        self._waited_for.add(future)
        try:
            yield
        finally:
            self._waited_for.discard(future)

    def _is_there(self) -> bool:
        try:
            connect(self.address, connect_timeout=math.ceil(PATIENCE_SECONDS)).close()
        except BackstayError:
            return False
        return True

    def _channel(self) -> WriteConnection:
        """Return the connection of this thread."""
        channel: WriteConnection | None = getattr(self._local, "channel", None)
        if channel is None:
            channel = self._local.channel = WriteConnection(
                self.address, schema=self._schema, known=self._known, leaving=self._leaving
            )
            with self._guard:
                self._channels.append(channel)
        return channel

    def _write(self, function: Callable[[Session], T], doubt_seconds: float) -> T:
        def once(channel: WriteConnection) -> T:
            begun_in = channel.begin()
            result = function(PostgresSession(channel.connection, self._statements, begun_in=begun_in))
            channel.commit(doubt_seconds)
            return result

        return self._with_retries(once)

    def _read(self, function: Callable[[Session], T], reading: "_CancellableRead") -> T:
        def once(channel: WriteConnection) -> T:
            channel.begin_reading(_READ, self._read_seconds)
            try:
                result = function(PostgresSession(channel.connection, self._statements))
            except psycopg.errors.QueryCanceled as error:
                if reading.is_over():
                    raise reading.error() from error
                raise
            channel.end_reading()
            return result

        with reading.on(self._channel()):
            return self._with_retries(once)

    def _with_retries(self, once: Callable[[WriteConnection], T]) -> T:
        channel = self._channel()
        failed_at, tries = math.inf, 0
        while True:
            try:
                with translate_errors(self.address, self._schema):
                    return once(channel)
            except BaseException as error:
                channel.rollback()
                tries += 1
                failed_at = min(failed_at, time.monotonic())
                if tries >= _TRIES:
                    raise
                if isinstance(error.__cause__, AGAIN):
                    # Two that met would meet again if they waited equally long.
                    time.sleep(random.uniform(0, min(0.5, 0.002 * 2**tries)))  # noqa: S311 - no secret
                elif not isinstance(error, StoreUnavailable) or not self._waits_for(channel, failed_at, tries):
                    raise

    def _waits_for(self, channel: WriteConnection, failed_at: float, tries: int) -> bool:
        """Wait a little for a server that has gone; False when it is not to be waited for any more."""
        if time.monotonic() > max(failed_at, channel.answered_at) + PATIENCE_SECONDS:
            return False
        return not self._leaving.wait(min(0.5, 0.05 * 2**tries))


class _CancellableRead(ReadDeadline):
    """A read that another thread may cancel."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self._guard = threading.Lock()
        self._channel: WriteConnection | None = None

    @contextmanager
    def on(self, channel: WriteConnection) -> Iterator[None]:
        """Read on this channel for as long as the context lasts."""
        with self._guard:
            self.begin()
            self._channel = channel
        try:
            yield
        finally:
            with self._guard:
                self._channel = None
            if self.is_given_up:
                channel.drop()  # its cancel request may still be on its way, and would hit the next statement

    def give_up(self) -> None:
        """Have the server cancel it. From any thread; raises nothing."""
        self.is_given_up = True
        with self._guard:
            if self._channel is not None:
                self._channel.cancel()
