"""Backstay, put together: the only place that chooses and connects the parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from backstay.backup.cleanup import Cleaner
from backstay.backup.deleter import DeleteService
from backstay.backup.locations import BackupLocations
from backstay.backup.reader import BackupReader
from backstay.backup.restorer import Restorer
from backstay.backup.service import Backups
from backstay.backup.verifier import Verifier
from backstay.backup.writer import BackupWriter
from backstay.batch.processor import ProcessorSource
from backstay.batch.service import CONCURRENCY, Batches
from backstay.clock import Clock, SystemClock
from backstay.coordination.cursors import Cursors
from backstay.coordination.idempotency import IdempotentRequests
from backstay.coordination.scheduled import ScheduledTasks
from backstay.coordination.store import OtherOwners, OwnedKind
from backstay.coordination.tickets import Tickets
from backstay.errors import SettingsError
from backstay.extras import packages_missing
from backstay.files import is_own
from backstay.generate.account import Accounts
from backstay.generate.key_source import KeySources
from backstay.generate.processor_registry import ProcessorRegistry
from backstay.legacy.jobs import LegacyJobImporter
from backstay.legacy.report import LegacyReport
from backstay.legacy.service import BackupImporter, LegacyImport
from backstay.library.adoption import AdoptionResult, UnadoptResult
from backstay.library.adoption_file import adoption_from_settings
from backstay.library.service import Conversations
from backstay.logs import get_logger
from backstay.settings import Settings, load
from backstay.storage.sql.migration_result import MigrationResult
from backstay.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from backstay.generate.allowlist import AllowedEntry
    from backstay.storage.postgres import PostgresStore

_log = get_logger("backstay")


@dataclass(frozen=True, slots=True)
class Services:
    """What can be done with one owner's jobs, conversations and backups."""

    owner: str
    batches: Batches
    conversations: Conversations
    backups: Backups


@dataclass(frozen=True, slots=True)
class LegacyImportResult:
    """What came of migrating from the original."""

    migrated: MigrationResult
    report: LegacyReport


class Backstay:
    """An open library with its batches. Use `Backstay.open()` in an `async with`."""

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = True,
        allowed: "AllowedEntry | None" = None,
        keys: KeySources | None = None,
        read_seconds: float | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Name the library to open, like `open`; `read_seconds` limits the time of a read."""
        self.settings = settings
        self._create = create
        self._concurrency = concurrency
        self._database_id: str | None = None
        self._clock = SystemClock()
        self._store = _store(settings, self._clock, read_seconds)
        self._folders = BackupLocations(
            store=self._store.backups, default_folder=self._store.backup_place, configured_folder=settings.backup_place
        )
        self._accounts = Accounts(
            rpm=settings.rpm,
            tpm=settings.tpm,
            patience_seconds=settings.patience_seconds,
            keys=keys or KeySources.from_settings(settings),
        )
        self._every = ProcessorRegistry(self._accounts, allowed_keys=settings.allowed_keys)
        self._allowed = allowed
        self._own = self.for_owner(settings.owner)
        self.batches = self._own.batches
        self.conversations = self._own.conversations
        self.backups = self._own.backups
        self.once = IdempotentRequests(store=self._store.notes)
        self.tickets = Tickets(store=self._store.notes, clock=self._clock)
        self.duties = ScheduledTasks(store=self._store.notes)

    def for_owner(self, owner: str, allowed: "AllowedEntry | None" = None) -> Services:
        """Return the services of one owner. All share this library's store, and none sees another owner's rows.

        Args:
            owner: The owner.
            allowed: What their jobs may run; by default what this library was opened with.
        """
        store, keep = self._store.backups, self.settings.backup_keep
        verifier = Verifier(store=store)
        reading = BackupReader(store=store, folders=self._folders, verifier=verifier, owner=owner)
        writer = BackupWriter(store=store, folders=self._folders, verifier=verifier, clock=self._clock, owner=owner)
        cleaner = Cleaner(store=store, folders=self._folders, clock=self._clock, owner=owner)
        deletions = DeleteService(
            store=store,
            conversations=self._store.conversations,
            writer=writer,
            reader=reading,
            folders=self._folders,
            cleaner=cleaner,
            owner=owner,
            keep=keep,
        )
        return Services(
            owner=owner,
            batches=Batches(
                stores=self._store.batches,
                owner=owner,
                source=_source_of(self._every, allowed or self._allowed),
                folder=self._store.locks,
                lease_seconds=self.settings.lease_seconds,
                concurrency=self._concurrency,
            ),
            conversations=Conversations(store=self._store.conversations, deleter=deletions, owner=owner),
            backups=Backups(
                store=store,
                folders=self._folders,
                writer=writer,
                reader=reading,
                restorer=Restorer(
                    store=store, folders=self._folders, reader=reading, writer=writer, owner=owner, keep=keep
                ),
                cleaner=cleaner,
                deleter=deletions,
                owner=owner,
                keep=keep,
            ),
        )

    async def owners(self) -> Sequence[str]:
        """Return who has unfinished jobs, or backups."""
        return await self._store.notes.owners()

    async def count_other_owners(self, noun: OwnedKind) -> OtherOwners:
        """Count what other owners have, as far as our role may see it; in another user's file count nothing."""
        if not all(is_own(path) for path in self._store.files):
            return OtherOwners(noun, 0, 0)
        return await self._store.notes.count_other_owners(self.settings.owner, noun)

    async def cursors(self, owner: str) -> Cursors:
        """Return the cursors of an owner's lists, which reveal nothing of other owners' rows."""
        if self._database_id is None:
            self._database_id = await self._store.backups.database_id()
        return Cursors(database_id=self._database_id, owner=owner)

    async def forget_expired(self) -> None:
        """Remove what was to be remembered for a while only: kept answers, tickets, claims."""
        await self._store.notes.drop_expired()

    async def check(self) -> None:
        """See that the database answers. Raises StorageError."""
        await self._store.backups.database_id()

    @property
    def files(self) -> Sequence[Path]:
        """The files of the database: nothing else may be written there."""
        return self._store.files

    @classmethod
    def open(
        cls,
        database: str | Path | None = None,
        *,
        owner: str | None = None,
        create: bool = True,
        rpm: int | None = None,
        tpm: int | None = None,
        patience_seconds: float | None = None,
    ) -> "Backstay":
        """Name the library to open; entering the result opens it.

        Args:
            database: A path, `sqlite:///path` or `postgresql://…`. Otherwise BACKSTAY_DATABASE_URL, else
                `backstay.toml`, else `.backstay/backstay.db` in this folder or the nearest one above that has a
                `.backstay`.
            owner: Whose jobs and conversations; otherwise BACKSTAY_OWNER, else `local`.
            create: Make the database when it is missing.
            rpm: Requests a minute at most, of each account with a provider; otherwise BACKSTAY_RPM, else no bound.
            tpm: Tokens a minute at most, likewise; otherwise BACKSTAY_TPM.
            patience_seconds: How long a run waits for a provider from which no good answer comes, before the job
                pauses; otherwise BACKSTAY_PATIENCE_SECONDS, else 600.

        Raises:
            SettingsError: a setting is wrong.
            StoreNotFound (when entered): there is no database, and `create` is false.
            StorageError (when entered): the database cannot be used.
        """
        database_url = None if database is None else str(database)
        settings = load(database_url=database_url, owner=owner, rpm=rpm, tpm=tpm, patience_seconds=patience_seconds)
        return cls(settings, create=create)

    async def migrate(self, *, check: bool = False) -> MigrationResult:
        """Bring the database to the schema that this version knows. Not within `async with`; twice is safe.

        A SQLite file is also migrated when it is opened; a PostgreSQL database only so.

        Args:
            check: Only say what would be done.

        Raises:
            StoreNotFound: there is no database.
            SchemaTooNew: a newer Backstay has migrated it.
            SchemaOutdated: a worker is on it; stop it first.
            StorageError: it cannot be used.
        """
        return await self._store.migrate(check=check)

    async def migrate_from_original(self, source: str = "public", *, check: bool = False) -> LegacyImportResult:
        """Migrate, then take over what is unfinished and alive in the tables that the original keeps in a schema.

        Each unfinished checkpoint becomes a paused job, each live backup one of ours. Nothing of the original is
        changed. Not within `async with`; twice is safe, and so are many at once.

        Args:
            source: The schema of `batch_checkpoints` and `backup_exports`.
            check: Only say what would be done.

        Raises:
            SettingsError: this is no PostgreSQL database, or there are no tables of the original in that schema.
            Errors as of `migrate` besides, and BackupDiskFull; what was taken over before is kept.
        """
        original = self._original()
        await original.find(source)
        migrated = await self.migrate(check=check)
        if check and migrated.applied:
            return LegacyImportResult(
                migrated, await original.import_everything(source, check=True, nothing_is_here=True)
            )
        async with self:
            return LegacyImportResult(migrated, await original.import_everything(source, check=check))

    def _original(self) -> LegacyImport:
        if self._store.original is None:
            raise SettingsError(
                "The original keeps its tables on PostgreSQL, and this is a SQLite file; name that database in "
                "BACKSTAY_DATABASE_URL",
                setting="database_url",
            )
        keep, places = self.settings.backup_keep, self._store.backups.allocate_keys
        owner, locks = self.settings.owner, self._store.locks
        return LegacyImport(
            store=self._store.original,
            jobs=LegacyJobImporter(stores=self._store.batches, owner=owner, folder=locks),
            keepers=lambda whose: BackupImporter(self.for_owner(whose).backups, keep, places),
            owner=owner,
            folder=self.settings.backup_place,
            clock=self._clock,
        )

    async def adopt(
        self,
        conversations: str | None = None,
        turns: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        check: bool = False,
    ) -> AdoptionResult:
        """Have a user's own tables, in the same PostgreSQL database, be our conversations and turns.

        Not within `async with`; twice is safe. Their rows stay where they are, as they are; everything works on them.

        Args:
            conversations: The table of conversations, as `public.chats`; else as `[adopt]` of `backstay.toml` says.
            turns: The table of turns, likewise.
            columns: Which of their columns is which of ours, by our names, those of a turn behind `turns.`; what
                `[adopt]` says besides holds as well.
            check: Only say what would be done, and what would not work then.

        Raises:
            CannotAdopt: tables or columns do not fit, our own library is not empty, or this is a SQLite file.
            SettingsError: `[adopt]` of `backstay.toml` is wrong.
            StoreDenied: the tables are another role's.
            SchemaOutdated: the database is not migrated, or a worker is on it.
            StorageError: it cannot be done there.
        """
        wanted = adoption_from_settings(
            self.settings.here, conversations=conversations, turns=turns, columns=columns or {}
        )
        return await self._store.adopt(wanted, self.settings.owner, check=check)

    async def unadopt(self, *, check: bool = False) -> UnadoptResult:
        """Take back what `adopt` did. Not within `async with`; twice is safe. The tables stay as they are.

        What had no column there is lost, and the answer says of how many.

        Args:
            check: Only say what would be given back, and lost.

        Raises:
            CannotAdopt: a delete has not come to its end, or something else is built upon our views.
            SchemaOutdated: a worker is on it.
            StorageError: it cannot be done there.
        """
        return await self._store.unadopt(check=check)

    async def __aenter__(self) -> "Backstay":
        await self._store.start(create=self._create)
        await self.backups.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._accounts.close()
        finally:
            await self._store.stop()


def _store(settings: Settings, clock: Clock, read_seconds: float | None) -> "SqliteStore | PostgresStore":
    if settings.server is None:
        _report_ignored(settings.ignored_parameters)
        return SqliteStore(path=settings.database, clock=clock, read_seconds=read_seconds)
    # Here and not above: who stores in a file need not have what speaks to a server.
    try:
        from backstay.storage.postgres import PostgresStore
    except ImportError as error:
        raise SettingsError(packages_missing("PostgreSQL", "postgres"), setting="database_url") from error
    store = PostgresStore(url=settings.server, schema=settings.database_schema, clock=clock, read_seconds=read_seconds)
    _report_ignored(store.address.ignored)
    return store


def _report_ignored(parameters: Sequence[str]) -> None:
    if parameters:
        _log.warning(
            "address_parameters_ignored", parameters=", ".join(parameters), reason="they are for other drivers"
        )


def _source_of(every: ProcessorRegistry, allowed: "AllowedEntry | None") -> ProcessorSource:
    if allowed is None:
        return every
    from backstay.generate.allowlist import Allowlist

    return Allowlist(every, allowed)
