"""What may be wrong around a library, found without changing anything: the checks behind `holdfast doctor`.

Every check answers by itself, so that one which cannot be made hides none of the others.
"""

import os
import platform
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import apsw

from holdfast.batch import host
from holdfast.errors import HoldfastError, SettingsError, UnsafeSQLite
from holdfast.settings import Settings, load
from holdfast.storage.sqlite.connection import check_sqlite
from holdfast.storage.sqlite.inspection import Depth, Inspection, inspect

QUICK_UP_TO = 256 * 1024 * 1024  # bytes of a database that is checked without being asked to
_NAMED = 5  # of many jobs
_LITTLE_SPACE = 512 * 1024 * 1024
_MOUNTS = Path("/proc/mounts")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.rclone", "virtiofs")


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found, and what to do about it."""

    name: str
    level: Level
    message: str
    remedy: str | None = None


def examine(
    *, database_url: str | None, owner: str | None, environ: Mapping[str, str], deep: bool = False
) -> Iterator[Check]:
    """Yield what each check finds. Nothing is made, migrated or written.

    Args:
        database_url: As of `settings.load`.
        owner: As of `settings.load`.
        environ: The environment to speak of.
        deep: Search the whole database for damage, however large it is.
    """
    yield Check("holdfast", Level.OK, version("holdfast"))
    yield Check("python", Level.OK, f"{platform.python_version()} ({platform.python_implementation()})")
    yield Check("platform", Level.OK, platform.platform())
    yield _sqlite()
    yield from _environment(environ)
    try:
        settings = load(database_url=database_url, owner=owner, environ=environ)
        path = settings.database
    except SettingsError as error:
        yield Check("settings", Level.PROBLEM, error.message)
        return
    yield from _surroundings(path)
    yield from _database(path, settings, deep=deep)


def _sqlite() -> Check:
    text = f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"
    try:
        check_sqlite()
    except UnsafeSQLite as error:
        return Check("sqlite", Level.PROBLEM, error.message)
    return Check("sqlite", Level.OK, text)


def _environment(environ: Mapping[str, str]) -> Iterator[Check]:
    ours = ("HOLDFAST_DATABASE_URL", "HOLDFAST_OWNER", "BACKUP_DIRECTORY", "BACKUP_RETENTION_DAYS")
    names = [name for name in ours if environ.get(name)]
    # Names only: an address may carry a password.
    yield Check("environment", Level.OK, f"{' and '.join(names) or 'nothing of ours'} set")
    if environ.get("SUPABASE_SERVICE_ROLE_KEY"):
        yield Check("environment", Level.OK, "SUPABASE_SERVICE_ROLE_KEY is set; it is not used")


# -- around the file -----------------------------------------------------------------------------------------------


def _surroundings(path: Path) -> Iterator[Check]:
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
        f"{_size(free)} free on the disk of {folder}",
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


# -- in the file ---------------------------------------------------------------------------------------------------


def _database(path: Path, settings: Settings, *, deep: bool) -> Iterator[Check]:
    try:
        status = path.stat()
    except FileNotFoundError:
        yield Check("database", Level.OK, f"there is none at {path}", "`holdfast run` makes it")
        return
    except OSError as error:
        yield Check("database", Level.PROBLEM, f"{path} cannot be looked at: {error.strerror}", "check its rights")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Check("database", Level.PROBLEM, f"{path} is not a file", "name another database with --database")
        return
    yield _access(path, status.st_size)
    depth = Depth.FULL if deep else Depth.QUICK if status.st_size <= QUICK_UP_TO else Depth.NONE
    try:
        found = inspect(path, owner=settings.owner, depth=depth)
    except HoldfastError as error:
        yield Check("contents", Level.PROBLEM, error.message)
        return
    yield _schema(found)
    yield _journal(found)
    yield _damage(path, found, depth)
    if depth is Depth.FULL and not found.damage:
        yield _counters(found)
    if found.schema == found.known_schema and not found.damage:
        yield from _work(found)


def _access(path: Path, size: int) -> Check:
    text = f"{path}, {_size(size)}"
    if not os.access(path, os.R_OK):
        return Check("database", Level.PROBLEM, f"{text}, cannot be read", "check its rights")
    if not os.access(path, os.W_OK):
        return Check("database", Level.PROBLEM, f"{text}, cannot be written", "check its rights")
    return Check("database", Level.OK, text)


def _schema(found: Inspection) -> Check:
    if found.schema > found.known_schema:
        text = f"{found.schema}, written by a newer Holdfast; this one knows {found.known_schema}"
        return Check("schema", Level.PROBLEM, text, "upgrade with `pip install -U holdfast`")
    if found.schema == 0:
        return Check("schema", Level.WARNING, "none yet, the file is empty", "the next command that opens it makes it")
    if found.schema < found.known_schema:
        text = f"{found.schema}; this Holdfast uses {found.known_schema}"
        return Check("schema", Level.WARNING, text, "the next command that opens it migrates it and keeps a copy")
    return Check("schema", Level.OK, f"{found.schema}")


def _journal(found: Inspection) -> Check:
    if found.journal_mode == "wal":
        return Check("journal", Level.OK, "wal")
    text = "not in write-ahead mode"
    return Check("journal", Level.WARNING, text, "the next command that opens it puts it into that mode")


def _damage(path: Path, found: Inspection, depth: Depth) -> Check:
    if depth is Depth.NONE:
        return Check("integrity", Level.OK, "not searched, the file is large", "`holdfast doctor --deep` does it")
    if found.damage:
        remedy = f"keep {path} and the files beside it as they are, and go back to a copy"
        return Check("integrity", Level.PROBLEM, f"damaged: {'; '.join(found.damage)}", remedy)
    return Check("integrity", Level.OK, f"no damage ({depth} check)")


def _counters(found: Inspection) -> Check:
    if found.miscounted:
        text = f"the counters of these jobs differ from their items: {', '.join(found.miscounted)}"
        return Check("counters", Level.PROBLEM, text, "this is a fault in Holdfast; its conversations are not affected")
    return Check("counters", Level.OK, "every job's counters equal its items")


def _work(found: Inspection) -> Iterator[Check]:
    dead = [holder for holder in found.leaseholders if host.is_proven_dead(holder.card)]
    alive = {(holder.owner, holder.job_id) for holder in found.leaseholders if holder not in dead}
    working = {job_id for _, job_id in alive}
    unfinished = [
        f"{job.id} ({'interrupted' if job.state == 'running' and job.id not in working else job.state}, "
        f"{job.settled} of {job.planned})"
        for job in found.unfinished
    ]
    if unfinished:
        waiting = any(job.id not in working for job in found.unfinished)
        remedy = "`holdfast resume JOB` goes on with one" if waiting else None
        more = f" and {len(unfinished) - _NAMED:,} more" if len(unfinished) > _NAMED else ""
        text = f"unfinished: {', '.join(unfinished[:_NAMED])}{more}"
        yield Check("jobs", Level.WARNING if waiting else Level.OK, text, remedy)
    else:
        yield Check("jobs", Level.OK, "none is unfinished")
    for holder in dead:
        text = f"process {holder.card.pid} on {holder.card.host} died while it worked on {holder.job_id}"
        yield Check("workers", Level.WARNING, text, "the next resume of that job takes its items back")
    yield Check("workers", Level.OK, f"{len(found.leaseholders) - len(dead)} at work")
    for name in found.cut_off_deletes:
        remedy = (
            f"`holdfast conversations delete --continue {name}` goes on, `holdfast backups restore {name}` undoes it"
        )
        yield Check("deletes", Level.WARNING, f"the delete of {name} is unfinished", remedy)


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
