"""The source of an import: recognizes the kind of a file and reads its conversations."""

import codecs
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, cast

from backstay.errors import BackupError, BackupTooNew
from backstay.library.archive import CONVERSATIONS_START, FILE_START, MAGIC, VERSION, ArchiveReader, decompress
from backstay.library.imports.imported_conversation import ImportedConversation
from backstay.library.imports.shapes import read_row
from backstay.library.imports.shapes.native import read_backup_row
from backstay.library.record import TURNS
from backstay.readers import read_rows
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_formats import SUFFIXES, standard_input
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText
from backstay.readers.json_array_member import JsonMember
from backstay.readers.json_object import parse_object
from backstay.readers.row import InputRow

_CHUNK_CONVERSATIONS = 256
_BLOCK_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024
# Rows of other shapes never have this key before their turns.
_BACKUP_START = re.compile(rb'\{[^{\[]*"backupReason"\s*:')
_LIST_KEY = "messages"
"""The key for a row that is a list of messages."""
_SHAPE_ERROR = "neither an array of conversations nor a backup: an object with an array `conversations`"


class ImportSource:
    """A file, or standard input.

    A backup is recognized by its first bytes, other files by their suffix.
    """

    def __init__(self, path: Path | None, *, stdin: BinaryIO | None = None, split_reasoning: bool = False) -> None:
        self.origin = InputErrors.for_path(path)
        self._path = path
        self._stdin = stdin
        self._split_reasoning = split_reasoning
        self._spooled: BinaryIO | None = None
        self._ceiling: InputCeiling | None = None
        self._text_bytes = 0
        """An upper bound of the bytes of text in the chunks yielded so far."""

    def close(self) -> None:
        """Release the copy of standard input. Idempotent."""
        if self._spooled is not None:
            self._spooled.close()

    def check(self, ceiling: InputCeiling) -> None:
        """Read the whole file, so that an unusable or too large one is found before anything is locked. Blocks.

        Raises InputTooLarge, and the errors of `chunks`.
        """
        rows, self._ceiling = 0, ceiling
        for chunk in self.chunks():
            rows += sum(1 + len(incoming.document[TURNS]) for incoming in chunk)
            self._check_ceiling(rows)

    def _check_ceiling(self, rows: int) -> None:
        if self._ceiling is not None:
            self._ceiling.check(
                self.origin.path, rows=rows, text_bytes=self._text_bytes, row_noun="conversations and turns together"
            )

    def _count_bytes(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the blocks; raise InputTooLarge if they exceed the ceiling."""
        self._text_bytes = 0
        for block in blocks:
            self._text_bytes += len(block)
            self._check_ceiling(0)
            yield block

    def chunks(self) -> Iterator[Sequence[ImportedConversation]]:
        """Yield the conversations in order, in chunks; each call starts at the beginning. Blocks.

        Raises:
            InputError: the file or a row is unusable.
            BackupError: the file is a backup that is incomplete or has a newer version.
        """
        try:
            with self._from_stdin() if self._path is None else self._path.open("rb") as file:
                yield from self._read_file(file)
        except BackupError as error:
            raise error.with_message(f"{self.origin.path}: {error.message}", path=self.origin.path) from error
        except OSError as error:
            raise self.origin.from_os_error(error) from error

    def _read_file(self, file: BinaryIO) -> Iterator[Sequence[ImportedConversation]]:
        if not file.seekable():
            raise self.origin.unreadable(
                "a pipe cannot be read twice; send it to standard input, and give `-` as the file"
            )
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if head.startswith(MAGIC):
            blocks = self._count_bytes(decompress(file))
            first = next(blocks, b"")
            plain = Path(self._path.stem) if self._path is not None else None
            if plain is not None and plain.suffix in SUFFIXES and not _is_object(first, plain):
                raise self.origin.unreadable("only a backup may be compressed; decompress other files first")
            # Unbuffered, `readline` would read byte by byte.
            stream = io.BufferedReader(_Blocks(first, blocks), _BLOCK_BYTES)
            return self._read_object(first, chain((first,), blocks), stream)
        self._text_bytes = os.fstat(file.fileno()).st_size
        if _is_object(head, self._path):
            return self._read_object(head, iter(lambda: file.read(_BLOCK_BYTES), b""), file)
        if self._path is not None and self._path.suffix == ".zst":
            raise self.origin.unreadable("not a backup: it is not compressed by zstd, as its name says")
        return _to_chunks(self._read_rows(file))

    def _read_object(
        self, head: bytes, blocks: Iterator[bytes], stream: BinaryIO
    ) -> Iterator[Sequence[ImportedConversation]]:
        """Read a backup of Backstay line by line, with its integrity check; any other object by its `conversations`."""
        first, is_ended, _ = head.partition(b"\n")
        if first.startswith(FILE_START) and is_ended and first.endswith(CONVERSATIONS_START):
            return self._read_archive(blocks)
        return _to_chunks(self._read_member(stream))

    def _read_member(self, stream: BinaryIO) -> Iterator[ImportedConversation]:
        member = JsonMember(InputText.open(stream, self.origin), "conversations", shape_error=_SHAPE_ERROR)
        row = None
        for row in member.rows():
            self._check_version(member.others)
            # Only a backup of Backstay, reformatted by another program, has this key.
            if "backupId" in member.others:
                yield ImportedConversation(row.line, read_backup_row(row, self.origin), is_exact=True)
            else:
                yield from self._read_row(row)
        self._check_version(member.others)
        if row is None:
            raise self.origin.empty()

    def _check_version(self, others: Mapping[str, Any]) -> None:
        if others.get("version", VERSION) != VERSION:
            raise BackupTooNew(f"The backup does not have version {VERSION}, the one that this Backstay reads")

    def _read_rows(self, file: BinaryIO) -> Iterator[ImportedConversation]:
        stdin = file if self._path is None else None
        rows = read_rows(self._path, stdin=stdin, list_key=_LIST_KEY)
        for row in rows:
            yield from self._read_row(row)

    def _read_row(self, row: InputRow) -> Iterator[ImportedConversation]:
        for document in read_row(row, self.origin, split_reasoning=self._split_reasoning):
            yield ImportedConversation(row.line, document)

    def _read_archive(self, blocks: Iterator[bytes]) -> Iterator[Sequence[ImportedConversation]]:
        line = 1
        for lines in ArchiveReader(blocks, max_line_bytes=MAX_RECORD_BYTES).batches():
            yield [self._from_backup(text, line + number) for number, (text, _) in enumerate(lines, start=1)]
            line += len(lines)

    def _from_backup(self, text: bytes, line: int) -> ImportedConversation:
        row = InputRow(line, parse_object(text, self.origin, line))
        return ImportedConversation(line, read_backup_row(row, self.origin), is_exact=True)

    def _from_stdin(self) -> BinaryIO:
        # Copied first, since an import may read it twice, and must not wait for more input while it locks the database.
        if self._spooled is None:
            stdin = standard_input(self._stdin, self.origin)
            self._spooled = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - closed by `close`
            copyfileobj(stdin, self._spooled, _BLOCK_BYTES)
        self._spooled.seek(0)
        return os.fdopen(os.dup(self._spooled.fileno()), "rb")


class _Blocks(io.RawIOBase):
    """A readable stream of blocks."""

    def __init__(self, first: bytes, more: Iterator[bytes]) -> None:
        self._rest = first
        self._more = more

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._more, b"")
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _is_object(head: bytes, path: Path | None) -> bool:
    """Return whether a file is one JSON object rather than rows: by its suffix, or because it begins like a backup."""
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    is_json = path is not None and path.suffix.lower() == ".json"
    return (is_json and head.startswith(b"{")) or _BACKUP_START.match(head) is not None


def _to_chunks(rows: Iterator[ImportedConversation]) -> Iterator[Sequence[ImportedConversation]]:
    while chunk := list(islice(rows, _CHUNK_CONVERSATIONS)):
        yield chunk
