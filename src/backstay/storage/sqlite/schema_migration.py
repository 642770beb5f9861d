"""Creates a database file, or migrates it to the schema that this code knows."""

import os
import secrets
import shutil
import stat
import time
from pathlib import Path

import apsw

from backstay.errors import NotADatabase, StorageError, StoreFull, StoreNotFound
from backstay.files import make_private_folder, sync, sync_folder
from backstay.migration_result import MigrationResult
from backstay.remedy import Remedy
from backstay.storage.sql.migrations import (
    Migration,
    compute_fingerprints,
    read_migrations,
    refuse_live_workers,
    refuse_newer,
)
from backstay.storage.sqlite.connection import BUSY_MS, check_sqlite, connect
from backstay.storage.sqlite.database import in_transaction
from backstay.storage.sqlite.errors import translate_errors
from backstay.storage.sqlite.schema_version import APPLICATION_ID, check_header

_REVISIONS = 13  # the migration that creates the table of revisions


def migrations() -> list[Migration]:
    return read_migrations(__package__)


def prepare(path: Path, *, create: bool, known: list[Migration] | None = None) -> int:
    """Create or migrate the database at `path`, so that it has the schema that this code knows.

    Returns the number of that schema.

    Raises:
        StoreNotFound: it does not exist, and `create` is false.
        NotADatabase: the file is not a Backstay database.
        SchemaTooNew: a newer Backstay wrote it.
        SchemaOutdated: it needs a migration, but a live worker is using it.
        StoreFull: it needs a migration, and there is no space for a copy of it. Nothing is changed or left behind.
    """
    check_sqlite()
    known = known if known is not None else migrations()
    _ensure_file(path, create=create)
    connection = connect(path, create=create)
    try:
        version = in_transaction(connection, "BEGIN", lambda c: check_header(c, path), path)
        refuse_newer(path, version, known[-1][0], path=str(path))
        if version < known[-1][0]:
            copy = None
            if version > 0:
                in_transaction(connection, "BEGIN", lambda c: _refuse_during_work(c, path, version), path)
                copy = _make_copy(connection, path, version)
            is_migrated = False
            try:
                is_migrated = in_transaction(connection, "BEGIN IMMEDIATE", lambda c: _apply(c, path, known), path)
            finally:
                if copy is not None and not is_migrated:
                    copy.unlink(missing_ok=True)  # the database is unchanged, or another process keeps a copy
        return known[-1][0]
    finally:
        connection.close()


def plan(path: Path) -> MigrationResult:
    """Plan `migrate` without changing anything. Raises StoreNotFound, NotADatabase, SchemaTooNew, StorageError."""
    _ensure_file(path, create=False)
    before = _read_version(path)
    numbers = [number for number, _ in migrations()]
    refuse_newer(path, before, numbers[-1], path=str(path))
    return MigrationResult(before, numbers[-1], [number for number in numbers if number > before])


def migrate(path: Path) -> MigrationResult:
    """Create the database, or migrate it to the schema that this code knows. Idempotent. Raises like `prepare`."""
    planned = plan(path) if path.exists() else MigrationResult(0, 0, [number for number, _ in migrations()])
    return MigrationResult(planned.before, prepare(path, create=True), planned.applied)


def _ensure_file(path: Path, *, create: bool) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        if not create:
            raise StoreNotFound(
                f"There is no database at {path}", remedy=Remedy.CREATE_DATABASE, path=str(path)
            ) from None
        with translate_errors(path):
            make_private_folder(path.parent)
            # Readable by its owner only, in any folder. SQLite gives the log and other files the same permissions.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return
    except OSError as error:
        raise StorageError(f"{path} cannot be opened: {error.strerror}", path=str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        raise NotADatabase(f"{path} is not a file; name another", path=str(path))
    if status.st_nlink > 1:
        raise StorageError(
            f"{path} has a second name (a hard link), and commits under the other name would be lost: "
            "copy the file, or remove that name",
            path=str(path),
        )
    _read_version(path)


def _read_version(path: Path) -> int:
    """Return the schema version of a file. Raises NotADatabase, StorageError."""
    # Not by `connect`, which would mark a foreign file's header as using a write-ahead log.
    with translate_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_MS)
            return in_transaction(connection, "BEGIN", lambda c: check_header(c, path), path)
        finally:
            connection.close()


def _apply(connection: apsw.Connection, path: Path, known: list[Migration]) -> bool:
    """Migrate the database unless another process has; return whether this one did."""
    # Read again under the write lock: if several processes start at once, the first one migrates for all.
    version = check_header(connection, path)
    if version >= known[-1][0]:
        return False  # without a check for workers, which may be using the new schema already
    _refuse_during_work(connection, path, version)
    for number, statements in known:
        if number > version:
            connection.execute(statements)
            if number == _REVISIONS:
                compute_fingerprints(connection.execute, connection.execute, "recipe_revisions", "?")
            connection.execute(f"PRAGMA user_version = {number}")
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("INSERT INTO meta (name, value) VALUES ('database_id', ?)", (secrets.token_hex(8),))
    return True


def _refuse_during_work(connection: apsw.Connection, path: Path, version: int) -> None:
    if version > 0:
        refuse_live_workers(connection.execute, "workers", f"{path} needs a migration", path=str(path))


def _make_copy(connection: apsw.Connection, path: Path, version: int) -> Path:
    """Write a complete copy of the database to disk, or none, and return its path. Raises StoreFull, StorageError."""
    _check_disk_space(connection, path)
    copy = path.with_name(f"{path.name}.schema-{version}-{time.time_ns()}.bak")
    temporary = copy.with_suffix(".part")
    try:
        with translate_errors(temporary):
            # Created first, because SQLite would let other users of the machine read it while it is written.
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection.execute("VACUUM INTO ?", (str(temporary),))
            with temporary.open("rb") as file:
                sync(file.fileno())
            temporary.rename(copy)
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return copy


def _check_disk_space(connection: apsw.Connection, path: Path) -> None:
    # Only the copy is counted. If the migration's own pages do not fit, it is rolled back and the copy is removed.
    names = ("page_count", "freelist_count", "page_size")
    pages, unused, size = (connection.execute(f"PRAGMA {name}").get for name in names)
    needed, free = (pages - unused) * size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreFull(
            f"{path} needs a migration, which keeps a copy of it. The copy takes {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} MB are free on its disk. Free some space, then try again. Nothing was changed",
            path=str(path),
        )
