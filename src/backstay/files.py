"""Files that are whole or not there."""

import fcntl
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from backstay.errors import OutputUnwritable


@contextmanager
def write_atomically(path: Path, *, spared: Iterable[Path] = ()) -> Iterator[BinaryIO]:
    """Give a file to write into that bears its name only once it is complete and on disk.

    An error within leaves what was there before. A name that stands for something other than a file (a pipe, a
    device) is written directly.

    Args:
        path: Where to.
        spared: Files, under whatever names, that must not be written over.

    Raises:
        OutputUnwritable: it cannot be written there; the message says why.
    """
    target = Path(os.path.realpath(path))  # unlike `resolve`, this takes a link to itself
    try:
        if _is_among(target, spared):
            raise OutputUnwritable(f"{path} belongs to the database; name another file", path=str(path))
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as out:
                yield out
            return
        with replacing(target) as out:
            yield out
    except OSError as error:
        raise OutputUnwritable(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def _is_among(target: Path, others: Iterable[Path]) -> bool:
    # By what the names stand for, and without opening any: to close a database that SQLite has open drops its locks.
    return any(other == target or (other.exists() and target.exists() and other.samefile(target)) for other in others)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Do the same for a file, and no link or device. Raises OSError.

    The temporary file `<.name>.<…>.part` is locked meanwhile, so that one left by a dead process can be recognized.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as out:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if target.exists():
                os.fchmod(out.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield out
            out.flush()
            sync(out.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)


def is_open_to_all(folder: Path) -> bool:
    """Whether every user of the machine can replace what others have put into a folder. Raises OSError."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def sync(descriptor: int) -> None:
    """Have what was written to a file on the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # there, fsync leaves it in the drive's cache
    else:
        os.fsync(descriptor)


def drop_from_cache(descriptor: int) -> None:
    """Have what is read of a file come from the disk, where the system lets us ask for that."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_NOCACHE, 1)
    elif hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk: without this a new name may be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_own(path: Path) -> bool:
    """Return whether a file belongs to the user of this process; true for a missing one."""
    try:
        return path.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return True
