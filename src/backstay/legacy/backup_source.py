"""A backup file of the original library as the source from which a backup is written."""

import asyncio
import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from backstay.errors import InputError, InputUnreadable
from backstay.legacy.backup_file import LegacyFile, open_first
from backstay.legacy.conversion import convert_row, to_record
from backstay.legacy.value_rules import parse_time
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.record import Document, Record

T = TypeVar("T")

AllocateKeys = Callable[[int], Awaitable[Sequence[int]]]
"""Allocates keys for a number of conversations, in storage order."""

_MAX_CHUNK_BYTES = 4_000_000  # approximately
_MAX_CHUNK_CONVERSATIONS = 1_000


class LegacyFileSource:
    """A file that is read completely twice: once to examine it, and once to write a backup of it."""

    def __init__(self, paths: Sequence[Path], fallback_time: datetime) -> None:
        """Create a source of these possible paths; `fallback_time` is the creation time if the file has none."""
        self._paths = paths
        self._fallback_time = fallback_time
        self._digest = b""
        self.created_at = fallback_time
        """The creation time in the file, once it was examined."""
        self.conversations = 0

    def examine(self) -> set[str]:
        """Read and decode all of it; return the ids of its conversations. Blocks. Raises InputError."""
        path, file = open_first(self._paths)
        self._paths = [path]
        ids: set[str] = set()
        sha = hashlib.sha256()
        with file:
            original = LegacyFile(path, file)
            for row in original.conversations():
                record = to_record(convert_row(row, original.origin, self._fallback_time), 0)
                if record.id in ids:
                    raise original.origin.invalid_row(row.line, "a conversation that the file has twice")
                ids.add(record.id)
                sha.update(record.version)
        self.conversations, self._digest = len(ids), sha.digest()
        if original.created_at is not None:
            try:
                self.created_at = parse_time(original.created_at, "its createdAt")
            except InputError as error:
                raise original.origin.unreadable(error.message) from error
        return ids

    @asynccontextmanager
    async def open(self, allocate_keys: AllocateKeys) -> AsyncIterator["_Snapshot"]:
        """Open the file again as a snapshot whose conversations get allocated keys."""
        path, file = await asyncio.to_thread(open_first, self._paths)
        with file:
            yield _Snapshot(LegacyFile(path, file), self._fallback_time, allocate_keys, self._digest)


class _Snapshot:
    """A snapshot of the file. Implements `backup.store.Snapshot`."""

    database_kind = "original"

    def __init__(
        self, original: LegacyFile, fallback_time: datetime, allocate_keys: AllocateKeys, digest: bytes
    ) -> None:
        self.columns: Mapping[str, Mapping[str, str]] = {}
        self._original = original
        self._fallback_time = fallback_time
        self._allocate_keys = allocate_keys
        self._digest = digest

    async def chunks(self) -> AsyncGenerator[Sequence[Record]]:
        sha = hashlib.sha256()
        with closing(self._documents()) as chunks:
            async for documents in iterate_in_thread(chunks):
                keys = await self._allocate_keys(len(documents))
                records = [to_record(document, key) for document, key in zip(documents, keys, strict=True)]
                for record in records:
                    sha.update(record.version)
                yield records
        if sha.digest() != self._digest:
            raise InputUnreadable("its file was changed while it was read; try again")

    async def recipes(self, job_ids: Collection[str]) -> Sequence[ArchivedRecipe]:
        return ()

    def _documents(self) -> Generator[list[Document]]:
        chunk: list[Document] = []
        size = 0
        for row in self._original.conversations():
            document = convert_row(row, self._original.origin, self._fallback_time)
            chunk.append(document)
            size += len(to_record(document, 0).line)
            if size >= _MAX_CHUNK_BYTES or len(chunk) >= _MAX_CHUNK_CONVERSATIONS:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk


async def iterate_in_thread(source: Iterator[T]) -> AsyncGenerator[T]:
    """Yield the items of `source`, each computed in a thread. None of them may be None."""
    while (item := await asyncio.to_thread(next, source, None)) is not None:
        yield item
