"""The files of an import, which may be read twice."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast

from backstay.readers.file_kind import SUFFIXES, TEXT_SUFFIX
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_files import find_files
from backstay.readers.input_formats import standard_input
from backstay.readers.input_notes import InputNotes

CONVERSATION_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix != TEXT_SUFFIX)
"""The endings of files that may hold conversations."""

_BLOCK_BYTES = 1024 * 1024


class ImportFiles:
    """A file, the files of a folder or of a pattern, or standard input if there is no path."""

    def __init__(self, path: Path | None, stdin: BinaryIO | None, notes: InputNotes) -> None:
        self._path = path
        self._stdin = stdin
        self._notes = notes
        self._found: Sequence[Path | None] | None = None if path is not None else (None,)
        self._spooled: BinaryIO | None = None

    def close(self) -> None:
        """Release the copy of standard input. Idempotent."""
        if self._spooled is not None:
            self._spooled.close()

    def find(self) -> Sequence[Path | None]:
        """Return the files, each time the same; None is standard input. Raises InputError."""
        if self._found is None and self._path is not None:
            self._found = find_files(self._path, self._notes, suffixes=CONVERSATION_SUFFIXES)
        return self._found or ()

    def open(self, path: Path | None, errors: InputErrors) -> BinaryIO:
        """Open a file at its beginning. Raises OSError, and InputUnreadable for one that cannot be read twice."""
        # Opening a named pipe would wait for its writer, while other writers wait for the import.
        if path is None or not path.is_fifo():
            file = self._from_stdin(errors) if path is None else path.open("rb")
            if file.seekable():
                return file
            file.close()
        raise errors.unreadable("a pipe cannot be read twice; send it to standard input, and give `-` as the file")

    def _from_stdin(self, errors: InputErrors) -> BinaryIO:
        # Copied first, since an import may read it twice, and must not wait for more input while it locks the database.
        if self._spooled is None:
            stdin = standard_input(self._stdin, errors)
            self._spooled = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - closed by `close`
            copyfileobj(stdin, self._spooled, _BLOCK_BYTES)
        self._spooled.seek(0)
        return os.fdopen(os.dup(self._spooled.fileno()), "rb")
