"""Checks of the disks and folders that hold the database and its backups."""

import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backstay.doctor.check import Check, CheckLevel, format_bytes
from backstay.files import is_open_to_all
from backstay.remedy import Remedy

_LOW_SPACE_BYTES = 512 * 1024 * 1024
_MIN_SPACE_BYTES = 1024 * 1024
_MOUNTS_FILE = Path("/proc/mounts")
_NETWORK_FILE_SYSTEMS = (
    "nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.rclone", "virtiofs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Remedies:
    """What to do about each problem of a folder, which depends on the purpose of the folder."""

    not_a_folder: str | Remedy
    not_writable: str | Remedy
    shared: str
    full: str


_DATABASE = _Remedies(
    not_a_folder=Remedy.NAME_DATABASE,
    not_writable=Remedy.CHANGE_PERMISSIONS,
    shared="put the database on a local disk: SQLite's log needs memory that all its processes share",
    full="free some space; a run on a full disk pauses and can be resumed",
)
_BACKUPS = _Remedies(
    not_a_folder="remove what is there, or set BACKUP_DIRECTORY to a folder",
    not_writable="change its permissions, or set BACKUP_DIRECTORY to a folder that can be written",
    shared="set BACKUP_DIRECTORY to a folder on a local disk: locks on backups in progress may not work there",
    full="free some space, or set BACKUP_DIRECTORY to a folder on another disk; without a backup nothing is deleted",
)


def check_filesystem(path: Path) -> Iterator[Check]:
    """Check the surroundings of a database file, which may be missing."""
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    yield _check_access("folder", folder, _DATABASE)
    yield _check_file_system("disk", folder, _DATABASE)
    yield _check_space("space", folder, _DATABASE)


def check_backup_base(base: Path) -> Iterator[Check]:
    """Check the folder for new backups, which may be missing; yield its problems, or one line if there are none."""
    existing = next((path for path in (base, *base.parents) if os.path.lexists(path)), base)
    checks = [_check_access("backups", existing, _BACKUPS)]
    if checks[0].level is not CheckLevel.PROBLEM:
        checks += [_check_file_system("backups", existing, _BACKUPS), _check_space("backups", existing, _BACKUPS)]
        if existing not in (base, base.parent):
            message = f"{base.parent} does not exist; the first backup creates it, on the disk of {existing}"
            checks.append(Check("backups", CheckLevel.WARNING, message, "mount its disk, or create that folder"))
    problems = [check for check in checks if check.level is not CheckLevel.OK]
    yield from problems or [Check("backups", CheckLevel.OK, f"new ones go to {base}, {checks[-1].message}")]


def check_backup_folder(folder: Path) -> Iterator[Check]:
    """Check the folder of one database in the backup folder; yield nothing if it is missing or usable."""
    if os.path.lexists(folder) and (check := _check_access("backups", folder, _BACKUPS)).level is not CheckLevel.OK:
        yield check


def _check_access(name: str, folder: Path, remedies: _Remedies) -> Check:
    if not folder.is_dir():
        return Check(name, CheckLevel.PROBLEM, f"{folder} is not a folder", remedies.not_a_folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check(name, CheckLevel.PROBLEM, f"{folder} cannot be written", remedies.not_writable)
    if is_open_to_all(folder):
        # Backups are refused in such a folder.
        level = CheckLevel.PROBLEM if remedies is _BACKUPS else CheckLevel.WARNING
        return Check(name, level, f"every user can write to {folder}", f"chmod o-w {shlex.quote(str(folder))}")
    return Check(name, CheckLevel.OK, f"{folder} can be written")


def _check_file_system(name: str, folder: Path, remedies: _Remedies) -> Check:
    kind = file_system_kind(folder)
    if kind is None:
        return Check(name, CheckLevel.OK, "the kind of file system is unknown")
    if kind.startswith(_NETWORK_FILE_SYSTEMS):
        message = f"{folder} is on a file system shared over a network or with a host ({kind})"
        return Check(name, CheckLevel.WARNING, message, remedies.shared)
    return Check(name, CheckLevel.OK, kind)


def _check_space(name: str, folder: Path, remedies: _Remedies) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(name, CheckLevel.WARNING, f"the free space of {folder} is unknown: {error.strerror}")
    message = f"{format_bytes(free)} free on the disk of {folder}"
    if free >= _LOW_SPACE_BYTES:
        return Check(name, CheckLevel.OK, message)
    level = CheckLevel.PROBLEM if free < _MIN_SPACE_BYTES else CheckLevel.WARNING
    return Check(name, level, message, remedies.full)


def file_system_kind(folder: Path, *, mounts: Path = _MOUNTS_FILE) -> str | None:
    """Return the kind of file system of a folder; None if it is unknown."""
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
        point = Path(_unescape(fields[1]))
        # Of two mounts on the same point the later one is visible.
        if target.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[2], len(point.parts)
    return kind


def _unescape(text: str) -> str:
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text
