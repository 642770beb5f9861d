"""The errors of one input, which name the file or standard input."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from backstay.errors import BackstayError, InputEmpty, InputError, InputNotFound, InputUnreadable, InvalidRow
from backstay.readers.bad_rows import BadRow, BadRows, RawRow
from backstay.readers.row import InputRow
from backstay.remedy import Remedy

_ROW_SUFFIXES = (".parquet", ".parquet.gz", ".parquet.zst")


@dataclass(frozen=True, slots=True)
class InputErrors:
    """A factory of the errors about one input. Each message is one line and never quotes the input's content."""

    path: str
    bad_rows: BadRows | None = None
    """What is done with bad rows; None to raise the error about the first one."""

    @classmethod
    def for_path(cls, path: Path | None, bad_rows: BadRows | None = None) -> Self:
        """Return the factory for a file, or for standard input if `path` is None."""
        if path is None:
            return cls("standard input", bad_rows)
        # A file name can be any bytes, but an error's context must be valid JSON.
        return cls(os.fsencode(path).decode(errors="backslashreplace"), bad_rows)

    @property
    def keeps_raw(self) -> bool:
        """Whether bad rows are kept as they stand in the input, so that each row needs its raw text."""
        return self.bad_rows is not None and self.bad_rows.keeps_raw

    def reject(self, error: BackstayError, line: int, raw: RawRow | None) -> None:
        """Leave out the bad row on `line`, or raise the error about it."""
        if self.bad_rows is None:
            raise error
        file = self.path if self.bad_rows.has_several_files else None
        bad_row = BadRow.from_error(error, self.location(line), line, name=self.name, file=file)
        self.bad_rows.reject(error, bad_row, raw)

    def reject_row(self, error: BackstayError, row: InputRow) -> None:
        """Leave out a row that was read but cannot be used, or raise the error about it."""
        raw = row.raw
        if raw is None and self.keeps_raw:
            # An infinite number of Parquet becomes Infinity, which is refused again; orjson would write null.
            raw = RawRow(json.dumps(row.values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self.reject(error, row.line, raw)

    def from_os_error(self, error: OSError) -> InputError:
        """Return the error for an input that the operating system does not open or read."""
        match error:
            case FileNotFoundError():
                return InputNotFound(f"{self.name}: there is no such file", path=self.path)
            case IsADirectoryError():
                return self.unreadable("this is a directory; name a file in it")
            case PermissionError():
                return self.unreadable("no permission to read it")
        return self.unreadable(f"cannot be read ({error.strerror or type(error).__name__})")

    def empty(self) -> InputEmpty:
        return InputEmpty(f"{self.name}: there are no rows in it", path=self.path)

    def unreadable(
        self, reason: str, *, line: int | None = None, remedy: Remedy | None = None, **context: Any
    ) -> InputUnreadable:
        if line is None:
            return InputUnreadable(f"{self.name}: {reason}", remedy=remedy, path=self.path, **context)
        return InputUnreadable(f"{self.location(line)}: {reason}", remedy=remedy, path=self.path, line=line, **context)

    def invalid_row(self, line: int, reason: str) -> InvalidRow:
        return InvalidRow(f"{self.location(line)}: {reason}", path=self.path, line=line)

    def location(self, line: int) -> str:
        """Return the location of a row, with which each message about it begins."""
        return f"{self.lines} {line}"

    @property
    def lines(self) -> str:
        """The text before the number of a line or, where there are no lines, of a row."""
        return f"{self.name} {'row' if self.path.lower().endswith(_ROW_SUFFIXES) else 'line'}"

    @property
    def name(self) -> str:
        """The path for a one-line message, since a file name may contain a line break."""
        return self.path if self.path.isprintable() else repr(self.path)
