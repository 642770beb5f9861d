"""The disk and the folder that a file is on."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from backstay.doctor.check import Check, Level, in_bytes

_LITTLE_SPACE = 512 * 1024 * 1024
_MOUNTS = Path("/proc/mounts")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.rclone", "virtiofs")


def check_surroundings(path: Path) -> Iterator[Check]:
    """Check what surrounds a file, which need not be there."""
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    yield _rights(folder)
    yield _file_system(folder)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Check("space", Level.WARNING, f"the free space of {folder} cannot be told: {error.strerror}")
        return
    enough = free >= _LITTLE_SPACE
    yield Check(
        "space",
        Level.OK if enough else Level.WARNING,
        f"{in_bytes(free)} free on the disk of {folder}",
        None if enough else "make room; a run that finds none pauses and can be resumed",
    )


def _rights(folder: Path) -> Check:
    if not folder.is_dir():
        return Check("folder", Level.PROBLEM, f"{folder} is not a folder", "name another database with --database")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check("folder", Level.PROBLEM, f"{folder} cannot be written", "change its rights, or name another place")
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return Check("folder", Level.WARNING, f"everybody may write into {folder}", f"chmod o-w {folder}")
    return Check("folder", Level.OK, f"{folder} can be written")


def _file_system(folder: Path) -> Check:
    kind = file_system(folder)
    if kind is None:
        return Check("disk", Level.OK, "the kind of file system cannot be told here")
    if kind.startswith(_NETWORK):
        return Check(
            "disk",
            Level.WARNING,
            f"{folder} is on a file system shared over a network or with a host ({kind})",
            "put the database on a local disk: SQLite's log needs memory that all who use it share",
        )
    return Check("disk", Level.OK, f"{kind}")


def file_system(folder: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return the kind of file system that a folder is on, None where nothing tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        target = folder.resolve()
    except OSError:
        return None
    kind, longest = None, -1
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1]))
        # The later of two mounts on the same point is the one that is seen.
        if target.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[2], len(point.parts)
    return kind


def _unescaped(text: str) -> str:
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text
