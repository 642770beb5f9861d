"""Whether the files of backups are where their records say."""

import socket
from collections.abc import Iterator
from pathlib import Path

from backstay.backup.folder import BackupFolder
from backstay.backup.folder_marker import problem_with, read_marker, state_of
from backstay.doctor.check import Check, Level
from backstay.errors import BackupFolderUnrecognized
from backstay.storage.sql.inspection import Standing

_NAMED = 5


def check_backups(found: Standing, *, beside: Path | None, chosen: Path | None) -> Iterator[Check]:
    """Look for the file of each verified backup, where it was made and where new ones go, and whose folder that is."""
    yield from _folder(found, beside=beside, chosen=chosen)
    missing = []
    for backup in found.backups:
        if backup.folder is not None and backup.host not in (None, socket.gethostname()):
            continue  # on another machine, of which nothing can be told from here
        places = (Path(backup.folder) if backup.folder is not None else beside, chosen or beside)
        folders = [BackupFolder(place / found.database_id) for place in places if place is not None]
        if not any(folder.has(backup.id) for folder in folders):
            missing.append(backup.id)
    if missing:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        text = f"the file is missing of {', '.join(missing[:_NAMED])}{more}: nothing can be restored from it"
        remedy = "put it back, or `backstay backups delete BACKUP` if it is gone for good"
        yield Check("backups", Level.PROBLEM, text, remedy)
    elif found.backups:
        yield Check("backups", Level.OK, f"{len(found.backups):,} verified, with their files")


def _folder(found: Standing, *, beside: Path | None, chosen: Path | None) -> Iterator[Check]:
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
        yield Check("backups", Level.PROBLEM, error.message, "`backstay backups use-folder` makes it this library's")
        return
    state = state_of(folder, marker, database_id=found.database_id, database=found.location, is_recorded=bool(recorded))
    problem = problem_with(folder, marker, state)
    if problem is not None:
        yield Check("backups", Level.PROBLEM, *problem)
