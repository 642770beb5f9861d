"""A SQLite VFS that writes down, in order, everything that is to change a disk.

It stands on the system's own VFS, so that what is recorded is what SQLite does there. Reads, locks and the shared
memory of a write-ahead log pass through: after a power cut none of them is left.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

_NAME = "recorded"
_SYNCS_ITS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


@dataclass(frozen=True, slots=True)
class Created:
    """A name appeared in the folder, for a new and empty file."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A name went from the folder."""

    name: str


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were put into a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file was cut off."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """All that was done to a file is on disk."""

    file: int


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """All names that appeared and went are on disk."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the test wants to know the moment of."""

    fact: Any


Event = Created | Deleted | Written | Truncated | Synced | FolderSynced | Noted


class Recorder:
    """The events of one folder, in the order in which they happened. May be told from any thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.names: dict[str, int] = {}
        """The file that each name stands for now."""
        self.lock = threading.RLock()
        self._files = 0

    def begin_with(self, contents: dict[str, bytes]) -> None:
        """Start with files that were on disk before anything was recorded."""
        for name, data in contents.items():
            file = self.opened(name)
            self.add(Written(file, 0, data))
            self.add(Synced(file))
        self.add(FolderSynced())

    def add(self, event: Event) -> None:
        with self.lock:
            self.events.append(event)

    def note(self, fact: object) -> None:
        self.add(Noted(fact))

    def opened(self, name: str) -> int:
        """Return the file that a name stands for, made when there is none."""
        with self.lock:
            if name not in self.names:
                self._files += 1
                self.names[name] = self._files
                self.add(Created(name, self._files))
            return self.names[name]

    def deleted(self, name: str) -> None:
        with self.lock:
            del self.names[name]
            self.add(Deleted(name))


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Have every connection that is opened within tell the recorder. All of them must use files of one folder."""
    vfs = _RecordingVFS(recorder)
    try:
        yield
    finally:
        apsw.set_default_vfs("unix")
        vfs.unregister()


class _RecordingVFS(apsw.VFS):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__(_NAME, "unix", makedefault=True, iVersion=3)
        self._recorder = recorder

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        if name is None:
            return apsw.VFSFile("unix", name, flags)  # a temporary file: nobody looks for it after a power cut
        with self._recorder.lock:
            return _RecordingFile(self._recorder, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        with self._recorder.lock:
            super().xDelete(name, syncdir)
            self._recorder.deleted(Path(name).name)
            if syncdir:
                self._recorder.add(FolderSynced())


class _RecordingFile(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._recorder = recorder
        self._file = recorder.opened(Path(path).name)
        # The system's VFS syncs the folder with the first sync of a log or journal that it may have made: os_unix.c,
        # UNIXFILE_DIRSYNC. It does so within xSync, where a VFS above does not see it.
        self._syncs_its_folder = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _SYNCS_ITS_FOLDER)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        with self._recorder.lock:
            super().xWrite(data, offset)
            self._recorder.add(Written(self._file, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        with self._recorder.lock:
            super().xTruncate(size)
            self._recorder.add(Truncated(self._file, size))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        with self._recorder.lock:
            super().xSync(flags)
            self._recorder.add(Synced(self._file))
            if self._syncs_its_folder:
                self._syncs_its_folder = False
                self._recorder.add(FolderSynced())
