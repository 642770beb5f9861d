"""A backup file of the original: where it is, and what it says.

    {"version": "1.0", "createdAt": …, "backupReason": …, "conversations": [{…, "conversation_turns": [{…}]}]}

It is read an element at a time, whatever its size, however it is laid out.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from backstay.errors import InputNotFound, InputUnreadable
from backstay.readers.json_member import JsonMember
from backstay.readers.origin import InputErrors
from backstay.readers.row import InputRow
from backstay.readers.text import InputText

VERSION = "1.0"
_CONVERSATIONS = "conversations"
_FOLDER = "backups"


def candidate_paths(backup_id: str, file_path: str | None, folder: Path) -> list[Path]:
    """Return where the file of a backup may be: under the folder of backups, or where its record says.

    It must be named after the backup, so that a record that somebody made up names no file of anybody else.

    Raises InputUnreadable: the record names another file.
    """
    name = f"{backup_id}.json"
    told = PurePosixPath(file_path) if file_path is not None else PurePosixPath(name)
    if told.name != name or ".." in told.parts or "\0" in str(told):
        raise InputUnreadable(f"its file_path does not end in {name}")
    found = [folder / name, folder / _FOLDER / name, folder / str(told).lstrip("/")]
    if told.is_absolute():
        found.append(Path(told))
    return list(dict.fromkeys(found))


def opened(paths: Sequence[Path]) -> tuple[Path, BinaryIO]:
    """Open the first of these that is there. Raises InputNotFound, InputUnreadable."""
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            return path, _opened(path)
    looked = " and ".join(str(path) for path in paths)
    raise InputNotFound(f"its file is not here: looked for {looked}")


def _opened(path: Path) -> BinaryIO:
    try:
        # What is a pipe must not be waited for, and what is a link may lead to a file of anybody.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise InputUnreadable(f"its file cannot be opened ({error.strerror}): {path}", path=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputUnreadable(f"{path} is not a file", path=str(path))
    return os.fdopen(descriptor, "rb")


class LegacyFile:
    """One file, read once from its beginning. What it yields counts only once its end was reached without an error."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.origin = InputErrors.for_path(path)
        self._file = file
        self.created_at: str | None = None
        """As the file says, once its end was reached."""

    def conversations(self) -> Iterator[InputRow]:
        """Yield the conversations. Blocks.

        Raises:
            InputError: the file is not whole, or is none of the original's; or a conversation is of no use.
        """
        try:
            text = InputText.open(self._file, self.origin)
            member = JsonMember(text, _CONVERSATIONS, otherwise="not a backup as the original writes it")
            yield from member.rows()
        except OSError as error:
            raise self.origin.unreadable(f"it cannot be read: {error.strerror}") from error
        if member.others.get("version") != VERSION:
            raise self.origin.unreadable(f"not a backup of version {VERSION}")
        created = member.others.get("createdAt")
        self.created_at = created if isinstance(created, str) else None
