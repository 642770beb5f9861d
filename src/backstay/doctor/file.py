"""A database in a file, and what surrounds it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import apsw

from backstay.doctor.backups import check_backups
from backstay.doctor.check import Check, CheckLevel, format_bytes
from backstay.doctor.filesystem import check_backup_place, check_filesystem
from backstay.doctor.work import check_others, check_work
from backstay.errors import BackstayError, UnsafeSQLite
from backstay.files import is_own
from backstay.settings import Settings
from backstay.storage.sqlite.connection import check_sqlite
from backstay.storage.sqlite.inspection import CheckDepth, SqliteInspection, inspect

QUICK_UP_TO = 256 * 1024 * 1024  # bytes of a database that is checked without being asked to


def check_library() -> Check:
    """Check the SQLite that is used."""
    text = f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"
    try:
        check_sqlite()
    except UnsafeSQLite as error:
        return Check("sqlite", CheckLevel.PROBLEM, error.message)
    return Check("sqlite", CheckLevel.OK, text)


def check_file(path: Path, settings: Settings, *, deep: bool) -> Iterator[Check]:
    """Check the database at a path, where there need not be one."""
    yield from check_filesystem(path)
    beside = path.parent / f"{path.stem}.backups"
    if settings.backup_place is not None or os.path.lexists(beside):
        yield from check_backup_place(settings.backup_place or beside)
    try:
        status = path.stat()
    except FileNotFoundError:
        yield Check("database", CheckLevel.OK, f"there is none at {path}", "`backstay run` makes it")
        return
    except OSError as error:
        yield Check("database", CheckLevel.PROBLEM, f"{path} cannot be looked at: {error.strerror}", "check its rights")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Check("database", CheckLevel.PROBLEM, f"{path} is not a file", "name another database with --database")
        return
    yield _access(path, status.st_size)
    depth = CheckDepth.FULL if deep else CheckDepth.QUICK if status.st_size <= QUICK_UP_TO else CheckDepth.NONE
    try:
        found = inspect(path, owner=settings.owner, depth=depth)
    except BackstayError as error:
        yield Check("contents", CheckLevel.PROBLEM, error.message)
        return
    yield _schema(found)
    yield _journal(found)
    yield _damage(path, found, depth)
    if depth is CheckDepth.FULL and not found.damage:
        yield _counters(found)
    if found.schema == found.known_schema and not found.damage:
        yield from check_work(found.standing)
        if is_own(path):
            yield from check_others(found.standing, settings.owner)
        yield from check_backups(found.standing, settings, beside=beside, deep=deep)


def _access(path: Path, size: int) -> Check:
    text = f"{path}, {format_bytes(size)}"
    if not os.access(path, os.R_OK):
        return Check("database", CheckLevel.PROBLEM, f"{text}, cannot be read", "check its rights")
    if not os.access(path, os.W_OK):
        return Check("database", CheckLevel.PROBLEM, f"{text}, cannot be written", "check its rights")
    return Check("database", CheckLevel.OK, text)


def _schema(found: SqliteInspection) -> Check:
    if found.schema > found.known_schema:
        text = f"{found.schema}, written by a newer Backstay; this one knows {found.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, text, "use that version of Backstay or a newer one")
    if found.schema == 0:
        return Check(
            "schema", CheckLevel.WARNING, "none yet, the file is empty", "the next command that opens it makes it"
        )
    if found.schema < found.known_schema:
        text = f"{found.schema}; this Backstay uses {found.known_schema}"
        return Check("schema", CheckLevel.WARNING, text, "the next command that opens it migrates it and keeps a copy")
    return Check("schema", CheckLevel.OK, f"{found.schema}")


def _journal(found: SqliteInspection) -> Check:
    if found.journal_mode == "wal":
        return Check("journal", CheckLevel.OK, "wal")
    text = "not in write-ahead mode"
    return Check("journal", CheckLevel.WARNING, text, "the next command that opens it puts it into that mode")


def _damage(path: Path, found: SqliteInspection, depth: CheckDepth) -> Check:
    if depth is CheckDepth.NONE:
        return Check("integrity", CheckLevel.OK, "not searched, the file is large", "`backstay doctor --deep` does it")
    if found.damage:
        remedy = f"keep {path} and the files beside it as they are, and go back to a copy"
        return Check("integrity", CheckLevel.PROBLEM, f"damaged: {'; '.join(found.damage)}", remedy)
    return Check("integrity", CheckLevel.OK, f"no damage ({depth} check)")


def _counters(found: SqliteInspection) -> Check:
    if found.miscounted:
        text = f"the counters of these jobs differ from their items: {', '.join(found.miscounted)}"
        return Check(
            "counters", CheckLevel.PROBLEM, text, "this is a fault in Backstay; its conversations are not affected"
        )
    return Check("counters", CheckLevel.OK, "every job's counters equal its items")
