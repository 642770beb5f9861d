"""One moment of the library, read beside whoever writes. Implements `backup.store.Snapshot`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from holdfast.backup.store import Snapshot
from holdfast.library.record import Record
from holdfast.library.selection import Selection
from holdfast.storage.sqlite.connection import connect
from holdfast.storage.sqlite.errors import translated
from holdfast.storage.sqlite.records import Columns, selected

T = TypeVar("T")

_HANDED_OVER = 4_000_000  # bytes of records, or little more, that are handed over together


class SqliteSnapshot:
    """Reads in a thread of its own, and only when asked.

    Two threads that compute at once would get in each other's way: every step of a statement hands over the
    interpreter lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="holdfast-snapshot")
        self._close: Callable[[], None] = lambda: None
        self._columns = Columns()
        self._records: Iterator[list[Record]] = iter(())

    @property
    def database(self) -> str:
        return "sqlite"

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        return self._columns.as_mapping()

    async def chunks(self) -> AsyncIterator[Sequence[Record]]:
        while chunk := await self._do(self._next):
            yield chunk

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
        def do() -> None:
            connection = connect(self._path, read_only=True)
            self._close = partial(connection.close, True)
            connection.execute("BEGIN")
            self._columns = Columns.of(connection)  # the first read: from here on nothing changes for this connection
            self._records = selected(connection, owner, selection, self._columns)

        await self._do(do)

    async def end(self) -> None:
        await self._do(self._close)
        self._thread.shutdown(wait=False)

    async def _do(self, function: Callable[[], T]) -> T:
        def in_our_words() -> T:
            with translated(self._path):
                return function()

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_our_words)


@asynccontextmanager
async def open_snapshot(path: Path, owner: str, selection: Selection) -> AsyncIterator[Snapshot]:
    """Open a snapshot for as long as the context lasts. Meanwhile the write-ahead log keeps growing."""
    snapshot = SqliteSnapshot(path)
    try:
        await snapshot.begin(owner, selection)
        yield snapshot
    finally:
        await asyncio.shield(snapshot.end())
