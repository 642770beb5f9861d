"""The file of an import: which kind it is, and what is in it."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast

from backstay.errors import BackupError, InputUnreadable
from backstay.library.archive import BEGINNING, MAGIC, ArchiveReader, decompressed
from backstay.library.imports.incoming import Incoming
from backstay.library.imports.shapes import read, read_exact
from backstay.library.record import TURNS
from backstay.readers import read_rows
from backstay.readers.ceiling import Ceiling
from backstay.readers.json_object import parse_object
from backstay.readers.origin import Origin
from backstay.readers.row import Row
from backstay.readers.text import MAX_RECORD_BYTES

_CHUNK = 256
_BLOCK = 1024 * 1024
_HEAD = 64 * 1024


class ImportSource:
    """A file, or standard input.

    A backup is told by its first bytes; of other files the suffix says what they are.
    """

    def __init__(self, path: Path | None, *, stdin: BinaryIO | None = None) -> None:
        self.origin = Origin.of(path)
        self._path = path
        self._stdin = stdin
        self._spooled: BinaryIO | None = None
        self._text_bytes = 0
        """How much text the chunks yielded so far had, or more."""

    def close(self) -> None:
        """Let go of what was kept of standard input. Twice is safe."""
        if self._spooled is not None:
            self._spooled.close()

    def check(self, ceiling: Ceiling) -> None:
        """Read all of it, so that a file that is of no use, or too large, is found while nothing is locked for it.

        Blocks. Raises InputTooLarge, and what `chunks` raises.
        """
        rows = 0
        for chunk in self.chunks():
            rows += sum(1 + len(incoming.document[TURNS]) for incoming in chunk)
            ceiling.check(
                self.origin.path, rows=rows, text_bytes=self._text_bytes, what="conversations and turns together"
            )

    def chunks(self) -> Iterator[Sequence[Incoming]]:
        """Yield the conversations in their order, many at a time, from the beginning at each call. Blocks.

        Raises:
            InputError: the file, or a row, is of no use.
            BackupError: it is a backup that is not whole, or of a newer version.
        """
        if self._path is None:
            with self._from_stdin() as file:
                yield from self._chunks(file)
            return
        try:
            file = self._path.open("rb")
        except OSError:
            yield from _in_chunks(self._rows(None))  # the reader of rows says what is wrong with it
            return
        with file:
            yield from self._chunks(file)

    def _chunks(self, file: BinaryIO) -> Iterator[Sequence[Incoming]]:
        try:
            head = file.read(_HEAD)
            file.seek(0)
        except OSError:
            head = b""  # a folder, for instance
        if head.startswith(MAGIC):
            return self._backup(decompressed(file))
        if head.startswith(BEGINNING) and b'"conversations":[' in head.split(b"\n", 1)[0]:
            return self._backup(iter(lambda: file.read(_BLOCK), b""))
        self._text_bytes = os.fstat(file.fileno()).st_size
        if head.startswith(BEGINNING) or (self._path is not None and self._path.suffix == ".zst"):
            raise self.origin.unreadable(
                "not a backup as Backstay writes it; if another program formatted it anew, use the file it was made of"
            )
        return _in_chunks(self._rows(file))

    def _rows(self, file: BinaryIO | None) -> Iterator[Incoming]:
        rows = read_rows(self._path) if self._path is not None else read_rows(None, stdin=file)
        for row in rows:
            yield Incoming(row.line, read(row, self.origin))

    def _backup(self, blocks: Iterator[bytes]) -> Iterator[Sequence[Incoming]]:
        try:
            line, reader = 1, ArchiveReader(blocks, longest_line=MAX_RECORD_BYTES)
            for lines in reader.batches():
                self._text_bytes = reader.content_bytes
                yield [self._of_backup(text, line + number) for number, (text, _) in enumerate(lines, start=1)]
                line += len(lines)
        except BackupError as error:
            raise type(error)(f"{self.origin.path}: {error.message}", path=self.origin.path) from error

    def _of_backup(self, text: bytes, line: int) -> Incoming:
        row = Row(line, parse_object(text, self.origin, line))
        return Incoming(line, read_exact(row, self.origin), is_exact=True)

    def _from_stdin(self) -> BinaryIO:
        # The database is not to wait, locked, for whoever writes into the other end; and it may ask for all again.
        if self._spooled is None:
            self._spooled = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - closed by `close`
            self._spool(self._spooled)
        self._spooled.seek(0)
        return os.fdopen(os.dup(self._spooled.fileno()), "rb")

    def _spool(self, file: BinaryIO) -> None:
        stream = self._stdin
        if stream is None:
            if sys.stdin is None:
                raise InputUnreadable("standard input is closed; pipe the rows in or name a file")
            stream = sys.stdin.buffer
        copyfileobj(stream, file, _BLOCK)
        file.seek(0)


def _in_chunks(rows: Iterator[Incoming]) -> Iterator[Sequence[Incoming]]:
    for first in rows:
        chunk = [first]
        for one in rows:
            chunk.append(one)
            if len(chunk) == _CHUNK:
                break
        yield chunk
