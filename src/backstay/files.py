"""File operations: atomic writes, flushing to disk, and checks of owner and permissions.

A temporary file or folder `.<name>.<…>.part` is locked while its process lives. All functions that write, except
`replace_atomically`, first remove those of the same name that are not locked.
"""

import errno
import fcntl
import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from backstay.errors import OutputUnwritable
from backstay.settings import FOLDER

_BUFFER_BYTES = 128 * 1024
_MAX_LINKS = 40


@contextmanager
def write_atomically(path: Path, *, excluded: Iterable[Path] = ()) -> Iterator[BinaryIO]:
    """Open a temporary file for writing, and rename it to `path` once it is complete and on disk.

    An error within the context leaves an earlier file unchanged. A stream is written directly.

    Args:
        path: File to write.
        excluded: Files that must not be overwritten, not even through a link.

    Raises:
        OutputUnwritable: the file cannot be written; the message says why.
    """
    target = Path(os.path.realpath(path))  # unlike `resolve`, accepts a link to itself
    callers_error: OSError | None = None
    try:
        if _is_among(target, excluded):
            raise OutputUnwritable(f"{path} belongs to the database; name another file", path=str(path))
        is_direct = is_stream(path)
        if not is_direct:
            _remove_leftovers(target, target.parent)
        with _open_stream(path) if is_direct else replace_atomically(target) as out:
            try:
                yield out
            except OSError as error:
                callers_error = None if isinstance(error, _WriteError) else error
                raise
    except OSError as error:
        if error is callers_error:
            raise
        raise OutputUnwritable(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe, a device or an open file such as /dev/stdout, whose bytes cannot be taken back.

    Raises OSError.
    """
    return _descriptor_of(path) is not None or (path.exists() and not path.is_file())


def _descriptor_of(path: Path) -> int | None:
    """Return the descriptor that a path such as /dev/stdout or /dev/fd/3 names; None for other paths."""
    descriptors = os.path.realpath("/dev/fd")
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == descriptors and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder, path.readlink())
    return None


def _open_stream(path: Path) -> BinaryIO:
    descriptor = _descriptor_of(path)
    if descriptor is None:
        return io.BufferedWriter(_OutputFile(path, "wb"))
    if not os.get_inheritable(descriptor):  # one of this process, such as its connection to the database
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    # Duplicated, because opening the file again would start at its beginning.
    return io.BufferedWriter(_OutputFile(os.dup(descriptor), "wb"))


class _WriteError(OSError):
    """An error from writing to the file, as opposed to one that the code within the context raised."""


class _OutputFile(io.FileIO):
    """A file that raises its errors as `_WriteError`."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _WriteError(error.errno, error.strerror) from error


@contextmanager
def fill_folder_atomically(
    folder: Path, *, check: Callable[[Collection[str]], None], last: str | None = None, excluded: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder for new files, and move them into `folder` once all of them are complete and on disk.

    A folder that does not exist appears with all its files at once. In one that exists, files are replaced one by one,
    so that it has old and new ones if the process dies meanwhile; another call then replaces all of them. An error
    within the context, or of `check`, leaves the folder as it was. The files within are created with `create_output`.

    Args:
        folder: Folder that gets the files, which replace those of the same names.
        check: Called with the names of the new files before any is moved; raises if they must not be.
        last: Name of the file that is moved after all others, such as the description of them.
        excluded: Files that must not be replaced.

    Raises:
        OutputUnwritable: a file cannot be written; the message says why.
    """
    callers_error: OSError | None = None
    is_new = not folder.exists()
    for parent in (folder.parent, folder):
        _remove_leftovers(folder, parent)
    try:
        with _temporary_folder(folder, folder.parent if is_new else folder) as staging:
            try:
                yield staging
            except OSError as error:
                callers_error = None if isinstance(error, _WriteError) else error
                raise
            names = sorted((file.name for file in staging.iterdir()), key=lambda name: (name == last, name))
            _check_targets(folder, names, excluded)
            check(names)
            _move_files(staging, names, folder, is_new=is_new)
    except OSError as error:
        if error is callers_error:
            raise
        raise OutputUnwritable(f"{folder} cannot be written: {error.strerror}", path=str(folder)) from error


@contextmanager
def _temporary_folder(folder: Path, parent: Path) -> Iterator[Path]:
    temporary, lock = _create_temporary(folder, parent, _create_folder)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _check_targets(folder: Path, names: Iterable[str], excluded: Iterable[Path]) -> None:
    """Raise OutputUnwritable if one of the files cannot be replaced, before any is moved."""
    for target in (folder / name for name in names):
        if _is_among(target, excluded):
            raise OutputUnwritable(f"A file in {folder} belongs to the database; name another folder", path=str(folder))
        if target.is_dir():
            raise OutputUnwritable(f"{target} is a folder; nothing was written; name another folder", path=str(folder))


def _move_files(staging: Path, names: Iterable[str], folder: Path, *, is_new: bool) -> None:
    """Flush the files to the disk, then give them their names in `folder`."""
    for name in names:
        _sync_file(staging / name)
    sync_folder(staging)
    if is_new:
        staging.rename(folder)
        sync_folder(folder.parent)
        return
    for name in names:
        (staging / name).replace(folder / name)
    sync_folder(folder)


def create_output(path: Path) -> BinaryIO:
    """Return a new file for writing, within the context of `fill_folder_atomically`."""
    return io.BufferedWriter(_OutputFile(path, "xb"), _BUFFER_BYTES)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _is_among(target: Path, others: Iterable[Path]) -> bool:
    # Compared without opening, because closing a database file drops this process's SQLite locks on it.
    return any(other == target or (other.exists() and target.exists() and other.samefile(target)) for other in others)


@contextmanager
def replace_atomically(target: Path) -> Iterator[BinaryIO]:
    """Like `write_atomically`, for a path that is no link or device, but remove no leftovers. Raises OSError."""
    temporary, descriptor = _create_temporary(target, target.parent, _create_file)
    try:
        with io.BufferedWriter(_OutputFile(descriptor, "wb")) as out:
            if target.exists():
                os.fchmod(out.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield out
            out.flush()
            sync(out.fileno())
            temporary.replace(target)  # while it is locked
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)


def _create_temporary(target: Path, parent: Path, create: Callable[[Path], int | None]) -> tuple[Path, int]:
    """Create and lock a temporary file or folder; return it with the descriptor that holds the lock. Raises OSError."""
    while True:
        temporary = parent / f".{target.name}.{secrets.token_hex(4)}.part"
        # Until it is locked, another process may remove it as a leftover.
        if (descriptor := create(temporary)) is None:
            continue
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)


def _create_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _create_folder(path: Path) -> int | None:
    path.mkdir()
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return None


def _remove_leftovers(target: Path, parent: Path) -> None:
    """Remove the temporary files and folders of a target whose processes are dead. Raises nothing."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.part")
    with suppress(OSError):
        for path in [path for path in parent.iterdir() if name.fullmatch(path.name)]:
            _remove_unless_locked(path)


def _remove_unless_locked(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Create a folder that only this process's user can read, unless it exists. Raises OSError."""
    if folder.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.name == FOLDER:
        # Keeps conversations from being committed to a repository by accident.
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def is_open_to_all(folder: Path) -> bool:
    """Return whether every user of the machine can replace other users' files in a folder. Raises OSError."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def sync(descriptor: int) -> None:
    """Flush a file to the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # because fsync leaves the data in the drive's cache
    else:
        os.fsync(descriptor)


def drop_from_cache(descriptor: int) -> None:
    """Drop a file from the page cache, so that reads come from the disk, if the system supports it."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_NOCACHE, 1)
    elif hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, without which a new file may be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def belongs_to_this_user(path: Path) -> bool:
    """Return whether a file belongs to this process's user; True for a missing file."""
    try:
        return path.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return True
