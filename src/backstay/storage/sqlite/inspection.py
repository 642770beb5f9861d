"""Looking at a database file without touching it: nothing is made, migrated, recovered or left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import apsw

from backstay.backup.location import FileLocation
from backstay.storage.sql.inspection import DatabaseReport, database_report, miscounted
from backstay.storage.sqlite.errors import translate_errors
from backstay.storage.sqlite.migrate import migrations
from backstay.storage.sqlite.schema import check_header
from backstay.storage.sqlite.session import SqliteSession

_WRITE_VERSION_AT = 18  # byte of the file's header: 2 means a write-ahead log
_DAMAGES_SHOWN = 3


class CheckDepth(StrEnum):
    """How thoroughly the file is searched for damage."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"
    """Indexes against tables too, and every job's counters against its items."""


@dataclass(frozen=True, slots=True)
class SqliteInspection:
    """What was found in the file."""

    schema: int
    known_schema: int
    journal_mode: str
    damage: Sequence[str]
    miscounted: Sequence[str]
    """Jobs whose counters are wrong; looked for at full depth only."""
    standing: DatabaseReport


def inspect(path: Path, *, owner: str, depth: CheckDepth) -> SqliteInspection:
    """Look at the database at `path`, which is there.

    Jobs and workers are looked at when the schema is the one this code knows.

    Raises:
        NotADatabase: the file is something else.
        StorageError: it cannot be read.
    """
    before = _standing(path)
    # Opening a database whose log is gone would leave a new, empty log behind. Nobody has it open, so read it as a
    # file that does not change; should somebody come meanwhile, look once more.
    still = not _log(path).exists()
    found = _inspect(path, owner, depth, still=still)
    if still and _standing(path) != before:
        found = _inspect(path, owner, depth, still=False)
    return found


def _inspect(path: Path, owner: str, depth: CheckDepth, *, still: bool) -> SqliteInspection:
    address = f"file:{quote(str(path))}{'?immutable=1' if still else ''}"
    with translate_errors(path):
        connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            connection.set_busy_timeout(5_000)
            schema = check_header(connection, path)
            known = migrations()[-1][0]
            damage = _damage(connection, depth)
            readable = schema == known and not damage
            session = SqliteSession(connection)
            return SqliteInspection(
                schema=schema,
                known_schema=known,
                journal_mode=_journal_mode(path),
                damage=damage,
                miscounted=miscounted(session) if readable and depth is CheckDepth.FULL else (),
                standing=database_report(session, owner, FileLocation.from_path(path))
                if readable
                else DatabaseReport(),
            )
        finally:
            connection.close()


def _journal_mode(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(_WRITE_VERSION_AT + 1)
    return "wal" if header[_WRITE_VERSION_AT:] == b"\x02" else "delete"


def _damage(connection: apsw.Connection, depth: CheckDepth) -> list[str]:
    if depth is CheckDepth.NONE:
        return []
    pragma = "integrity_check" if depth is CheckDepth.FULL else "quick_check"
    try:
        found = [str(text) for (text,) in connection.execute(f"PRAGMA {pragma}({_DAMAGES_SHOWN})")]
    except apsw.CorruptError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _standing(path: Path) -> tuple[int, int, bool]:
    with translate_errors(path):
        status = path.stat()
    return status.st_mtime_ns, status.st_size, _log(path).exists()
