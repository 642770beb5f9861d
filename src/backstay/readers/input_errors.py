"""The errors of one input, which name the file or standard input."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from backstay.errors import InputEmpty, InputError, InputNotFound, InputUnreadable, InvalidRow
from backstay.remedy import Remedy

_ROW_SUFFIXES = (".parquet", ".parquet.gz", ".parquet.zst")


@dataclass(frozen=True, slots=True)
class InputErrors:
    """A factory of the errors about one input. Each message is one line and never quotes the input's content."""

    path: str

    @classmethod
    def for_path(cls, path: Path | None) -> Self:
        """Return the factory for a file, or for standard input if `path` is None."""
        if path is None:
            return cls("standard input")
        # A file name can be any bytes, but an error's context must be valid JSON.
        return cls(os.fsencode(path).decode(errors="backslashreplace"))

    def from_os_error(self, error: OSError) -> InputError:
        """Return the error for an input that the operating system does not open or read."""
        match error:
            case FileNotFoundError():
                return InputNotFound(f"{self._printable}: there is no such file", path=self.path)
            case IsADirectoryError():
                return self.unreadable("this is a directory; name a file in it")
            case PermissionError():
                return self.unreadable("no permission to read it")
        return self.unreadable(f"cannot be read ({error.strerror or type(error).__name__})")

    def empty(self) -> InputEmpty:
        return InputEmpty(f"{self._printable}: there are no rows in it", path=self.path)

    def unreadable(
        self, reason: str, *, line: int | None = None, remedy: Remedy | None = None, **context: Any
    ) -> InputUnreadable:
        if line is None:
            return InputUnreadable(f"{self._printable}: {reason}", remedy=remedy, path=self.path, **context)
        return InputUnreadable(f"{self.place(line)}: {reason}", remedy=remedy, path=self.path, line=line, **context)

    def invalid_row(self, line: int, reason: str) -> InvalidRow:
        return InvalidRow(f"{self.place(line)}: {reason}", path=self.path, line=line)

    def place(self, line: int) -> str:
        """Return the name of the input with the number of a line or, where there are no lines, of a row."""
        return f"{self.lines} {line}"

    @property
    def lines(self) -> str:
        """The text before the number of a line or row."""
        return f"{self._printable} {'row' if self.path.lower().endswith(_ROW_SUFFIXES) else 'line'}"

    @property
    def _printable(self) -> str:
        """The path for a one-line message, since a file name may contain a line break."""
        return self.path if self.path.isprintable() else repr(self.path)
