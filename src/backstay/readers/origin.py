"""Where rows come from, as errors name it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from backstay.errors import InputEmpty, InputNotFound, InputUnreadable, InvalidRow


@dataclass(frozen=True, slots=True)
class InputErrors:
    """Makes the errors about one input. Each message is one line and never quotes what the input holds."""

    path: str

    @classmethod
    def for_path(cls, path: Path | None) -> Self:
        """Name a file, or standard input for `None`."""
        if path is None:
            return cls("standard input")
        # A file name can be any bytes, but an error's context has to fit into JSON.
        return cls(os.fsencode(path).decode(errors="backslashreplace"))

    def not_found(self) -> InputNotFound:
        return InputNotFound(f"{self._shown}: there is no such file", path=self.path)

    def empty(self) -> InputEmpty:
        return InputEmpty(f"{self._shown}: there are no rows in it", path=self.path)

    def unreadable(self, reason: str, *, line: int | None = None) -> InputUnreadable:
        if line is None:
            return InputUnreadable(f"{self._shown}: {reason}", path=self.path)
        return InputUnreadable(f"{self._shown} line {line}: {reason}", path=self.path, line=line)

    def invalid_row(self, line: int, reason: str) -> InvalidRow:
        return InvalidRow(f"{self._shown} line {line}: {reason}", path=self.path, line=line)

    @property
    def _shown(self) -> str:
        """The path fit for a one-line message: a file name may hold a line break."""
        return self.path if self.path.isprintable() else repr(self.path)
