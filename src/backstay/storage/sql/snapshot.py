"""Reads the library as it is at one moment, while others write. Implements `backup.store.Snapshot`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

from backstay.backup.key_set import KeySet
from backstay.backup.store import Snapshot, UserColumns
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.storage.sql.conversation_records import StoredColumns, read_by_keys, read_selected
from backstay.storage.sql.curation import Curations
from backstay.storage.sql.database import Database, Session
from backstay.storage.sql.kept_recipes import recipes_of_jobs

T = TypeVar("T")

_CHUNK_BYTES = 4_000_000  # approximately


class SqlSnapshot:
    """A snapshot that is read in a thread of its own, one chunk ahead.

    The next chunk is read while the caller compresses and writes one, which does not hold the interpreter lock. More
    threads would only compete for that lock.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstay-snapshot")
        self._stack = ExitStack()
        self.database_kind = ""
        self.columns: UserColumns = {}
        self._records: Iterator[list[Record]] = iter(())
        self._session: Session | None = None
        self._owner = ""

    async def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        next_chunk = self._submit(self._read_chunk)
        try:
            while chunk := await asyncio.shield(next_chunk):
                next_chunk = self._submit(self._read_chunk)
                yield chunk
        finally:
            await asyncio.gather(next_chunk, return_exceptions=True)

    async def recipes(self, job_ids: Collection[str]) -> Sequence[ArchivedRecipe]:
        return await self._submit(lambda: self._read_recipes(sorted(job_ids)))

    def _read_recipes(self, job_ids: Sequence[str]) -> Sequence[ArchivedRecipe]:
        if self._session is None or not job_ids:
            return ()
        return recipes_of_jobs(self._session, self._owner, job_ids)

    def _read_chunk(self) -> Sequence[Record]:
        chunk: list[Record] = []
        size = 0
        for records in self._records:
            chunk += records
            size += sum(len(record.line) + len(record.curation or b"") for record in records)
            if size >= _CHUNK_BYTES:
                break
        return chunk

    async def begin(self, owner: str, selection: Selection | KeySet) -> None:
        def begin() -> None:
            session = self._stack.enter_context(self._database.snapshot())
            self._session, self._owner = session, owner
            # From this first read on, the session sees the database as it is now.
            columns = StoredColumns.from_session(session)
            self.database_kind, self.columns = session.kind, columns.as_mapping()
            curations = Curations(session, owner)
            if isinstance(selection, KeySet):
                records = read_by_keys(session, owner, selection, columns)
            else:
                records = read_selected(session, owner, selection, columns, at_once=not curations.exist)
            self._records = curations.add_to(records) if curations.exist else records

        await self._submit(begin)

    async def end(self) -> None:
        await self._submit(self._stack.close)
        self._thread.shutdown(wait=False)

    def _submit(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        def with_translated_errors() -> T:
            with self._database.translate_errors():
                return function()

        return asyncio.get_running_loop().run_in_executor(self._thread, with_translated_errors)


@asynccontextmanager
async def open_snapshot(database: Database, owner: str, selection: Selection | KeySet) -> AsyncIterator[Snapshot]:
    """Open a snapshot for as long as the context lasts. Meanwhile the space of deleted rows is not reused."""
    snapshot = SqlSnapshot(database)
    try:
        await snapshot.begin(owner, selection)
        yield snapshot
    finally:
        await asyncio.shield(snapshot.end())
