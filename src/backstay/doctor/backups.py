"""Checks of backup files: present with their size and, if they are read, unchanged since they were verified."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator, Sequence
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
from backstay.storage.sql.database_report import BackupRecord, DatabaseReport

_log = get_logger("backstay.doctor")


def check_backups(
    report: DatabaseReport, settings: Settings, *, default_folder: Path | None, deep: bool
) -> Iterator[Check]:
    """Check the size of each backup's file, and the marker of the folder for new backups.

    With `deep`, read all files, and record which are damaged.
    """
    new_folder = settings.backup_folder or default_folder
    marker_problem = _check_marker(report, new_folder, default_folder) if new_folder is not None else None
    yield from filter(None, [marker_problem])
    if new_folder is not None:
        yield from check_backup_folder(new_folder / report.database_id)
    yield from _check_clock(report)
    without_file: list[str] = []
    without_folder: list[str] = []
    damaged, present = [], 0
    for backup in report.backups:
        if backup.folder is not None and backup.host not in (None, socket.gethostname()):
            continue  # on another machine, out of reach from here
        own_folder = Path(backup.folder) if backup.folder is not None else default_folder or new_folder
        folders = [BackupDirectory(path / report.database_id) for path in (own_folder, new_folder) if path is not None]
        folder = next((folder for folder in folders if folder.has(backup.id)), None)
        if folder is None:
            if folders and (folders[0].path / MARKER).is_file():
                without_file.append(backup.id)
            elif marker_problem is None or own_folder != new_folder:  # else the marker's problem covers it
                without_folder.append(backup.id)
            continue
        try:
            has_its_size = folder.has(backup.id, size=backup.file_bytes)
            is_intact = has_its_size and (_is_unchanged(folder, backup) if deep else None)
        except BackupUnreachable as error:
            yield Check("backups", CheckLevel.WARNING, error.message, "check its permissions and its disk")
            continue
        if backup.damaged_at is not None:
            yield _check_damage(backup, is_intact=is_intact)
        elif is_intact is False:
            damaged.append(backup)
        else:
            present += 1
    if damaged and deep:
        asyncio.run(_record_damage(damaged, settings))
    yield from (_check_damage(backup, is_intact=False) for backup in damaged)
    yield from _check_missing(without_file, without_folder)
    if present and not without_file and not without_folder:
        state = "read and unchanged" if deep else "their files are present"
        yield Check("backups", CheckLevel.OK, f"{present:,} verified, {state}")


def _check_missing(without_file: Sequence[str], without_folder: Sequence[str]) -> Iterator[Check]:
    if without_folder:
        message = f"the folders of these backups cannot be found: {format_first(without_folder)}"
        remedy = "mount their disks; until then nothing can be restored from them"
        yield Check("backups", CheckLevel.PROBLEM, message, remedy)
    if without_file:
        message = f"backup files are missing: {format_first(without_file)}; nothing can be restored from them"
        yield Check("backups", CheckLevel.PROBLEM, message, Remedy.RETURN_BACKUP_FILES)


def _check_clock(report: DatabaseReport) -> Iterator[Check]:
    """Check that no backup is dated in the future: one that is would stop every cleanup."""
    newest = max(report.backups, key=lambda backup: backup.made_at, default=None)
    if newest is not None and (problem := clock_problem(SystemClock().now(), newest.id, newest.made_at)) is not None:
        yield Check("clock", CheckLevel.PROBLEM, problem, Remedy.SET_CLOCK, {"backup_id": newest.id})


def _check_marker(report: DatabaseReport, new_folder: Path, default_folder: Path | None) -> Check | None:
    """Return why new backups cannot be made in the folder of a database; None if they can."""
    if report.identity is None:
        return None
    folder = new_folder / report.database_id
    backups = [each for each in report.backups if (Path(each.folder) if each.folder else default_folder) == new_folder]
    if default_folder is None:
        backups = [each for each in backups if each.host == socket.gethostname()]
    try:
        marker = read_marker(folder)
    except BackupFolderUnrecognized as error:
        return Check.from_error("backups", error)
    state = folder_state(
        folder, marker, database_id=report.database_id, database=report.identity, is_recorded=bool(backups)
    )
    problem = describe_problem(folder, marker, state)
    return Check("backups", CheckLevel.PROBLEM, *problem) if problem is not None else None


def _is_unchanged(folder: BackupDirectory, backup: BackupRecord) -> bool:
    try:
        with folder.open(backup.id) as file:
            return hashlib.file_digest(file, "sha256").digest() == backup.file_sha256
    except BackupDamaged:
        return False
    except OSError as error:
        raise BackupUnreachable(f"the file of {backup.id} cannot be read: {error.strerror}") from error


async def _record_damage(damaged: Sequence[BackupRecord], settings: Settings) -> None:
    """Record damage by verifying the backups. Log errors: the damage is reported even if it is not recorded."""
    for backup in damaged:
        try:
            async with Backstay(settings, create=False) as backstay:
                await backstay.backups.verify(backup.id)
        except BackupDamaged:
            pass  # `verify` has recorded it
        except BackstayError as error:
            _log.warning("backup_damage_record_failed", backup=backup.id, code=error.code, error=error.message)


def _check_damage(backup: BackupRecord, *, is_intact: bool | None) -> Check:
    since = f" since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
    context = {"backup_id": backup.id}
    if is_intact:
        message = f"{backup.id} was damaged{since}, and its file is intact again"
        return Check("backups", CheckLevel.WARNING, message, Remedy.VERIFY_BACKUP, context)
    message = f"{backup.id} is damaged{since}: it cannot be restored, and its delete cannot continue"
    return Check("backups", CheckLevel.PROBLEM, message, Remedy.REPLACE_BACKUP_FILE, context)
