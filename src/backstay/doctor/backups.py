"""Checks of backup files: present, and unchanged since they were verified."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from backstay.app import Backstay
from backstay.backup.directory import MARKER, BackupDirectory
from backstay.backup.folder_marker import describe_problem, folder_state, read_marker
from backstay.backup.retention import clock_problem
from backstay.clock import SystemClock, to_text
from backstay.doctor.check import Check, CheckLevel, format_first
from backstay.doctor.filesystem import check_backup_folder
from backstay.errors import BackstayError, BackupDamaged, BackupFolderUnrecognized, BackupUnreachable
from backstay.logs import get_logger
from backstay.remedy import Remedy
from backstay.settings import Settings
from backstay.storage.sql.inspection import BackupRecord, DatabaseReport

_log = get_logger("backstay.doctor")

_BLOCK_BYTES = 1024 * 1024


def check_backups(
    report: DatabaseReport, settings: Settings, *, default_folder: Path | None, deep: bool
) -> Iterator[Check]:
    """Check each backup's file, and the marker of the folder for new backups. With `deep`, read all files."""
    folder_checks = list(_check_folder(report, default_folder=default_folder, configured=settings.backup_folder))
    yield from folder_checks
    yield from _check_clock(report)
    without_file: list[str] = []
    without_folder: list[str] = []
    damaged, intact = [], 0
    if (base := settings.backup_folder or default_folder) is not None:
        yield from check_backup_folder(base / report.database_id)
    for backup in report.backups:
        if backup.folder is not None and backup.host not in (None, socket.gethostname()):
            continue  # on another machine, out of reach from here
        bases = (Path(backup.folder) if backup.folder is not None else default_folder, base)
        folders = [BackupDirectory(path / report.database_id) for path in bases if path is not None]
        folder = next((folder for folder in folders if folder.has(backup.id)), None)
        if folder is None:
            has_folder = any((folder.path / MARKER).is_file() for folder in folders)
            (without_file if has_folder else without_folder).append(backup.id)
            continue
        try:
            is_intact = _is_unchanged(folder, backup) if deep else None
        except BackupUnreachable as error:
            yield Check("backups", CheckLevel.WARNING, error.message, "check its permissions and its disk")
            continue
        if backup.damaged_at is not None:
            yield _damage_check(backup, is_intact=is_intact)
        elif is_intact is False:
            damaged.append(backup)
        else:
            intact += 1
    if damaged:
        asyncio.run(_record_damage(damaged, settings))
        yield from (_damage_check(backup, is_intact=False) for backup in damaged)
    if without_folder and not folder_checks:
        message = f"the folder of {format_first(without_folder)} cannot be found"
        remedy = "mount its disk; until then nothing can be restored from there"
        yield Check("backups", CheckLevel.PROBLEM, message, remedy)
    if without_file:
        message = f"the file of {format_first(without_file)} is missing: nothing can be restored from it"
        remedy = "return it to its folder, or `backstay backups delete BACKUP` if it is gone for good"
        yield Check("backups", CheckLevel.PROBLEM, message, remedy)
    elif intact and not without_folder:
        state = "read and unchanged" if deep else "their files are present"
        yield Check("backups", CheckLevel.OK, f"{intact:,} verified, {state}")


def _check_clock(report: DatabaseReport) -> Iterator[Check]:
    """Check that no backup is from the future, which would stop every cleanup."""
    newest = max(report.backups, key=lambda backup: backup.made_at, default=None)
    if newest is not None and (problem := clock_problem(SystemClock().now(), newest.id, newest.made_at)) is not None:
        yield Check("clock", CheckLevel.PROBLEM, problem, Remedy.SET_CLOCK, {"backup_id": newest.id})


def _check_folder(report: DatabaseReport, *, default_folder: Path | None, configured: Path | None) -> Iterator[Check]:
    base = configured or default_folder
    if base is None or report.identity is None:
        return
    folder = base / report.database_id
    recorded = [each for each in report.backups if (Path(each.folder) if each.folder else default_folder) == base]
    if default_folder is None:
        recorded = [each for each in recorded if each.host == socket.gethostname()]
    try:
        marker = read_marker(folder)
    except BackupFolderUnrecognized as error:
        yield Check.from_error("backups", error)
        return
    state = folder_state(
        folder, marker, database_id=report.database_id, database=report.identity, is_recorded=bool(recorded)
    )
    problem = describe_problem(folder, marker, state)
    if problem is not None:
        yield Check("backups", CheckLevel.PROBLEM, *problem)


def _is_unchanged(folder: BackupDirectory, backup: BackupRecord) -> bool:
    try:
        with folder.open(backup.id) as file:
            sha = hashlib.sha256()
            for block in iter(partial(file.read, _BLOCK_BYTES), b""):
                sha.update(block)
            return sha.digest() == backup.file_sha256
    except BackupDamaged:
        return False
    except OSError as error:
        raise BackupUnreachable(f"the file of {backup.id} cannot be read: {error.strerror}") from error


async def _record_damage(damaged: Sequence[BackupRecord], settings: Settings) -> None:
    """Record the damage by verifying the backups; the damage is reported even if this fails."""
    try:
        async with Backstay(settings, create=False) as backstay:
            for backup in damaged:
                with suppress(BackupDamaged):
                    await backstay.backups.verify(backup.id)
    except BackstayError as error:
        _log.warning("backup_damage_record_failed", code=error.code, error=error.message)


def _damage_check(backup: BackupRecord, *, is_intact: bool | None) -> Check:
    since = f" since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
    if is_intact:
        message = f"{backup.id} was damaged{since}, and its file is intact again"
        return Check("backups", CheckLevel.WARNING, message, f"`backstay backups verify {backup.id}`")
    message = f"{backup.id} is damaged{since}: nothing can be deleted or restored with it"
    return Check("backups", CheckLevel.PROBLEM, message, Remedy.REPLACE_BACKUP_FILE, {"backup_id": backup.id})
