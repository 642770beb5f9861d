"""The identity of a database or a folder, which distinguishes a copy from a moved original."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StorageIdentity:
    """The name and machine of a database or folder, and the inode of a file or folder."""

    name: str
    """The path or, for a database on a server, its name and schema."""
    machine: str
    """The host name or, for a server, the identifier of its cluster."""
    device: int | None = None
    inode: int | None = None

    @classmethod
    def from_path(cls, path: Path) -> "StorageIdentity":
        """Return the identity of a file or folder, which need not exist."""
        try:
            status = path.stat()
        except OSError:
            return cls(os.path.realpath(path), socket.gethostname())
        return cls(os.path.realpath(path), socket.gethostname(), status.st_dev, status.st_ino)

    def is_same(self, other: "StorageIdentity") -> bool:
        """Return whether both are the same database or folder, moved or not.

        A copy next to its original has another inode; one that was made after the original was removed may have got the
        same. Under the same path an equal inode is enough, because a recreated container has another host name, and a
        disk that is mounted again may have another device number. A database on a server has no inode: it is
        identified by its name and cluster.
        """
        is_in_place = self.name == other.name
        if self.inode is None and other.inode is None:
            return is_in_place and self.machine == other.machine
        is_on_same_disk = self.machine == other.machine and self.device == other.device
        return self.inode == other.inode and (is_in_place or is_on_same_disk)

    def __str__(self) -> str:
        return f"{self.name} on {self.machine}"
