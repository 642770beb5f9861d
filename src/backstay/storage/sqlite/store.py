"""One SQLite database as the rest of Backstay sees it."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from backstay.backup.location import FileLocation
from backstay.batch.store import BatchStores
from backstay.clock import Clock
from backstay.errors import CannotAdopt
from backstay.library.adoption import AdoptionRequest, AdoptionResult, UnadoptResult
from backstay.storage.sql.backups import SqlBackups
from backstay.storage.sql.conversations import SqlConversations
from backstay.storage.sql.expiring_values import SqlExpiringValues
from backstay.storage.sql.intake import SqlIntake
from backstay.storage.sql.jobs import SqlJobs
from backstay.storage.sql.migration_result import MigrationResult
from backstay.storage.sql.work import SqlWork
from backstay.storage.sqlite import migrate
from backstay.storage.sqlite.database import SqliteDatabase
from backstay.storage.sqlite.migrate import prepare

_NO_SERVER = (
    "Only tables in a PostgreSQL database can be adopted, and this is a SQLite file; name the server in "
    "BACKSTAY_DATABASE_URL"
)


class SqliteStore:
    """Everything that is stored in one file. Nothing is opened before `start`."""

    def __init__(self, *, path: Path, clock: Clock, read_seconds: float | None = None) -> None:
        # SQLite, too, follows links: the log is beside the file itself, and so must be the lock files.
        self.path = path = Path(os.path.realpath(path))
        self._database = SqliteDatabase(path, read_seconds=read_seconds)
        self.batches = BatchStores(
            intake=SqlIntake(database=self._database, clock=clock),
            work=SqlWork(database=self._database, clock=clock),
            jobs=SqlJobs(database=self._database, clock=clock),
        )
        self.conversations = SqlConversations(database=self._database, clock=clock)
        self.backups = SqlBackups(database=self._database, clock=clock, locate=lambda _: FileLocation.from_path(path))
        self.notes = SqlExpiringValues(database=self._database, clock=clock)
        self.original = None  # never keeps its tables in a file

    @property
    def files(self) -> Sequence[Path]:
        """The files of the database: nothing else may be written there."""
        return [Path(f"{self.path}{ending}") for ending in ("", "-wal", "-shm", "-journal")]

    @property
    def locks(self) -> Path:
        """The folder, beside the database, where workers hold their life lines."""
        return self.path.parent / f"{self.path.stem}.workers"

    @property
    def backup_place(self) -> Path:
        """The folder, beside the database, where backups go unless another was chosen."""
        return self.path.parent / f"{self.path.stem}.backups"

    async def start(self, *, create: bool) -> None:
        """Open the database, made or migrated first where needed.

        Raises:
            StoreNotFound: there is none, and `create` is false.
            StorageError: it cannot be used; see `migrate.prepare`.
        """
        schema = await asyncio.to_thread(prepare, self.path, create=create)
        await asyncio.to_thread(self._database.start, schema=schema)

    async def migrate(self, *, check: bool) -> MigrationResult:
        """Bring the file to the schema this code knows, as `start` does too, or say what that would do.

        Raises:
            StoreNotFound: there is no file, and only a check was asked for.
            StorageError: it cannot be used; see `migrate.prepare`.
        """
        return await asyncio.to_thread(migrate.check if check else migrate.migrate, self.path)

    async def adopt(self, wanted: AdoptionRequest, owner: str, *, check: bool) -> AdoptionResult:
        """Refuse to: there are no views in a file that could be written through. Raises CannotAdopt."""
        raise CannotAdopt(_NO_SERVER)

    async def unadopt(self, *, check: bool) -> UnadoptResult:
        """Refuse likewise."""
        raise CannotAdopt(_NO_SERVER)

    async def stop(self) -> None:
        """Let writes that were handed in finish, then close. Twice is safe."""
        await asyncio.to_thread(self._database.stop)
