"""One SQLite database as the rest of Holdfast sees it."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from holdfast.batch.store import BatchStores
from holdfast.clock import Clock
from holdfast.storage.sqlite.backups import SqliteBackups
from holdfast.storage.sqlite.conversations import SqliteConversations
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.intake import SqliteIntake
from holdfast.storage.sqlite.jobs import SqliteJobs
from holdfast.storage.sqlite.migrate import prepare
from holdfast.storage.sqlite.work import SqliteWork


class SqliteStore:
    """Everything that is stored in one file. Nothing is opened before `start`."""

    def __init__(self, *, path: Path, clock: Clock) -> None:
        # SQLite, too, follows links: the log is beside the file itself, and so must be the lock files.
        self.path = path = Path(os.path.realpath(path))
        self._database = Database(path)
        self.batches = BatchStores(
            intake=SqliteIntake(database=self._database, clock=clock),
            work=SqliteWork(database=self._database, clock=clock),
            jobs=SqliteJobs(database=self._database, clock=clock),
        )
        self.conversations = SqliteConversations(database=self._database, clock=clock)
        self.backups = SqliteBackups(database=self._database, clock=clock)

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

    async def stop(self) -> None:
        """Let writes that were handed in finish, then close. Twice is safe."""
        await asyncio.to_thread(self._database.stop)
