"""The stores of one SQLite database."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from backstay.clock import Clock
from backstay.errors import CannotAdopt
from backstay.library.adoption_request import AdoptionRequest, AdoptionResult, UnadoptResult
from backstay.migration_result import MigrationResult
from backstay.storage.sql.stores import SqlStores
from backstay.storage.sqlite import schema_migration
from backstay.storage.sqlite.database import SqliteDatabase
from backstay.storage.sqlite.schema_migration import prepare

_NO_SERVER = (
    "Only tables in a PostgreSQL database can be adopted, and this is a SQLite file; name the server in "
    "BACKSTAY_DATABASE_URL"
)


def backup_folder_next_to(database: Path) -> Path:
    """Return the default folder of backups, next to the file that `database` is or links to."""
    real = Path(os.path.realpath(database))
    return real.parent / f"{real.stem}.backups"


class SqliteStore(SqlStores):
    """The stores of one database file. Nothing is opened before `start`."""

    def __init__(self, *, path: Path, clock: Clock, read_seconds: float | None = None) -> None:
        # SQLite follows links: its log is next to the real file, and the lock files must be there as well.
        self.path = Path(os.path.realpath(path))
        self._database = SqliteDatabase(self.path, read_seconds=read_seconds)
        super().__init__(self._database, clock)
        self.legacy = None  # the original library never stores its tables in a file

    @property
    def files(self) -> Sequence[Path]:
        """The files of the database, which nothing else may write."""
        return [Path(f"{self.path}{ending}") for ending in ("", "-wal", "-shm", "-journal")]

    @property
    def locks_folder(self) -> Path:
        """The folder next to the database where workers hold their liveness locks."""
        return self.path.parent / f"{self.path.stem}.workers"

    @property
    def default_backup_folder(self) -> Path:
        """The default folder of backups, next to the database."""
        return backup_folder_next_to(self.path)

    async def start(self, *, create: bool) -> None:
        """Open the database; create or migrate it first if needed.

        Raises:
            StoreNotFound: it does not exist, and `create` is false.
            StorageError: it cannot be used; see `schema_migration.prepare`.
        """
        schema_version = await asyncio.to_thread(prepare, self.path, create=create)
        await asyncio.to_thread(self._database.start, schema_version=schema_version)

    async def migrate(self, *, check: bool) -> MigrationResult:
        """Migrate the file to the schema that this code knows, like `start`; with `check`, return what that would do.

        Raises:
            StoreNotFound: the file does not exist, with `check`.
            StorageError: it cannot be used; see `schema_migration.prepare`.
        """
        return await asyncio.to_thread(schema_migration.plan if check else schema_migration.migrate, self.path)

    async def adopt(self, request: AdoptionRequest, owner: str, *, check: bool) -> AdoptionResult:
        """Raise CannotAdopt: SQLite has no updatable views."""
        raise CannotAdopt(_NO_SERVER)

    async def unadopt(self, *, check: bool) -> UnadoptResult:
        """Raise CannotAdopt, like `adopt`."""
        raise CannotAdopt(_NO_SERVER)

    async def stop(self) -> None:
        """Finish the submitted writes, then close. Idempotent."""
        await asyncio.to_thread(self._database.stop)
