"""The directory of a server's temporary files, removed when the server stops."""

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from backstay.logs import get_logger

_log = get_logger("backstay.server")

_PREFIX = "backstay-server-"


class TemporaryFolder:
    """A directory that is created when first needed, and again if another program has removed it.

    The directory is locked while its server runs. The lock shows other servers that the directory is in use, and keeps
    systemd-tmpfiles from removing it; other cleaners of temporary files may ignore the lock.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._path: Path | None = None
        self._lock = -1

    def path(self) -> Path:
        """Return the path of the directory, created if missing. Raises OSError."""
        with self._guard:
            if self._path is not None and self._path.is_dir():
                return self._path
            self._release()
            return self._create()

    def close(self) -> None:
        """Remove the directory with its content. Idempotent."""
        with self._guard:
            if self._path is not None:
                shutil.rmtree(self._path, ignore_errors=True)
            self._release()

    def _create(self) -> Path:
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _try_lock(path)
            if lock is not None and path.is_dir():
                self._path, self._lock = path, lock
                return path
            if lock is not None:  # another server removed it before it was locked
                os.close(lock)

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
        self._path, self._lock = None, -1


def remove_orphaned_folders() -> None:
    """Remove the directories of killed servers. Raises nothing."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            lock = _try_lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
                _log.info("temporary_files_removed", folder=path.name)


def _try_lock(path: Path) -> int | None:
    """Lock a directory of this user; return the lock's file descriptor, or None if the directory cannot be locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
