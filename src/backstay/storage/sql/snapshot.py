"""One moment of the library, read beside whoever writes. Implements `backup.store.Snapshot`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

from backstay.backup.store import Snapshot
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.storage.sql.records import StoredColumns, selected
from backstay.storage.sql.session import Database

T = TypeVar("T")

_HANDED_OVER = 4_000_000  # bytes of records, or little more, that are handed over together


class SqlSnapshot:
    """Reads in a thread of its own, one step ahead of what is asked for.

    That pays while the others compress and wait for the disk. Two that compute in Python would get in each other's way.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstay-snapshot")
        self._opened = ExitStack()
        self._kind = ""
        self._columns = StoredColumns()
        self._records: Iterator[list[Record]] = iter(())

    @property
    def database(self) -> str:
        return self._kind

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        return self._columns.as_mapping()

    async def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        coming = self._submit(self._next)
        try:
            while chunk := await asyncio.shield(coming):
                coming = self._submit(self._next)
                yield chunk
        finally:
            await asyncio.gather(coming, return_exceptions=True)

    def _next(self) -> Sequence[Record]:
        found: list[Record] = []
        size = 0
        for records in self._records:
            found += records
            size += sum(len(record.line) for record in records)
            if size >= _HANDED_OVER:
                break
        return found

    async def begin(self, owner: str, selection: Selection) -> None:
        def begin() -> None:
            session = self._opened.enter_context(self._database.snapshot())
            self._kind = session.kind
            self._columns = StoredColumns.from_session(
                session
            )  # the first read: from here on nothing changes for this session
            self._records = selected(session, owner, selection, self._columns)

        await self._submit(begin)

    async def end(self) -> None:
        await self._submit(self._opened.close)
        self._thread.shutdown(wait=False)

    def _submit(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        def in_our_words() -> T:
            with self._database.translate_errors():
                return function()

        return asyncio.get_running_loop().run_in_executor(self._thread, in_our_words)


@asynccontextmanager
async def open_snapshot(database: Database, owner: str, selection: Selection) -> AsyncIterator[Snapshot]:
    """Open a snapshot for as long as the context lasts. Meanwhile what was deleted since takes up its space."""
    snapshot = SqlSnapshot(database)
    try:
        await snapshot.begin(owner, selection)
        yield snapshot
    finally:
        await asyncio.shield(snapshot.end())
