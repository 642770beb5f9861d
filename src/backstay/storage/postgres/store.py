"""The stores of one schema in a PostgreSQL database."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from backstay.clock import Clock
from backstay.library.adoption_request import AdoptionRequest, AdoptionResult, UnadoptResult
from backstay.migration_result import MigrationResult
from backstay.storage.postgres import adoption, schema_migration
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import begin, check_server, connect
from backstay.storage.postgres.database import PostgresDatabase
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.legacy import PostgresLegacyStore
from backstay.storage.postgres.schema_migration import migrations, refuse_unmigrated
from backstay.storage.postgres.session import Connection, query_value
from backstay.storage.sql.stores import SqlStores

# Collations that lower letters in a search, if the database's own collation lowers only A to Z.
_COLLATIONS = ("und-x-icu", "pg_unicode_fast", "pg_c_utf8", "C.utf8", "en_US.utf8")


class PostgresStore(SqlStores):
    """The stores of one schema of a database. Nothing is opened before `start`."""

    def __init__(self, *, url: str, schema: str, clock: Clock, read_seconds: float | None = None) -> None:
        self.address = ServerAddress.from_url(url)
        self._schema = schema
        self._database = PostgresDatabase(self.address, schema=schema, read_seconds=read_seconds)
        super().__init__(self._database, clock)
        self.legacy = PostgresLegacyStore(self.address, schema=schema)

    @property
    def files(self) -> Sequence[Path]:
        """The files of the database on this machine: none."""
        return []

    @property
    def locks_folder(self) -> Path:
        """The folder on this machine with the lock files of workers."""
        return Path(tempfile.gettempdir()) / f"backstay-{os.getuid()}.workers"

    @property
    def default_backup_folder(self) -> None:
        """The default folder of backups: none, because a server needs a configured one."""
        return

    async def start(self, *, create: bool) -> None:
        """Check server and schema, and start to accept work. `create` has no effect: `migrate` is a command.

        Raises:
            SchemaOutdated, SchemaTooNew: the schema has another version than this code knows.
            StorageError, StoreNotFound, SettingsError: the database cannot be used.
        """
        collation = await asyncio.to_thread(self._check)
        self._database.start(schema_version=migrations()[-1][0], collation=collation)

    async def migrate(self, *, check: bool) -> MigrationResult:
        """Migrate the schema, or return what that would do. Raises like `schema_migration.migrate`."""
        return await asyncio.to_thread(
            schema_migration.plan if check else schema_migration.migrate, self.address, self._schema
        )

    async def adopt(self, request: AdoptionRequest, owner: str, *, check: bool) -> AdoptionResult:
        """Let user tables stand for the built-in ones, or return what that would do. Raises like `adoption.adopt`."""
        function = adoption.check if check else adoption.adopt
        return await asyncio.to_thread(function, self.address, self._schema, request, owner)

    async def unadopt(self, *, check: bool) -> UnadoptResult:
        """Undo an adoption, or return what that would do. Raises like `adoption.undo`."""
        return await asyncio.to_thread(adoption.undo, self.address, self._schema, is_check=check)

    async def stop(self) -> None:
        """Let submitted writes finish, then close. Idempotent."""
        await asyncio.to_thread(self._database.stop)

    def _check(self) -> str:
        with translate_errors(self.address, self._schema), connect(self.address) as connection:
            check_server(connection, self.address)
            begin(connection, "READ ONLY")
            refuse_unmigrated(connection, self.address, self._schema)
            return _collation(connection)


def _collation(connection: Connection) -> str:
    collation = query_value(connection, "SELECT datcollate FROM pg_database WHERE datname = current_database()")
    if collation not in ("C", "POSIX"):
        return "default"
    rows = connection.execute("SELECT collname FROM pg_collation WHERE collencoding IN (-1, 6)")
    available = {str(name) for (name,) in rows}
    return next((name for name in _COLLATIONS if name in available), "default")
