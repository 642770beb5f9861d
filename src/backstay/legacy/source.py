"""A backup file of the original as a snapshot, from which a backup is written."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from backstay.errors import InputError, InputUnreadable
from backstay.legacy.conversion import document_of, record_of
from backstay.legacy.file import LegacyFile, opened
from backstay.legacy.values import moment
from backstay.library.record import Document, Record

T = TypeVar("T")

Places = Callable[[int], Awaitable[Sequence[int]]]
"""Function that allocates keys for so many conversations in the order of storing."""

_TOGETHER = 4_000_000  # approximate bytes of conversations in a chunk
_MOST = 1_000  # conversations in a chunk


class LegacyFileSource:
    """File that is read completely twice: once to examine it, and once to write a backup of it."""

    def __init__(self, paths: Sequence[Path], since: datetime) -> None:
        """Create a source of these possible paths; `since` is the creation time if the file has none."""
        self._paths = paths
        self._since = since
        self._digest = b""
        self.created_at = since
        """The creation time in the file, once it was examined."""
        self.conversations = 0

    def examine(self) -> set[str]:
        """Read and decode all of it; return the ids of its conversations. Blocks. Raises InputError."""
        path, file = opened(self._paths)
        self._paths = [path]
        held: set[str] = set()
        sha = hashlib.sha256()
        with file:
            original = LegacyFile(path, file)
            for row in original.conversations():
                record = record_of(document_of(row, original.origin, self._since), 0)
                if record.id in held:
                    raise original.origin.invalid_row(row.line, "a conversation that the file has twice")
                held.add(record.id)
                sha.update(record.version)
        self.conversations, self._digest = len(held), sha.digest()
        if original.created_at is not None:
            try:
                self.created_at = moment(original.created_at)
            except InputError as error:
                raise original.origin.unreadable("its createdAt is not a time") from error
        return held

    @asynccontextmanager
    async def opened(self, places: Places) -> AsyncIterator["_Snapshot"]:
        """Open the file again as a snapshot whose conversations get allocated keys."""
        path, file = await asyncio.to_thread(opened, self._paths)
        with file:
            yield _Snapshot(LegacyFile(path, file), self._since, places, self._digest)


class _Snapshot:
    """Snapshot of the file. Implements `backup.store.Snapshot`."""

    def __init__(self, original: LegacyFile, since: datetime, places: Places, digest: bytes) -> None:
        self._original = original
        self._since = since
        self._places = places
        self._digest = digest

    @property
    def database(self) -> str:
        return "original"

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        return {}

    async def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        sha = hashlib.sha256()
        with closing(self._documents()) as found:
            async for documents in in_thread(found):
                places = await self._places(len(documents))
                records = [record_of(document, place) for document, place in zip(documents, places, strict=True)]
                for record in records:
                    sha.update(record.version)
                yield records
        if sha.digest() != self._digest:
            raise InputUnreadable("its file was changed while it was read; try again")

    def _documents(self) -> Generator[list[Document]]:
        chunk: list[Document] = []
        size = 0
        for row in self._original.conversations():
            document = document_of(row, self._original.origin, self._since)
            chunk.append(document)
            size += len(record_of(document, 0).line)
            if size >= _TOGETHER or len(chunk) >= _MOST:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk


async def in_thread(source: Iterator[T]) -> AsyncGenerator[T]:
    """Yield the items of `source`, none of which is None, each computed in a thread."""
    while (made := await asyncio.to_thread(next, source, None)) is not None:
        yield made
