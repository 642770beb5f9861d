"""Formats of inputs, and the entry point of the readers: it opens an input, detects its format and yields its rows."""

import io
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from backstay.readers.delimited_text import read_delimited
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText
from backstay.readers.json_array import read_json_array
from backstay.readers.jsonl import read_jsonl
from backstay.readers.row import InputRow

_Reader = Callable[[InputText], Iterator[InputRow]]

_FILE_BUFFER_BYTES = 256 * 1024
_read_csv: _Reader = partial(read_delimited, delimiter=",")
_read_tsv: _Reader = partial(read_delimited, delimiter="\t")
_BY_SUFFIX: dict[str, _Reader] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json_array,
}
SUFFIXES = tuple(_BY_SUFFIX)
_KINDS = " ".join(SUFFIXES)


def read_rows(
    source: Path | None, *, stdin: BinaryIO | None = None, list_key: str | None = None
) -> Generator[InputRow, None, None]:
    """Yield the rows of a file, or of standard input if `source` is None, in order and with constant memory.

    The format of a file is detected from its suffix, that of standard input from its first characters. `stdin` replaces
    the process's standard input and is left open. The file is opened when the first row is requested, and closed when
    the generator ends, fails or is closed. A row that is a list becomes a row with the list under `list_key`; without
    this key it is refused, like any row that is not an object.

    Raises InputNotFound, InputUnreadable (a directory, no permission, an unknown format, not UTF-8, an invalid file),
    InvalidRow at the first unusable row, and InputEmpty at the end if there was no row.
    """
    errors = InputErrors.for_path(source)
    try:
        with _open(source, stdin, errors) as stream:
            text = replace(InputText.open(stream, errors), list_key=list_key)
            rows = _stream_rows(text) if source is None else _reader_for(source, errors)(text)
            first = next(rows, None)
            if first is None:
                raise errors.empty()
            yield first
            yield from rows
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


def _reader_for(path: Path, errors: InputErrors) -> _Reader:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        raise errors.unreadable(f"Parquet is not supported; convert it to one of {_KINDS}")
    reader = _BY_SUFFIX.get(suffix)
    if reader is None:
        raise errors.unreadable(f"unknown kind of file; use one of {_KINDS}")
    return reader


def _stream_rows(text: InputText) -> Iterator[InputRow]:
    text = text.from_first_text()
    match text.head.lstrip()[:1]:
        case b"[":
            return read_json_array(text)
        case b"{":
            return read_jsonl(text)
    if b"\t" in text.head and b"," not in text.head:
        return _read_tsv(text)
    return _read_csv(text)
