"""Proof that a worker on the same host lives: a locked file, named in the worker's row.

The kernel releases a `lockf` lock when its process ends in any way, so a process that gets the lock knows at once that
its holder is dead. It is `lockf` and not `flock` because a child process forked by a processor does not inherit the
lock, and so cannot make its dead parent look alive.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import re
import secrets
import socket
import subprocess
import threading
from enum import Enum
from pathlib import Path
from typing import Final

from backstay.batch.store import WorkerIdentity
from backstay.errors import StorageError, StoreFull

_LINUX_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LINUX_MACHINE_ID: Final = Path("/etc/machine-id")

# A process that opens and closes a file loses all its lockf locks on it, so it must never open its own.
_own_paths: set[str] = set()
_own_guard = threading.Lock()


def boot_id() -> str:
    """Return an id of this boot of this machine, or "" if there is none (then only beats show who lives)."""
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - a constant command
    try:
        return _LINUX_BOOT_ID.read_text().strip()
    except OSError:
        return ""


def machine_id() -> str:
    """Return an id of this machine that survives reboots, or "" if there is none."""
    if platform.system() == "Darwin":
        command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a constant command
        match = re.search(r'"IOPlatformUUID" = "([^"]+)"', output)
        name = match[1] if match else ""
    else:
        try:
            name = _LINUX_MACHINE_ID.read_text().strip()
        except OSError:
            name = ""
    # Hashed, because the machine id is confidential.
    return hashlib.sha256(f"backstay {name}".encode()).hexdigest()[:16] if name else ""


class LivenessLock:
    """The locked file of this worker, created by `open` and held until `close`, which removes it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.identity = WorkerIdentity(
            host=socket.gethostname(),
            boot_id=f"{boot_id()}/{machine_id()}",
            pid=os.getpid(),
            lock_path=str(path),
            lock_device=status.st_dev,
            lock_inode=status.st_ino,
        )

    @classmethod
    def open(cls, folder: Path) -> "LivenessLock":
        """Create and lock a new file in `folder`, which is created (0700) if missing.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder.resolve() / f"{secrets.token_hex(8)}.lock"
            lock = cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            try:
                fcntl.lockf(lock._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise
        except OSError as error:
            kind = StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(
                f"{folder} cannot be written ({error.strerror}); fix that, then try again", path=str(folder)
            ) from error
        with _own_guard:
            _own_paths.add(str(path))
        return lock

    def close(self, *, remove: bool = True) -> None:
        """Release the lock and, with `remove`, remove the file. A file that stays proves that this worker is dead."""
        if remove:
            # A file that cannot be removed is harmless: unlocked, it only proves that its worker is gone.
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)
        with _own_guard:
            _own_paths.discard(str(self._path))


class Liveness(Enum):
    """The knowledge about whether another worker lives."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


def liveness_of(identity: WorkerIdentity) -> Liveness:
    """Return whether the worker of this identity lives.

    On this machine the worker's file proves it: locked means alive, unlocked means dead. A missing file, the file of
    another worker and another host prove nothing. No worker survives a reboot, so those of an earlier boot of this
    machine are dead. The host name alone does not identify a machine: many keep the name that they were delivered with.
    """
    boot, (worker_boot, _, machine) = boot_id(), identity.boot_id.partition("/")
    same_host = identity.host == socket.gethostname()
    if same_host and boot and worker_boot and boot != worker_boot and machine:
        return Liveness.DEAD if machine == machine_id() else Liveness.UNKNOWN
    if not (same_host or (boot and boot == worker_boot)):
        return Liveness.UNKNOWN
    with _own_guard:
        if identity.lock_path in _own_paths:
            return Liveness.ALIVE
        try:
            descriptor = os.open(identity.lock_path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return Liveness.UNKNOWN
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != (identity.lock_device, identity.lock_inode):
                return Liveness.UNKNOWN
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return Liveness.ALIVE
            return Liveness.DEAD
        finally:
            os.close(descriptor)


def is_proven_dead(identity: WorkerIdentity) -> bool:
    """Return whether the worker of this identity is certainly dead."""
    return liveness_of(identity) is Liveness.DEAD


def remove_lock_file(identity: WorkerIdentity) -> None:
    """Remove the file of a worker whose lease was reclaimed."""
    with contextlib.suppress(OSError):
        path = Path(identity.lock_path)
        status = path.lstat()
        if (status.st_dev, status.st_ino) == (identity.lock_device, identity.lock_inode):
            path.unlink()
