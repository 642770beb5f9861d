"""Checks of the files of backups: in their places, and unchanged since they were verified."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from backstay.app import Backstay
from backstay.backup.directory import MARKER, BackupDirectory
from backstay.backup.folder_marker import describe_problem, folder_state, read_marker
from backstay.backup.retention import clock_problem
from backstay.clock import SystemClock, to_text
from backstay.doctor.check import Check, CheckLevel
from backstay.doctor.filesystem import check_backup_folder
from backstay.errors import BackstayError, BackupDamaged, BackupFolderUnrecognized, BackupUnreachable
from backstay.logs import get_logger
from backstay.settings import Settings
from backstay.storage.sql.inspection import BackupRecord, DatabaseReport

_log = get_logger("backstay.doctor")

_NAMED = 5
_BLOCK = 1024 * 1024


def check_backups(found: DatabaseReport, settings: Settings, *, beside: Path | None, deep: bool) -> Iterator[Check]:
    """Check the file of each backup, and the marker of the folder for new ones; `deep` reads all files."""
    of_folder = list(_folder(found, beside=beside, chosen=settings.backup_place))
    yield from of_folder
    yield from _clock(found)
    missing: list[str] = []
    unseen: list[str] = []
    wrong, sound = [], 0
    if (place := settings.backup_place or beside) is not None:
        yield from check_backup_folder(place / found.database_id)
    for backup in found.backups:
        if backup.folder is not None and backup.host not in (None, socket.gethostname()):
            continue  # on another machine, of which nothing can be told from here
        places = (Path(backup.folder) if backup.folder is not None else beside, settings.backup_place or beside)
        folders = [BackupDirectory(place / found.database_id) for place in places if place is not None]
        folder = next((folder for folder in folders if folder.has(backup.id)), None)
        if folder is None:
            is_there = any((folder.path / MARKER).is_file() for folder in folders)
            (missing if is_there else unseen).append(backup.id)
            continue
        try:
            is_sound = _is_what_was_verified(folder, backup) if deep else None
        except BackupUnreachable as error:
            yield Check("backups", CheckLevel.WARNING, error.message, "check its rights and its disk")
            continue
        if backup.damaged_at is not None:
            yield _damaged(backup, is_sound=is_sound)
        elif is_sound is False:
            wrong.append(backup)
        else:
            sound += 1
    if wrong:
        asyncio.run(_recorded(wrong, settings))
        yield from (_damaged(backup, is_sound=False) for backup in wrong)
    if unseen and not of_folder:
        text = f"the folder cannot be seen of {_listed(unseen)}"
        yield Check(
            "backups", CheckLevel.PROBLEM, text, "mount its disk; nothing can be restored from there until then"
        )
    if missing:
        text = f"the file is missing of {_listed(missing)}: nothing can be restored from it"
        remedy = "put it back, or `backstay backups delete BACKUP` if it is gone for good"
        yield Check("backups", CheckLevel.PROBLEM, text, remedy)
    elif sound and not unseen:
        yield Check("backups", CheckLevel.OK, f"{sound:,} verified, {'read back' if deep else 'with their files'}")


def _clock(found: DatabaseReport) -> Iterator[Check]:
    """Check that no backup is newer than now: until then no cleanup removes anything."""
    newest = max(found.backups, key=lambda backup: backup.made_at, default=None)
    if newest is not None and (problem := clock_problem(SystemClock().now(), newest.id, newest.made_at)) is not None:
        yield Check("clock", CheckLevel.PROBLEM, *problem)


def _folder(found: DatabaseReport, *, beside: Path | None, chosen: Path | None) -> Iterator[Check]:
    place = chosen or beside
    if place is None or found.location is None:
        return
    folder = place / found.database_id
    recorded = [backup for backup in found.backups if (Path(backup.folder) if backup.folder else beside) == place]
    if beside is None:
        recorded = [backup for backup in recorded if backup.host == socket.gethostname()]
    try:
        marker = read_marker(folder)
    except BackupFolderUnrecognized as error:
        yield Check(
            "backups", CheckLevel.PROBLEM, error.message, "`backstay backups use-folder` makes it this library's"
        )
        return
    state = folder_state(
        folder, marker, database_id=found.database_id, database=found.location, is_recorded=bool(recorded)
    )
    problem = describe_problem(folder, marker, state)
    if problem is not None:
        yield Check("backups", CheckLevel.PROBLEM, *problem)


def _is_what_was_verified(folder: BackupDirectory, backup: BackupRecord) -> bool:
    try:
        with folder.open(backup.id) as file:
            sha = hashlib.sha256()
            for block in iter(partial(file.read, _BLOCK), b""):
                sha.update(block)
            return sha.digest() == backup.file_sha256
    except BackupDamaged:
        return False
    except OSError as error:
        raise BackupUnreachable(f"the file of {backup.id} cannot be read: {error.strerror}") from error


async def _recorded(wrong: Sequence[BackupRecord], settings: Settings) -> None:
    """Record the damage by verifying the backups; the damage is reported even if this fails."""
    try:
        async with Backstay(settings, create=False) as backstay:
            for backup in wrong:
                try:
                    await backstay.backups.verify(backup.id)
                except BackupDamaged:
                    continue
    except BackstayError as error:
        _log.warning("backup_damage_unrecorded", code=error.code, error=error.message)


def _damaged(backup: BackupRecord, *, is_sound: bool | None) -> Check:
    since = f" since {to_text(backup.damaged_at)}" if backup.damaged_at is not None else ""
    verify = f"`backstay backups verify {backup.id}`"
    if is_sound:
        return Check(
            "backups", CheckLevel.WARNING, f"{backup.id} was damaged{since}, and its file is sound again", verify
        )
    text = f"{backup.id} is damaged{since}: nothing can be deleted or restored with it"
    return Check("backups", CheckLevel.PROBLEM, text, f"put back a copy of its file, then {verify}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
