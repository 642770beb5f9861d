"""The entry point of the readers: it opens an input, recognizes its format and yields its rows."""

import io
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from backstay.readers.bad_rows import BadRows
from backstay.readers.block_stream import peek
from backstay.readers.compression import COMPRESSED_SUFFIXES, GZIP_MAGIC, ZSTD_MAGICS, ByteCounter, decompress
from backstay.readers.delimited_text import read_delimited
from backstay.readers.file_kind import KINDS_TEXT, SPREADSHEET_ADVICE, SPREADSHEET_SUFFIXES, FileKind, RowFormat
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.input_text import InputText
from backstay.readers.json_layouts import is_json_line, read_json
from backstay.readers.parquet import PARQUET_MAGIC, read_parquet
from backstay.readers.plain_text import read_plain_text
from backstay.readers.read_options import AS_DETECTED, ReadOptions
from backstay.readers.row import InputRow
from backstay.readers.row_rules import ITEM_ROWS, RowRules

_FILE_BUFFER_BYTES = 256 * 1024
_ZIP_MAGIC = b"PK\x03\x04"
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of .xls


def read_rows(
    source: Path | None,
    *,
    options: ReadOptions = AS_DETECTED,
    stdin: BinaryIO | None = None,
    rules: RowRules = ITEM_ROWS,
    notes: InputNotes | None = None,
    bad_rows: BadRows | None = None,
    count_bytes: ByteCounter | None = None,
) -> Generator[InputRow, None, None]:
    """Yield the rows of a file, or of standard input if `source` is None, in order and with constant memory.

    The format of a file is recognized from its name, unless its first bytes are certain to be another one; that of
    standard input, and of a file without an ending, from its first characters. `stdin` replaces the process's standard
    input and is left open. The file is opened when the first row is requested, and closed when the generator ends,
    fails or is closed.

    Raises InputNotFound, InputUnreadable (a directory, no permission, an unknown format, another encoding, an invalid
    file), and InputEmpty at the end if there was no row. A bad row is handed to `bad_rows`; without that, the first one
    raises InvalidRow.
    """
    errors = InputErrors.for_path(source, bad_rows)
    kind = FileKind.from_name(source.name if source is not None else "")
    try:
        with _open(source, stdin, errors) as stream:
            rows = rows_of_stream(stream, kind, errors, options, rules, notes or InputNotes(), count_bytes)
            first = next(rows, None)
            if first is not None:
                yield first
                yield from rows
            elif bad_rows is None or not bad_rows.count:
                raise errors.empty()
    except OSError as error:
        raise errors.from_os_error(error) from error


def _open(source: Path | None, stdin: BinaryIO | None, errors: InputErrors) -> AbstractContextManager[BinaryIO]:
    if source is not None:
        return source.open("rb", buffering=_FILE_BUFFER_BYTES)
    return nullcontext(standard_input(stdin, errors))


def standard_input(stdin: BinaryIO | None, errors: InputErrors) -> BinaryIO:
    """Return `stdin`, by default the standard input of the process.

    Raises:
        InputUnreadable: the process has none, or it is non-blocking: "no data yet" would look like its end, and rows
            would be lost silently.
    """
    if stdin is None:
        # A process can be started without a standard input.
        if sys.stdin is None:
            raise errors.unreadable("it is closed; pipe the rows in or name a file")
        stdin = sys.stdin.buffer
    try:
        is_blocking = os.get_blocking(stdin.fileno())
    except io.UnsupportedOperation:
        return stdin
    if not is_blocking:
        raise errors.unreadable("it is set to non-blocking, so its end cannot be detected; send it through `cat`")
    return stdin


def rows_of_stream(
    stream: BinaryIO,
    kind: FileKind,
    errors: InputErrors,
    options: ReadOptions,
    rules: RowRules,
    notes: InputNotes,
    count_bytes: ByteCounter | None = None,
) -> Iterator[InputRow]:
    """Yield the rows of an open stream whose name says that it is of this kind. Raises like `read_rows`."""
    head, stream = peek(stream, (GZIP_MAGIC, *ZSTD_MAGICS, PARQUET_MAGIC, _ZIP_MAGIC, _OLE_MAGIC))
    if head.startswith((GZIP_MAGIC, *ZSTD_MAGICS)):
        stream = decompress(stream, head, errors, count_bytes)
        head, stream = peek(stream, (PARQUET_MAGIC, _ZIP_MAGIC))
    elif kind.compression and kind.format is None:
        name = COMPRESSED_SUFFIXES[kind.compression]
        raise errors.unreadable(f"not compressed by {name}, as its name says")
    row_format = _format(kind, head, errors)
    if row_format is RowFormat.PARQUET:
        if not head:
            return iter(())
        return read_parquet(stream, errors, notes, count_bytes)
    return _read_text(
        InputText.open(stream, errors, encoding=options.encoding, notes=notes), row_format, options, rules
    )


def _format(kind: FileKind, head: bytes, errors: InputErrors) -> RowFormat | None:
    """Return the format of content that begins with `head`; None if only its text can show it."""
    if kind.suffix in SPREADSHEET_SUFFIXES:
        raise errors.unreadable(f"this is {SPREADSHEET_ADVICE}")
    if head.startswith(PARQUET_MAGIC):
        return RowFormat.PARQUET
    if head.startswith((_ZIP_MAGIC, _OLE_MAGIC)):
        raise errors.unreadable(f"this is an archive or {SPREADSHEET_ADVICE}")
    if kind.suffix and kind.format is None:
        raise errors.unreadable(f"unknown kind of file; use one of {KINDS_TEXT}")
    if kind.format is RowFormat.PARQUET and head:
        raise errors.unreadable("not Parquet, as its name says")
    return kind.format


def _read_text(
    text: InputText, row_format: RowFormat | None, options: ReadOptions, rules: RowRules
) -> Iterator[InputRow]:
    match row_format:
        case RowFormat.JSON | RowFormat.JSONL:
            return read_json(text, rules, is_jsonl=row_format is RowFormat.JSONL)
        case RowFormat.CSV | RowFormat.TSV:
            return read_delimited(text, delimiter=options.delimiter, usual="\t" if row_format is RowFormat.TSV else ",")
    text = text.from_first_text()
    if row_format is RowFormat.TEXT and options.delimiter is None and not is_json_line(text.head):
        return read_plain_text(text, rules)
    if text.head.lstrip()[:1] in (b"[", b"{"):
        return read_json(text, rules, is_jsonl=True)
    return read_delimited(text, delimiter=options.delimiter)
