"""The location of a file or a database, by which a copy differs from a moved original."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileLocation:
    """Where something is: its machine, its name and, for a file or folder, its inode."""

    name: str
    """The path or, of a database on a server, its name and schema."""
    machine: str
    """The host name or, of a server, what identifies its cluster."""
    device: int | None = None
    inode: int | None = None

    @classmethod
    def from_path(cls, path: Path) -> "FileLocation":
        """Return the location of a file or folder, which need not be there."""
        try:
            status = path.stat()
        except OSError:
            return cls(os.path.realpath(path), socket.gethostname())
        return cls(os.path.realpath(path), socket.gethostname(), status.st_dev, status.st_ino)

    def is_same(self, other: "FileLocation") -> bool:
        """Return whether both are certainly the same thing, moved or not.

        A copy has another inode, also one that was put in the place of what it was copied from. The host name of a
        container changes whenever it is recreated, and the number of a device when it is mounted. A database on a
        server has no inode: its name and cluster tell it.
        """
        is_in_place = self.name == other.name
        if self.inode is None and other.inode is None:
            return is_in_place and self.machine == other.machine
        is_on_same_disk = self.machine == other.machine and self.device == other.device
        return self.inode == other.inode and (is_in_place or is_on_same_disk)

    def __str__(self) -> str:
        return f"{self.name} on {self.machine}"
