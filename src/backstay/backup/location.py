"""The location of a file or a database, by which a copy differs from a moved original."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is: its machine, its name and, for a file or folder, its inode."""

    name: str
    """The path or, of a database on a server, its name and schema."""
    machine: str
    """The host name or, of a server, what identifies its cluster."""
    device: int | None = None
    inode: int | None = None

    @classmethod
    def from_path(cls, path: Path) -> "Location":
        """Return the location of a file or folder, which need not be there."""
        try:
            status = path.stat()
        except OSError:
            return cls(os.path.realpath(path), socket.gethostname())
        return cls(os.path.realpath(path), socket.gethostname(), status.st_dev, status.st_ino)

    def is_same(self, other: "Location") -> bool:
        """Return whether both are the same thing: in the same place, or moved, but not copied.

        A copy has another inode. A file that was put back in its place has one too, so the place counts as well. The
        host name of a container changes whenever it is recreated, and the number of a device when it is mounted.
        """
        has_same_inode = self.inode is not None and self.inode == other.inode
        if self.name == other.name:
            return self.machine == other.machine or has_same_inode
        return self.machine == other.machine and has_same_inode and self.device == other.device

    def __str__(self) -> str:
        return f"{self.name} on {self.machine}"
