"""The folder of backup files, on a disk of this machine.

A file is written under a temporary name that begins with a dot, and gets its final name only once it is complete, on
disk and verified. Its writer holds a lock on it throughout; the kernel releases the lock when the process dies. So a
process that gets the lock knows that the file has no writer.
"""

import errno
import fcntl
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from backstay.errors import BackupDamaged, BackupDiskFull, BackupError, BackupFailed, BackupUnreachable
from backstay.files import drop_from_cache, is_open_to_all, sync, sync_folder

SUFFIX = ".json.zst"
MARKER = "folder.json"
"""The name of the file that says which database the folder belongs to; `folder_marker` reads and writes it."""
_PART_SUFFIX = ".part"
_NAME = re.compile(r"backup-[0-9]{1,16}-[a-z0-9]{1,64}")
# Without O_NONBLOCK, opening a pipe would wait for its writer.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_backup_id(text: str) -> bool:
    """Return whether a text has the form of a backup's id, which is also the name of its file."""
    return _NAME.fullmatch(text) is not None


class PartFile:
    """A file that is being written. It has its final name only after `publish`."""

    def __init__(self, folder: "BackupDirectory", backup_id: str, descriptor: int) -> None:
        self._folder = folder
        self._backup_id = backup_id
        self._descriptor = descriptor
        self._sha = hashlib.sha256()
        self._is_published = False
        self.size = 0

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of what was written, computed from memory and not from the disk."""
        return self._sha.digest()

    def write(self, data: bytes) -> None:
        """Append data. Raises BackupDiskFull, BackupFailed."""
        self._sha.update(data)
        self.size += len(data)
        rest = memoryview(data)
        with self._folder.translate_errors("written"):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Flush everything to disk and drop it from the page cache, so that a later read comes from the disk."""
        with self._folder.translate_errors("written"):
            sync(self._descriptor)
            drop_from_cache(self._descriptor)

    @contextmanager
    def open_for_reading(self) -> Iterator[BinaryIO]:
        """Reopen the part file, to read back what was written."""
        with self._folder.translate_errors("read"):
            file = self._folder.part_path(self._backup_id).open("rb")
        with file:
            yield file

    def publish(self) -> None:
        """Rename the file to its final name, durably."""
        with self._folder.translate_errors("written"):
            self._folder.part_path(self._backup_id).rename(self._folder.path_for(self._backup_id))
            self._is_published = True
            sync_folder(self._folder.path)

    def close(self, *, keep: bool) -> None:
        """Release the lock; unless `keep`, remove the file, published or not. Raises nothing."""
        with suppress(OSError):
            if not keep:
                self._folder.part_path(self._backup_id).unlink(missing_ok=True)
                if self._is_published:
                    self._folder.path_for(self._backup_id).unlink(missing_ok=True)
                    sync_folder(self._folder.path)
        with suppress(OSError):
            os.close(self._descriptor)


class BackupDirectory:
    """The folder of one database's backup files. It is created by the first backup."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def path_for(self, backup_id: str) -> Path:
        """Return the path of a backup's file, which need not exist."""
        # Ids come from the database's own records, but even a record that was tampered with must not lead elsewhere.
        if not is_backup_id(backup_id):
            raise BackupError(f"{backup_id[:80]!r} cannot be the id of a backup")
        return self.path / f"{backup_id}{SUFFIX}"

    def part_path(self, backup_id: str) -> Path:
        return self.path_for(backup_id).with_name(f".{backup_id}{SUFFIX}{_PART_SUFFIX}")

    def create(self, backup_id: str) -> PartFile:
        """Create a part file in the folder, which must exist.

        Raises:
            BackupDiskFull, BackupFailed: the file cannot be created.
        """
        with self.translate_errors("written"):
            while (descriptor := self._create_locked(self.part_path(backup_id))) is None:
                pass
            return PartFile(self, backup_id, descriptor)

    @staticmethod
    def _create_locked(path: Path) -> int | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            undo.callback(os.close, descriptor)
            # Between creating and locking, another process may have locked and removed the file as a leftover.
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink:
                    undo.pop_all()
                    return descriptor
        return None

    @contextmanager
    def open(self, backup_id: str) -> Iterator[BufferedReader]:
        """Open the file of a backup. Once open, it stays readable even if it is removed. A failing read raises OSError.

        Raises:
            BackupUnreachable: the file does not exist, or cannot be read.
            BackupDamaged: the path is that of a link, a folder or a pipe.
        """
        path = self.path_for(backup_id)
        try:
            descriptor = os.open(path, READ_FLAGS)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise BackupDamaged(f"{path} is a link, not a backup; remove it", path=str(path)) from error
            raise BackupUnreachable(
                f"The file of the backup cannot be opened ({error.strerror}): {path}", path=str(path)
            ) from error
        status = os.fstat(descriptor)
        is_file = stat.S_ISREG(status.st_mode)
        if not is_file or not status.st_size:
            os.close(descriptor)
            problem = "is empty" if is_file else "is not a file; remove it"
            raise BackupDamaged(f"{path} {problem}", path=str(path))
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def has(self, backup_id: str, *, size: int | None = None) -> bool:
        """Return whether the file of a backup exists and, if `size` is given, has that many bytes."""
        with suppress(OSError):
            status = self.path_for(backup_id).lstat()
            return stat.S_ISREG(status.st_mode) and size in (None, status.st_size)
        return False

    def remove(self, backup_id: str) -> bool:
        """Remove the file of a backup durably; return whether it existed. Raises BackupUnreachable."""
        path = self.path_for(backup_id)
        try:
            path.unlink()
            sync_folder(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise BackupUnreachable(f"{path} cannot be removed: {error.strerror}", path=str(path)) from error
        return True

    def is_being_written(self, backup_id: str) -> bool:
        """Return whether a living process is writing the file of a backup."""
        return _is_locked(self.part_path(backup_id)) or _is_locked(self.path_for(backup_id))

    def remove_leftovers(self) -> int:
        """Remove the part files of dead writers; return how many were removed. Files that cannot be removed stay."""
        removed = 0
        for path in (*self._files(f".*{SUFFIX}{_PART_SUFFIX}"), *self._files(f".{MARKER}.*{_PART_SUFFIX}")):
            with suppress(OSError):
                descriptor = os.open(path, READ_FLAGS)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed

    def backup_ids(self) -> list[str]:
        """Return the ids of the backups that have a file here."""
        names = (path.name.removesuffix(SUFFIX) for path in self._files(f"*{SUFFIX}"))
        return sorted(name for name in names if is_backup_id(name))

    def _files(self, pattern: str) -> list[Path]:
        try:
            return [path for path in self.path.glob(pattern) if not path.is_dir()]
        except OSError:
            return []

    def make_folder(self) -> None:
        """Create the folder (mode 0700) if it is missing. Raises BackupDiskFull, BackupFailed."""
        with self.translate_errors("written"):
            missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            for folder in reversed(missing):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                sync_folder(folder.parent)  # otherwise a power cut may lose the folder with its content
            self._refuse_open_to_all()

    def _refuse_open_to_all(self) -> None:
        """Refuse a folder in which any user of the machine could replace the file of a backup."""
        for folder in (self.path, self.path.parent):
            if is_open_to_all(folder):
                raise BackupFailed(
                    f"Every user of this machine can write to {folder}, so no backup is made there. "
                    f"Nothing was deleted. Run `chmod o-w {shlex.quote(str(folder))}`, or set BACKUP_DIRECTORY",
                    path=str(folder),
                )

    @contextmanager
    def translate_errors(self, verb: str) -> Iterator[None]:
        """Translate an OSError into BackupDiskFull or BackupFailed."""
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL_ERRNOS:
                raise BackupDiskFull(
                    f"No space is left in {self.path}; free some, or set BACKUP_DIRECTORY, then try again. "
                    "Nothing was deleted",
                    path=str(self.path),
                ) from error
            raise BackupFailed(
                f"No backup can be {verb} in {self.path}: {error.strerror}. Fix that, or set BACKUP_DIRECTORY, then "
                "try again. Nothing was deleted",
                path=str(self.path),
            ) from error


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
