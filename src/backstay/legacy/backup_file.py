"""A backup file of the original library: its path and its content.

    {"version": "1.0", "createdAt": …, "backupReason": …, "conversations": [{…, "conversation_turns": [{…}]}]}

It is read one element at a time, whatever its size and layout.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from backstay.errors import InputNotFound, InputUnreadable
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText
from backstay.readers.json_array_member import JsonMember
from backstay.readers.row import InputRow

VERSION = "1.0"
_CONVERSATIONS = "conversations"
_FOLDER = "backups"


def candidate_paths(backup_id: str, file_path: str | None, folder: Path) -> list[Path]:
    """Return the possible paths of a backup's file: in the backup folder, or at its recorded path.

    The file must be named after the backup, so that a forged record cannot name any other file.

    Raises InputUnreadable: the record names another file.
    """
    name = f"{backup_id}.json"
    recorded = PurePosixPath(file_path) if file_path is not None else PurePosixPath(name)
    if recorded.name != name or ".." in recorded.parts or "\0" in str(recorded):
        raise InputUnreadable(f"its file_path does not end in {name}")
    paths = [folder / name, folder / _FOLDER / name, folder / str(recorded).lstrip("/")]
    if recorded.is_absolute():
        paths.append(Path(recorded))
    return list(dict.fromkeys(paths))


def open_first(paths: Sequence[Path]) -> tuple[Path, BinaryIO]:
    """Open the first of these paths that exists. Raises InputNotFound, InputUnreadable."""
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            return path, _open(path)
    paths_text = " and ".join(str(path) for path in paths)
    raise InputNotFound(f"its file was not found: looked for {paths_text}")


def _open(path: Path) -> BinaryIO:
    try:
        # Do not wait for a pipe, and do not follow a link, which may lead to another user's file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise InputUnreadable(f"its file cannot be opened ({reason}): {path}", path=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputUnreadable(f"{path} is not a file", path=str(path))
    return os.fdopen(descriptor, "rb")


class LegacyFile:
    """A backup file that is read once. Its values are valid only if its end is reached without an error."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.origin = InputErrors.for_path(path)
        self._file = file
        self.created_at: str | None = None
        """The creation time in the file, once its end is reached."""

    def conversations(self) -> Iterator[InputRow]:
        """Yield the conversations. Blocks.

        Raises:
            InputError: the file is incomplete, is not the original library's, or has an unusable conversation.
        """
        try:
            text = InputText.open(self._file, self.origin)
            member = JsonMember(text, _CONVERSATIONS, shape_error="not a backup as the original library writes it")
            yield from member.rows()
        except OSError as error:
            raise self.origin.unreadable(f"it cannot be read: {error.strerror}") from error
        if member.others.get("version") != VERSION:
            raise self.origin.unreadable(f"not a backup of version {VERSION}")
        created = member.others.get("createdAt")
        self.created_at = created if isinstance(created, str) else None
