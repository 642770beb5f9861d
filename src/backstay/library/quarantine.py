"""The file that keeps bad rows unchanged, so that they can be repaired and read again."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from backstay.bad_row_policy import BadRowPolicy, choose_policy
from backstay.errors import OutputUnwritable
from backstay.files import replace_atomically, sync
from backstay.readers.bad_rows import REASONS_SUFFIX, BadRow, BadRows, RawRow

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


class _NewFile:
    """A file that appears when its context ends."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def seal(self) -> None:
        self._file.flush()
        sync(self._file.fileno())
        if os.path.lexists(self._path):
            raise _exists_error(self._path)  # it appeared in the meantime


class _ExistingFile:
    """A file that stays as it is, and must hold what is written to it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def restart(self) -> None:
        self._file.seek(0)

    def write(self, data: bytes) -> None:
        if self._file.read(len(data)) != data:
            raise _exists_error(self._path)

    def seal(self) -> None:
        if self._file.read(1):
            raise _exists_error(self._path)


class QuarantineFile:
    """The raw rows in one file, and their line numbers and reasons in another. Both appear when the context ends.

    An existing file is never overwritten. It is accepted if it holds the same, so that a command can be repeated.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_files = ExitStack()
        self._rows: _NewFile | _ExistingFile | None = None
        self._reasons: _NewFile | _ExistingFile | None = None
        self._last: RawRow | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._translate_errors("; the rows that can be used are stored" if error is None else ""):
            self._open_files.__exit__(kind, error, trace)

    def restart(self) -> None:
        """Drop all rows, because the input is read again from its start."""
        self._last = None
        with self._translate_errors():
            for file in self._files:
                file.restart()

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
            if self._rows is None:
                # Closed in reverse order, so that the rows never appear without their reasons.
                self._rows = self._open(self._path)
                if isinstance(self._rows, _NewFile):
                    self._reasons = self._open(Path(f"{self._path}{REASONS_SUFFIX}"))
            self._rows.write(text)
            if self._reasons is not None:
                self._reasons.write(orjson.dumps(asdict(bad_row)) + b"\n")

    def seal(self) -> None:
        """Flush the rows to disk. Raises OutputUnwritable."""
        with self._translate_errors():
            for file in self._files:
                file.seal()

    @property
    def _files(self) -> Sequence[_NewFile | _ExistingFile]:
        return [file for file in (self._rows, self._reasons) if file is not None]

    def _open(self, path: Path) -> _NewFile | _ExistingFile:
        if path.is_file():
            return _ExistingFile(path, self._open_files.enter_context(path.open("rb")))
        if os.path.lexists(path):
            raise _exists_error(path)
        return _NewFile(path, self._open_files.enter_context(replace_atomically(path)))

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

    def _error(self, reason: str) -> OutputUnwritable:
        return _error(self._path, reason)


def _exists_error(path: Path) -> OutputUnwritable:
    return _error(path, "exists with other content; name another file for the bad rows")


def _error(path: Path, reason: str) -> OutputUnwritable:
    return OutputUnwritable(f"{path}: {reason}", path=str(path))
