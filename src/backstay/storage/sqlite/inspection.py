"""Inspects a database file read-only: nothing is created, migrated, recovered or left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import apsw

from backstay.storage.sql.database_report import DatabaseReport, database_report, miscounted_jobs
from backstay.storage.sqlite.errors import translate_errors
from backstay.storage.sqlite.schema_migration import migrations
from backstay.storage.sqlite.schema_version import check_header
from backstay.storage.sqlite.session import SqliteSession

_WRITE_VERSION_OFFSET = 18  # in the file's header; 2 there means a write-ahead log
_MAX_DAMAGES = 3


class CheckDepth(StrEnum):
    """The depth of the search for damage."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"
    """Also compares indexes with tables, and the counters of each job with its items."""


@dataclass(frozen=True, slots=True)
class SqliteInspection:
    """The result of an inspection."""

    schema: int
    known_schema: int
    journal_mode: str
    damage: Sequence[str]
    miscounted_jobs: Sequence[str]
    """Jobs whose counters are wrong; searched for only at full depth."""
    report: DatabaseReport


def inspect(path: Path, *, owner: str, depth: CheckDepth) -> SqliteInspection:
    """Inspect the existing database at `path`.

    Jobs and workers are only read if the schema is the one that this code knows.

    Raises:
        NotADatabase: the file is something else.
        StorageError: it cannot be read.
    """
    before = _file_state(path)
    # Opening a database without a log would leave a new, empty log behind. Without a log no process has it open, so
    # read it as immutable; if another process opens it meanwhile, inspect again.
    is_immutable = not _log_path(path).exists()
    result = _inspect(path, owner, depth, is_immutable=is_immutable)
    if is_immutable and _file_state(path) != before:
        result = _inspect(path, owner, depth, is_immutable=False)
    return result


def _inspect(path: Path, owner: str, depth: CheckDepth, *, is_immutable: bool) -> SqliteInspection:
    address = f"file:{quote(str(path))}{'?immutable=1' if is_immutable else ''}"
    with translate_errors(path):
        connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            connection.set_busy_timeout(5_000)
            schema = check_header(connection, path)
            known = migrations()[-1][0]
            damage = _find_damage(connection, depth)
            is_readable = schema == known and not damage
            session = SqliteSession(connection)
            return SqliteInspection(
                schema=schema,
                known_schema=known,
                journal_mode=_journal_mode(path),
                damage=damage,
                miscounted_jobs=miscounted_jobs(session) if is_readable and depth is CheckDepth.FULL else (),
                report=database_report(session, owner) if is_readable else DatabaseReport(),
            )
        finally:
            connection.close()


def _journal_mode(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(_WRITE_VERSION_OFFSET + 1)
    return "wal" if header[_WRITE_VERSION_OFFSET:] == b"\x02" else "delete"


def _find_damage(connection: apsw.Connection, depth: CheckDepth) -> list[str]:
    if depth is CheckDepth.NONE:
        return []
    pragma = "integrity_check" if depth is CheckDepth.FULL else "quick_check"
    try:
        damage = [str(text) for (text,) in connection.execute(f"PRAGMA {pragma}({_MAX_DAMAGES})")]
    except apsw.CorruptError as error:
        return [str(error)]
    return [] if damage == ["ok"] else damage


def _log_path(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _file_state(path: Path) -> tuple[int, int, bool]:
    with translate_errors(path):
        status = path.stat()
    return status.st_mtime_ns, status.st_size, _log_path(path).exists()
