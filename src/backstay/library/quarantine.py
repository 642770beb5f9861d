"""The file that keeps bad rows unchanged, so that they can be repaired and read again."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from backstay.bad_row_policy import BadRowPolicy, choose_policy
from backstay.errors import OutputUnwritable
from backstay.files import replace_atomically, sync
from backstay.readers.bad_rows import BadRow, BadRows, RawRow

REASONS_SUFFIX = ".reasons.jsonl"
_SUFFIXES = {".jsonl": (".jsonl", ".ndjson"), ".csv": (".csv",), ".tsv": (".tsv",), ".txt": (".txt",)}
_FORMATS = {".jsonl": "JSON lines", ".csv": "CSV", ".tsv": "TSV", ".txt": "plain text"}


@contextmanager
def handle_bad_rows(policy: BadRowPolicy | str | None, quarantine: str | Path | None) -> Iterator[BadRows]:
    """Yield the collector of an input's bad rows. The quarantine file appears when the context ends without an error.

    Raises like `choose_policy`, and OutputUnwritable if the file cannot be written, or exists with other rows.
    """
    policy = choose_policy(policy, quarantine)
    if quarantine is None:
        yield BadRows(policy)
        return
    with QuarantineFile(Path(quarantine)) as file:
        yield BadRows(policy, file)


class QuarantineFile:
    """The raw rows in one file, and their line numbers and reasons in another. Both appear when the context ends.

    An existing file is never overwritten. It is accepted if it holds the same rows, so that a command can be repeated.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = ExitStack()
        self._existing: BinaryIO | None = None
        self._rows: BinaryIO | None = None
        self._reasons: BinaryIO | None = None
        self._last: RawRow | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._translate_errors("; the rows that can be used are stored" if error is None else ""):
            self._files.__exit__(kind, error, trace)

    def restart(self) -> None:
        """Drop all rows, because the input is read again from its start."""
        self._last = None
        with self._translate_errors():
            for file in (self._existing, self._rows, self._reasons):
                if file is not None:
                    file.seek(0)
                if file is not None and file.writable():
                    file.truncate()

    def add(self, row: RawRow, bad_row: BadRow) -> None:
        """Write a row. Raises OutputUnwritable."""
        text, last, self._last = row.text, self._last, row
        if last is None:
            self._check_suffix(row.suffix)
            text = row.header + text
        elif (row.suffix, row.header.rstrip()) != (last.suffix, last.header.rstrip()):
            raise self._error("bad rows of different formats, or with different columns, need separate files")
        elif not last.text.endswith(b"\n"):  # the last row of another file
            text = b"\n" + text
        with self._translate_errors():
            if self._existing is None and self._rows is None:
                self._open()
            if self._existing is not None and self._existing.read(len(text)) != text:
                raise self._exists_error()
            if self._rows is not None and self._reasons is not None:
                self._rows.write(text)
                self._reasons.write(orjson.dumps(asdict(bad_row)) + b"\n")

    def seal(self) -> None:
        """Flush the rows to disk. Raises OutputUnwritable."""
        with self._translate_errors():
            if self._existing is not None and self._existing.read(1):
                raise self._exists_error()
            for file in (self._rows, self._reasons):
                if file is not None:
                    file.flush()
                    sync(file.fileno())
            if self._rows is not None and os.path.lexists(self._path):
                raise self._exists_error()  # it appeared in the meantime

    def _open(self) -> None:
        if self._path.is_file():
            self._existing = self._files.enter_context(self._path.open("rb"))
            return
        if os.path.lexists(self._path):
            raise self._exists_error()
        # Closed in reverse order, so that the rows never appear without their reasons.
        self._rows = self._files.enter_context(replace_atomically(self._path))
        self._reasons = self._files.enter_context(replace_atomically(Path(f"{self._path}{REASONS_SUFFIX}")))

    def _check_suffix(self, suffix: str) -> None:
        """Raise OutputUnwritable if the rows could not be read again from a file of this name."""
        if self._path.suffix.lower() not in _SUFFIXES[suffix]:
            raise self._error(f"the bad rows are {_FORMATS[suffix]}; name a file that ends in {suffix}")

    @contextmanager
    def _translate_errors(self, addition: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(f"cannot be written ({error.strerror}){addition}") from error

    def _exists_error(self) -> OutputUnwritable:
        return self._error("exists with other content; name another file for the bad rows")

    def _error(self, reason: str) -> OutputUnwritable:
        return OutputUnwritable(f"{self._path}: {reason}", path=str(self._path))
