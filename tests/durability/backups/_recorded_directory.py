"""What is done to the files of one folder, in order, and what a power cut would leave of them.

Python's own calls are written down: unlike SQLite, whoever writes backups goes through the `os` module. What may be
left is drawn as for a database: see `support.faults.power_cut`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.faults.power_cut import Contents, Disk
from support.faults.recorded_disk import Created, Deleted, FolderSynced, Noted, Synced, Written

Event = Created | Deleted | FolderSynced | Noted | Synced | Written | tuple[str, str]
"""A pair is a renaming: from, to."""


class RecordedFolder:
    """Records what is done to files in a folder, and in those within."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self._folder = str(folder)
        self._open: dict[int, int | None] = {}
        """File by descriptor; None for the folder itself."""
        self._files = 0

    def note(self, fact: Any) -> None:
        self.events.append(Noted(fact))

    @contextmanager
    def recording(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Record as long as this lasts."""
        real = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename", "unlink", "close")}

        def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            descriptor: int = real["open"](path, flags, *rest, **more)
            if self._is_ours(path):
                if Path(path).is_dir():
                    self._open[descriptor] = None
                elif flags & os.O_CREAT:
                    self._files += 1
                    self._open[descriptor] = self._files
                    self.events.append(Created(Path(path).name, self._files))
            return descriptor

        def written(descriptor: int, data: Any) -> int:
            file = self._open.get(descriptor)
            offset = os.lseek(descriptor, 0, os.SEEK_CUR) if file is not None else 0
            size: int = real["write"](descriptor, data)
            if file is not None:
                self.events.append(Written(file, offset, bytes(data)[:size]))
            return size

        def synced(descriptor: int) -> None:
            real["fsync"](descriptor)
            if descriptor in self._open:
                file = self._open[descriptor]
                self.events.append(FolderSynced() if file is None else Synced(file))

        def renamed(old: Any, new: Any, **more: Any) -> None:
            real["rename"](old, new, **more)
            if self._is_ours(new):
                self.events.append((Path(old).name, Path(new).name))

        def unlinked(path: Any, **more: Any) -> None:
            real["unlink"](path, **more)
            if self._is_ours(path):
                self.events.append(Deleted(Path(path).name))

        def closed(descriptor: int) -> None:
            self._open.pop(descriptor, None)
            real["close"](descriptor)

        fakes = {
            "open": opened,
            "write": written,
            "fsync": synced,
            "rename": renamed,
            "unlink": unlinked,
            "close": closed,
        }
        with patch.context() as patched:
            for name, fake in fakes.items():
                patched.setattr(os, name, fake)
            yield

    def _is_ours(self, path: Any) -> bool:
        return str(path).startswith(self._folder)


class FolderDisk(Disk):
    """Knows renaming, too: the old name goes and the new one comes, each in its own time."""

    def follow(self, event: Any) -> None:
        if not isinstance(event, tuple):
            super().follow(event)
            return
        old, new = event
        self._names[new] = self._names[old]
        self._step(new, self._names[new])
        super().follow(Deleted(old))


__all__ = ["Contents", "FolderDisk", "RecordedFolder"]
