"""The files of an export into a folder: one for each side of the split, or several shards of each."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from backstay.errors import OutputUnwritable
from backstay.files import create_output
from backstay.library.conversation import Conversation
from backstay.library.exports.encoder import Encoder
from backstay.library.exports.file_name import is_data_file
from backstay.library.exports.request import ExportedFile, ExportRequest

_ONLY_SIDE = "train"
"""The side of all conversations without a split, the name that dataset loaders expect."""


class FolderWriter:
    """The files of one export, which are open until `close`."""

    def __init__(self, folder: Path, suffix: str, request: ExportRequest, new_encoder: Callable[[], Encoder]) -> None:
        self._split = request.split
        names = side_names(request)
        self._sides = {name: _SideWriter(folder, name, suffix, request.shard_size, new_encoder()) for name in names}

    def add(self, conversations: Sequence[Conversation]) -> None:
        """Write conversations, each to the file of its side."""
        if self._split is None:
            self._sides[_ONLY_SIDE].add(conversations)
            return
        by_side: dict[str, list[Conversation]] = {}
        for conversation in conversations:
            by_side.setdefault(self._split.side_of(conversation), []).append(conversation)
        for name, on_side in by_side.items():
            self._sides[name].add(on_side)

    def finish(self) -> Sequence[ExportedFile]:
        """Complete the files, and return them in the order of the sides."""
        return [file for side in self._sides.values() for file in side.finish()]

    def close(self) -> None:
        """Close the files. Idempotent."""
        for side in self._sides.values():
            side.close()


class _SideWriter:
    """The files of one side."""

    def __init__(self, folder: Path, name: str, suffix: str, shard_size: int | None, encoder: Encoder) -> None:
        self._folder = folder
        self._name = name
        self._suffix = suffix
        rows = encoder.row_conversations
        self._shard_size = None if shard_size is None else max(rows, shard_size - shard_size % rows)
        self._encoder = encoder
        self._files: list[ExportedFile] = []
        self._open()

    def add(self, conversations: Sequence[Conversation]) -> None:
        rest = conversations
        while rest:
            if self._encoder.conversations == self._shard_size:
                self._complete_file()
                self._encoder = self._encoder.next_file()
                self._open()
            room = len(rest)
            if self._shard_size is not None:  # one that waits may come with any other
                room = 1 if self._encoder.waiting else self._shard_size - self._encoder.conversations
            self._file.write(self._encoder.encode(rest[:room]))
            rest = rest[room:]

    def finish(self) -> Sequence[ExportedFile]:
        self._encoder.finish()
        if self._files and not self._encoder.conversations:  # the rest was left out
            self._file.close()
            (self._folder / self._file_name).unlink()
        else:
            self._complete_file()
        return self._files

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        number = "" if self._shard_size is None else f"-{len(self._files):05}"
        self._file_name = f"{self._name}{number}.{self._suffix}"
        self._file = create_output(self._folder / self._file_name)
        self._file.write(self._encoder.head())

    def _complete_file(self) -> None:
        self._file.write(self._encoder.tail())
        self._file.close()
        self._files.append(ExportedFile(self._file_name, self._name, self._encoder.conversations))


def side_names(request: ExportRequest) -> Sequence[str]:
    """Return the names of the sides of an export into a folder."""
    return request.split.names if request.split is not None else (_ONLY_SIDE,)


def refuse_other_data(folder: Path, new_names: Collection[str]) -> None:
    """Raise OutputUnwritable if a folder holds data files with other names, which loaders would mix with it.

    Other files, such as those of a repository, may stay.
    """
    others = sorted(name for name in _data_files(folder) if name not in new_names)
    if others:
        raise _other_data_error(folder, others[0])


def refuse_unrelated_data(folder: Path, suffix: str, request: ExportRequest) -> None:
    """Raise OutputUnwritable like `refuse_other_data`, before the number of shards is known."""
    number = "" if request.shard_size is None else r"-\d{5,}"
    possible = re.compile(rf"({'|'.join(side_names(request))}){number}\.{re.escape(suffix)}")
    for name in _data_files(folder):
        if not possible.fullmatch(name):
            raise _other_data_error(folder, name)


def _data_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if is_data_file(path.name)) if folder.is_dir() else []


def _other_data_error(folder: Path, name: str) -> OutputUnwritable:
    return OutputUnwritable(
        f"{folder} contains {name}, which this export would not replace; nothing was written; choose another folder",
        path=str(folder),
    )
