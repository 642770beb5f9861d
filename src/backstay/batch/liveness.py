"""Proof of life on one host: a locked file, named in the worker's row.

The kernel drops a `lockf` lock when its process ends, however it ends, so whoever gets the lock knows at once that its
holder is dead. `lockf` and not `flock`: a child that a processor forked does not inherit it, and so cannot keep its
dead parent looking alive.
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

# A process that opens and closes a file loses all its lockf locks on it, so it must never probe its own.
_own_paths: set[str] = set()
_own_guard = threading.Lock()


def boot_id() -> str:
    """Return what names this boot of this machine, or "" where nothing does (then only beats tell who lives)."""
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    try:
        return _LINUX_BOOT_ID.read_text().strip()
    except OSError:
        return ""


def machine_id() -> str:
    """Return what names this machine through all its boots, or "" where nothing does."""
    if platform.system() == "Darwin":
        command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
        found = re.search(r'"IOPlatformUUID" = "([^"]+)"', told)
        name = found[1] if found else ""
    else:
        try:
            name = _LINUX_MACHINE_ID.read_text().strip()
        except OSError:
            name = ""
    # Not the name itself, which a machine keeps to itself.
    return hashlib.sha256(f"backstay {name}".encode()).hexdigest()[:16] if name else ""


class LivenessLock:
    """This worker's locked file. Made by `open`, held until `close`, which removes it."""

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
        """Make and lock a new file in `folder`, which is made (0700) when it is missing.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder.resolve() / f"{secrets.token_hex(8)}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            kind = StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(
                f"{folder} cannot be written ({error.strerror}); mend that, then resume", path=str(folder)
            ) from error
        with _own_guard:
            _own_paths.add(str(path))
        return cls(path, descriptor)

    def close(self, *, remove: bool = True) -> None:
        """Let go of the lock. The file goes too, unless it is to prove that its worker, whose row is left, is dead."""
        if remove:
            # One that cannot be removed is no harm: not locked, it only proves that its worker is gone.
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)
        with _own_guard:
            _own_paths.discard(str(self._path))


class Liveness(Enum):
    """What is known of another worker."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


def liveness_of(identity: WorkerIdentity) -> Liveness:
    """Say whether the worker of this card lives.

    On this machine, its own file proves it: locked, it is alive; not locked, it is dead. A missing file, another's file
    and another host prove nothing. Nobody outlives a restart: of an earlier boot of this machine everybody is dead. Its
    name alone does not tell it from another one: that of many a machine is the one it was delivered with.
    """
    now, (then, _, machine) = boot_id(), identity.boot_id.partition("/")
    same_host = identity.host == socket.gethostname()
    if same_host and now and then and now != then and machine:
        return Liveness.DEAD if machine == machine_id() else Liveness.UNKNOWN
    if not (same_host or (now and now == then)):
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
    """Whether the worker of this card certainly does not live any more."""
    return liveness_of(identity) is Liveness.DEAD


def remove_lock_file(identity: WorkerIdentity) -> None:
    """Remove the file of a worker that was taken over."""
    with contextlib.suppress(OSError):
        path = Path(identity.lock_path)
        status = path.lstat()
        if (status.st_dev, status.st_ino) == (identity.lock_device, identity.lock_inode):
            path.unlink()
