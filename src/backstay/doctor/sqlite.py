"""Checks of a SQLite file and its surroundings."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import apsw

from backstay.doctor.backups import check_backups
from backstay.doctor.check import Check, CheckLevel, format_bytes
from backstay.doctor.filesystem import check_backup_base, check_filesystem
from backstay.doctor.unfinished_work import check_counters, check_others, check_work
from backstay.errors import BackstayError, UnsafeSQLite
from backstay.files import belongs_to_this_user
from backstay.remedy import Remedy
from backstay.settings import Settings
from backstay.storage.sqlite.connection import check_sqlite
from backstay.storage.sqlite.inspection import CheckDepth, SqliteInspection, inspect
from backstay.storage.sqlite.store import backup_folder_next_to

MAX_QUICK_CHECK_BYTES = 256 * 1024 * 1024  # larger files are only checked on request


def check_sqlite_version() -> Check:
    """Check the SQLite library."""
    try:
        check_sqlite()
    except UnsafeSQLite as error:
        return Check.from_error("sqlite", error)
    return Check("sqlite", CheckLevel.OK, f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})")


def check_database(path: Path, settings: Settings, *, deep: bool) -> Iterator[Check]:
    """Check the database at a path, which may be missing."""
    yield from check_filesystem(path)
    default_folder = backup_folder_next_to(path)
    if settings.backup_folder is not None or os.path.lexists(default_folder):
        yield from check_backup_base(settings.backup_folder or default_folder)
    try:
        status = path.stat()
    except FileNotFoundError:
        yield Check("database", CheckLevel.OK, f"no database at {path}", Remedy.CREATE_DATABASE)
        return
    except OSError as error:
        message = f"{path} cannot be examined: {error.strerror}"
        yield Check("database", CheckLevel.PROBLEM, message, "check its permissions")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Check("database", CheckLevel.PROBLEM, f"{path} is not a file", Remedy.NAME_DATABASE)
        return
    yield _check_access(path, status.st_size)
    default_depth = CheckDepth.QUICK if status.st_size <= MAX_QUICK_CHECK_BYTES else CheckDepth.NONE
    depth = CheckDepth.FULL if deep else default_depth
    try:
        inspection = inspect(path, owner=settings.owner, depth=depth)
    except BackstayError as error:
        yield Check.from_error("contents", error)
        return
    yield _check_schema(inspection)
    yield _check_journal(inspection)
    yield _check_damage(path, inspection, depth)
    if depth is CheckDepth.FULL and not inspection.damage:
        yield check_counters(inspection.miscounted_jobs)
    if inspection.schema == inspection.known_schema and not inspection.damage:
        yield from check_work(inspection.report, settings.owner)
        if belongs_to_this_user(path):
            yield from check_others(inspection.report, settings.owner)
        yield from check_backups(inspection.report, settings, default_folder=default_folder, deep=deep)


def _check_access(path: Path, size: int) -> Check:
    message = f"{path}, {format_bytes(size)}"
    if not os.access(path, os.R_OK):
        return Check("database", CheckLevel.PROBLEM, f"{message}, cannot be read", "check its permissions")
    if not os.access(path, os.W_OK):
        return Check("database", CheckLevel.PROBLEM, f"{message}, cannot be written", "check its permissions")
    return Check("database", CheckLevel.OK, message)


def _check_schema(inspection: SqliteInspection) -> Check:
    if inspection.schema > inspection.known_schema:
        message = f"{inspection.schema}, written by a newer Backstay; this one knows {inspection.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, message, "install the newest version of Backstay")
    if inspection.schema == 0:
        remedy = "the next command that opens the database creates it"
        return Check("schema", CheckLevel.WARNING, "none yet, the file is empty", remedy)
    if inspection.schema < inspection.known_schema:
        message = f"{inspection.schema}; this Backstay uses {inspection.known_schema}"
        remedy = "the next command that opens the database migrates it and keeps a copy"
        return Check("schema", CheckLevel.WARNING, message, remedy)
    return Check("schema", CheckLevel.OK, str(inspection.schema))


def _check_journal(inspection: SqliteInspection) -> Check:
    if inspection.journal_mode == "wal":
        return Check("journal", CheckLevel.OK, "wal")
    return Check(
        "journal", CheckLevel.WARNING, "not in WAL mode", "the next command that opens the database switches it to WAL"
    )


def _check_damage(path: Path, inspection: SqliteInspection, depth: CheckDepth) -> Check:
    if depth is CheckDepth.NONE:
        return Check("integrity", CheckLevel.OK, "not checked, the file is large", Remedy.EXAMINE_DEEPLY)
    if inspection.damage:
        remedy = f"keep {path} and the files next to it unchanged, and restore the database from a copy"
        return Check("integrity", CheckLevel.PROBLEM, f"damaged: {'; '.join(inspection.damage)}", remedy)
    return Check("integrity", CheckLevel.OK, f"no damage ({depth} check)")
