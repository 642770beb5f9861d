"""The source of an import: recognizes the kind of a file and reads its conversations."""

import codecs
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from backstay.errors import (
    BackstayError,
    BackupDamaged,
    BackupError,
    BackupTooNew,
    InputEmpty,
    InputUnreadable,
    InvalidRow,
    SettingsError,
)
from backstay.library.archive import CONVERSATIONS_START, FILE_START, VERSION, ArchiveReader, decompress
from backstay.library.archived_recipe import RECIPES, ArchivedRecipe, read_recipes
from backstay.library.batches import split_by_size
from backstay.library.curation import append_curation
from backstay.library.id_text import id_fault
from backstay.library.imports.imported_conversation import ImportedConversation, to_document, with_id_prefix
from backstay.library.imports.imported_review import take_review
from backstay.library.imports.input_files import ImportFiles
from backstay.library.imports.shapes import keys_of_rows, read_row
from backstay.library.imports.shapes.native import read_backup_row, take_curation
from backstay.library.record import TURNS, Document
from backstay.readers.bad_rows import BadRows, BadRowsReport, with_further_count
from backstay.readers.block_stream import iterate_chunks, to_stream
from backstay.readers.compression import GZIP_MAGIC, ZSTD_MAGICS
from backstay.readers.compression import decompress as decompressed
from backstay.readers.file_kind import FileKind
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_formats import rows_of_stream
from backstay.readers.input_notes import InputNotes, NoteListener
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText
from backstay.readers.json_array_member import JsonMember
from backstay.readers.json_object import parse_object
from backstay.readers.parquet import PARQUET_MAGIC
from backstay.readers.read_options import AS_DETECTED, ReadOptions
from backstay.readers.row import InputRow
from backstay.readers.row_rules import RowRules

_HEAD_BYTES = 64 * 1024
_COUNTED = "conversations and turns together"
_LIST_KEY = "messages"
"""The key for a row that is a list of messages."""
# Objects of other shapes never have these keys before their first list, or have turns in that.
_BACKUP_START = re.compile(
    rb'\{[^{\[]*"(?:backupReason"\s*:|version"\s*:[^{\[]*"conversations"\s*:\s*\[(?!\s*\{\s*"(?:from|role|value)"))'
)
_SHAPE_ERROR = "not a backup: an object with an array `conversations`"


Prepare = Callable[[ImportedConversation], ImportedConversation]
"""A function that returns a conversation as it is to be stored. Raises InvalidRow."""


class ImportSource:
    """A file, the files of a folder or of a pattern, or standard input.

    A backup is recognized by its first bytes. It is never used in part: bad rows are left out of other files only.
    Raises SettingsError for a prefix that is not allowed as an id.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        stdin: BinaryIO | None = None,
        bad_rows: BadRows | None = None,
        split_reasoning: bool = False,
        id_prefix: str | None = None,
        options: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
    ) -> None:
        self.name = InputErrors.for_path(path).path
        """The path as it was named: of a file, of a folder, or a pattern."""
        self.origin = InputErrors.for_path(path)
        """The errors of the file that is being read."""
        self._bad_rows = bad_rows or BadRows()
        self._prepare: Prepare = lambda incoming: replace(incoming, document=to_document(incoming, (), (), self.origin))
        self._split_reasoning = split_reasoning
        self._id_prefix = _checked_prefix(id_prefix)
        self._options = options
        self._notes = InputNotes(on_note)
        self._files = ImportFiles(path, stdin, self._notes)
        self._ceiling: InputCeiling | None = None
        self._text_bytes = 0
        """An upper bound of the bytes of text in the chunks yielded so far."""
        self._rows_without_id = 0
        self.recipes: list[ArchivedRecipe] = []  # of the backups read so far

    def close(self) -> None:
        """Release the copy of standard input. Idempotent."""
        self._files.close()

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
            self._ceiling.check(self.name, rows=rows, text_bytes=self._text_bytes, row_noun=_COUNTED)

    def _counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._count_bytes(len(block))
            yield block

    def _count_bytes(self, count: int) -> None:
        """Count bytes of text that are about to be read. Raises InputTooLarge if they exceed the ceiling."""
        self._text_bytes += count
        self._check_ceiling(0)

    def chunks(self, prepare: Prepare | None = None) -> Iterator[Sequence[ImportedConversation]]:
        """Yield the conversations in order, prepared, in chunks; each call starts at the beginning. Blocks.

        A chunk is of one file. Only if no file has rows is that an error.

        Raises:
            InputError: a file is unusable, or a row is and may not be left out.
            BackupError: the file is a backup that is incomplete or has a newer version.
        """
        self._prepare = prepare or self._prepare
        files = self._files.find()
        self._bad_rows.restart()
        self._bad_rows.has_several_files = len(files) > 1
        self._text_bytes = self._rows_without_id = 0
        self.recipes.clear()
        empty: InputEmpty | None = None
        has_rows = False
        for path in files:
            self.origin = InputErrors.for_path(path)
            try:
                for chunk in self._read(path):
                    has_rows = True
                    yield chunk
            except InputEmpty as error:
                empty = empty or error
        if empty is not None and not has_rows and not self._bad_rows.count:
            raise empty

    @property
    def file(self) -> str | None:
        """The path of the file that is being read, if there are several."""
        return self.origin.path if len(self._files.find()) > 1 else None

    def finish(self, *, used: int) -> BadRowsReport:
        """Return the report on bad rows, after the last chunk. Raises like `BadRows.finish`."""
        self._bad_rows.finish(used=used)
        if self._rows_without_id:
            self._notes.add(self.name, _note_without_id(self._rows_without_id))
        return self._bad_rows.report

    def with_further_count(self, error: BackstayError) -> BackstayError:
        """Return the error about a bad row with the count of the others, in all files. Blocks."""
        return with_further_count(error, self._count_bad_rows)

    def _count_bad_rows(self, bad_rows: BadRows) -> Iterator[tuple[str | None, Sequence[ImportedConversation]]]:
        self._bad_rows = bad_rows
        return ((self.file, chunk) for chunk in self.chunks())

    def _read(self, path: Path | None) -> Iterator[Sequence[ImportedConversation]]:
        try:
            with self._files.open(path, self.origin) as file:
                yield from self._read_file(file, FileKind.from_name(path.name if path is not None else ""))
        except BackupError as error:
            raise error.with_message(f"{self.origin.path}: {error.message}", path=self.origin.path) from error
        except OSError as error:
            raise self.origin.from_os_error(error) from error

    def _read_file(self, file: BinaryIO, kind: FileKind) -> Iterator[Sequence[ImportedConversation]]:
        head = _head_of(file)
        first, blocks = self._expand(file, head)
        if _is_backup(first):
            return self._read_object(first, blocks, to_stream(blocks))
        file.seek(0)
        if not head.startswith((GZIP_MAGIC, *ZSTD_MAGICS, PARQUET_MAGIC)):
            self._text_bytes += os.fstat(file.fileno()).st_size
        return split_by_size(self._read_rows(file, kind), _size_of)

    def _expand(self, file: BinaryIO, head: bytes) -> tuple[bytes, Iterator[bytes]]:
        """Return the beginning of the decompressed content, and all of it in blocks."""
        if head.startswith(ZSTD_MAGICS):
            blocks = decompress(file)
        else:
            blocks = iterate_chunks(decompressed(file, head, self.origin, None))
        try:
            first = next(blocks, b"")
        except (BackupDamaged, InputUnreadable):  # the reader of rows says what is wrong
            return b"", iter(())
        return first, self._counted(chain((first,), blocks))

    def _read_object(
        self, head: bytes, blocks: Iterator[bytes], stream: BinaryIO
    ) -> Iterator[Sequence[ImportedConversation]]:
        """Read a backup of Backstay line by line, with its integrity check; any other object by its `conversations`."""
        first, is_ended, _ = head.partition(b"\n")
        if first.startswith(FILE_START) and is_ended and first.endswith(CONVERSATIONS_START):
            return self._read_archive(blocks)
        return split_by_size(self._read_member(stream), _size_of)

    def _read_member(self, stream: BinaryIO) -> Iterator[ImportedConversation]:
        member = JsonMember(InputText.open(stream, self.origin), "conversations", shape_error=_SHAPE_ERROR)
        row, others = None, member.others
        for row in member.rows():
            _check_version(others)
            # Only a backup of Backstay, reformatted by another program, has this key.
            if "backupId" in others:
                yield self._to_conversation(row, read_backup_row(row, self.origin), is_exact=True)
            else:
                yield from self._read_row(row, self.origin)
        _check_version(others)
        if row is None:
            raise self.origin.empty()
        self.recipes += read_recipes(others.get(RECIPES, [])) if "backupId" in others else ()

    def _read_rows(self, file: BinaryIO, kind: FileKind) -> Iterator[ImportedConversation]:
        origin, row = replace(self.origin, bad_rows=self._bad_rows), None
        for row in rows_of_stream(file, kind, origin, self._options, _rules(), self._notes, self._count_bytes):
            try:
                conversations = self._read_row(row, origin)
            except InvalidRow as error:
                origin.reject_row(error, row)
            else:
                yield from conversations
        if row is None and not self._bad_rows.count:
            raise self.origin.empty()

    def _read_row(self, row: InputRow, origin: InputErrors) -> list[ImportedConversation]:
        curation, documents = take_review(row, origin), read_row(row, origin, split_reasoning=self._split_reasoning)
        conversations = [replace(self._to_conversation(row, document), curation=curation) for document in documents]
        self._rows_without_id += any(document["id"] is None for document in documents)
        return conversations

    def _to_conversation(self, row: InputRow, document: Document, *, is_exact: bool = False) -> ImportedConversation:
        curation = take_curation(document, self.origin, row.line) if is_exact else None
        document = with_id_prefix(document, self._id_prefix)
        return self._prepare(ImportedConversation(row.line, document, is_exact, row.size, curation))

    def _read_archive(self, blocks: Iterator[bytes]) -> Iterator[Sequence[ImportedConversation]]:
        line, reader = 1, ArchiveReader(blocks, max_line_bytes=MAX_RECORD_BYTES)
        for entries in reader.batches():
            texts = (append_curation(text, curation) for text, _, curation in entries)
            yield [self._from_backup(text, number) for number, text in enumerate(texts, start=line + 1)]
            line += len(entries)
        self.recipes += reader.recipes

    def _from_backup(self, text: bytes, line: int) -> ImportedConversation:
        row = InputRow(line, parse_object(text, self.origin, line))
        return self._to_conversation(row, read_backup_row(row, self.origin), is_exact=True)


def _head_of(file: BinaryIO) -> bytes:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return head


def _check_version(others: Mapping[str, Any]) -> None:
    if others.get("version", VERSION) != VERSION:
        raise BackupTooNew(f"The backup does not have version {VERSION}, the one that this Backstay reads")


@cache
def _rules() -> RowRules:
    return RowRules(
        row_keys=keys_of_rows(),
        text_refusal="text alone is no conversation; a conversation has turns with a role each",
        list_key=_LIST_KEY,
    )


def _checked_prefix(prefix: str | None) -> str:
    if prefix is not None and (fault := id_fault(prefix)) is not None:
        raise SettingsError(f"The prefix of ids {fault}", setting="id_prefix")
    return prefix or ""


def _note_without_id(count: int) -> str:
    rows, them = ("1 row has", "it") if count == 1 else (f"{count:,} rows have", "them")
    return f"{rows} no id, so importing {them} again stores {them} again"


def _is_backup(head: bytes) -> bool:
    return _BACKUP_START.match(head.removeprefix(codecs.BOM_UTF8).lstrip()) is not None


def _size_of(incoming: ImportedConversation) -> int:
    return incoming.size
