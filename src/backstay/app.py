"""The wiring of Backstay: the only module that chooses and connects its components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.backup.cleanup import Cleaner
from backstay.backup.deleter import DeleteService
from backstay.backup.locations import BackupLocations
from backstay.backup.reader import BackupReader
from backstay.backup.restorer import Restorer
from backstay.backup.service import Backups
from backstay.backup.writer import BackupWriter
from backstay.batch.processor_lookup import ProcessorSource
from backstay.batch.service import Batches
from backstay.clock import Clock, SystemClock
from backstay.coordination.cursors import Cursors
from backstay.coordination.idempotency import IdempotentRequests
from backstay.coordination.scheduled_tasks import ScheduledTasks
from backstay.coordination.sessions import Sessions
from backstay.coordination.tickets import Tickets
from backstay.errors import JobNotFound, SettingsError
from backstay.files import belongs_to_this_user
from backstay.generate.key_source import KeySources
from backstay.generate.processor_loader import ProcessorLoader
from backstay.generate.provider_account import Accounts
from backstay.generate.recipe_variants import ModelVariants
from backstay.legacy.imported_jobs import WaitingImports
from backstay.legacy.report import LegacyReport
from backstay.legacy.service import BackupImporter, LegacyImport
from backstay.library.adoption_request import AdoptionResult, UnadoptResult
from backstay.library.adoption_settings import adoption_from_settings
from backstay.library.conversation_index import ConversationIndex
from backstay.library.edits import Edits
from backstay.library.exports.exporter import Exporter
from backstay.library.lists import ConversationLists
from backstay.library.reviews import Reviews
from backstay.library.service import Conversations
from backstay.logs import get_logger
from backstay.migration_result import MigrationResult
from backstay.optional_packages import packages_missing
from backstay.other_owners import OtherOwners, OwnedKind
from backstay.regeneration.backups import ReplacementBackups
from backstay.regeneration.service import Regenerations
from backstay.settings import Settings, load
from backstay.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from backstay.generate.allowlist import AllowedEntry
    from backstay.storage.postgres import PostgresStore

_log = get_logger("backstay")

_DEFAULT_CONCURRENCY = 16
"""Maximum calls in flight of a run, unless its job sets another."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services for one owner's jobs, conversations, edits, backups and imported jobs."""

    owner: str
    batches: Batches
    conversations: Conversations
    reviews: Reviews
    edits: Edits
    index: ConversationIndex
    backups: Backups
    regenerations: Regenerations
    waiting_imports: WaitingImports


@dataclass(frozen=True, slots=True)
class LegacyImportResult:
    """The result of a migration from the original library."""

    migrated: MigrationResult
    report: LegacyReport


class _Components:
    """The connected components of a library, and the services that they provide to each owner."""

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = True,
        allowed: "AllowedEntry | None" = None,
        keys: KeySources | None = None,
        read_seconds: float | None = None,
        concurrency: int = _DEFAULT_CONCURRENCY,
    ) -> None:
        """Prepare a library without opening it; `read_seconds` limits the duration of a read."""
        self.settings = settings
        self._create = create
        self._allowed = allowed
        self._concurrency = concurrency
        self._database_id: str | None = None
        self._clock = SystemClock()
        self._store = _store(settings, self._clock, read_seconds)
        self._folders = BackupLocations(
            store=self._store.backups.records,
            default_folder=self._store.default_backup_folder,
            configured_folder=settings.backup_folder,
        )
        self._accounts = Accounts(
            rpm=settings.rpm,
            tpm=settings.tpm,
            patience_seconds=settings.patience_seconds,
            keys=keys or KeySources.from_settings(settings),
        )
        self._processors = ProcessorLoader(self._accounts, allowed_keys=settings.allowed_keys)
        services = self.for_owner(settings.owner)
        self.batches = services.batches
        self.conversations = services.conversations
        self.reviews = services.reviews
        self.edits = services.edits
        self.index = services.index
        self.backups = services.backups
        self.regenerations = services.regenerations
        self.waiting_imports = services.waiting_imports
        self.idempotency = IdempotentRequests(store=self._store.expiring_values)
        self.tickets = Tickets(store=self._store.expiring_values, clock=self._clock)
        self.scheduled = ScheduledTasks(store=self._store.expiring_values)

    def for_owner(self, owner: str, allowed: "AllowedEntry | None" = None, *, reviewer: str | None = None) -> Services:
        """Return the services of one owner, which share this library's store and see only that owner's rows.

        Args:
            owner: The owner.
            allowed: The processors that the owner's jobs may use; by default those of this library.
            reviewer: Who reviews and edits conversations; by default the one of the settings.
        """
        stores, retention = self._store.backups, self.settings.backup_retention
        reader = BackupReader(store=stores.records, folders=self._folders, owner=owner)
        writer = BackupWriter(stores=stores, folders=self._folders, clock=self._clock, owner=owner)
        cleaner = Cleaner(
            stores=stores,
            folders=self._folders,
            clock=self._clock,
            owner=owner,
            keep_newest=self.settings.backup_keep_newest,
        )
        delete_service = DeleteService(
            stores=stores,
            conversations=self._store.conversations,
            writer=writer,
            reader=reader,
            folders=self._folders,
            cleaner=cleaner,
            owner=owner,
            retention=retention,
        )
        replacement_backups = ReplacementBackups(
            store=self._store.regenerations,
            records=stores.records,
            writer=writer,
            folders=self._folders,
            owner=owner,
            retention=retention,
        )
        source = _processor_source(self._processors, allowed or self._allowed)
        batches = Batches(
            stores=self._store.batches,
            owner=owner,
            source=source,
            folder=self._store.locks_folder,
            lease_seconds=self.settings.lease_seconds,
            concurrency=self._concurrency,
            back_up_replaced=replacement_backups.prepare,
        )
        restorer = Restorer(
            store=stores.restores,
            folders=self._folders,
            reader=reader,
            writer=writer,
            owner=owner,
            retention=retention,
        )
        exporter = Exporter(
            store=self._store.conversations,
            owner=owner,
            protected_files=self._store.files,
            recipe_of=partial(_recipe_fingerprint, batches),
            first_versions=partial(self._store.edits.first_versions, owner),
        )
        return Services(
            owner=owner,
            batches=batches,
            conversations=Conversations(
                store=self._store.conversations,
                lists=ConversationLists(store=self._store.lists, owner=owner),
                exporter=exporter,
                deleter=delete_service,
                owner=owner,
            ),
            reviews=Reviews(
                store=self._store.reviews,
                conversations=self._store.conversations,
                owner=owner,
                reviewer=reviewer or self.settings.effective_reviewer,
            ),
            edits=Edits(store=self._store.edits, owner=owner, editor=reviewer or self.settings.effective_reviewer),
            index=ConversationIndex(store=self._store.index, owner=owner),
            backups=Backups(
                store=stores.records,
                folders=self._folders,
                writer=writer,
                reader=reader,
                restorer=restorer,
                cleaner=cleaner,
                deleter=delete_service,
                owner=owner,
                retention=retention,
            ),
            regenerations=Regenerations(
                store=self._store.regenerations,
                batches=self._store.batches,
                source=source,
                recipes=ModelVariants(),
                deleter=delete_service,
                backups=replacement_backups,
                restorer=restorer,
                owner=owner,
                folder=self._store.locks_folder,
            ),
            waiting_imports=WaitingImports(store=self._store.waiting_imports, owner=owner),
        )

    def sessions(self, realm: str) -> Sessions:
        """Return the browser sessions that one issuer of tokens has opened."""
        return Sessions(store=self._store.expiring_values, realm=realm)

    def _legacy_import(self) -> LegacyImport:
        """Return the import of the original library's tables. Raises SettingsError for a database in a file."""
        if self._store.legacy is None:
            raise SettingsError(
                "The original library's tables are in PostgreSQL, and this is a SQLite file; name the PostgreSQL "
                "database in BACKSTAY_DATABASE_URL",
                setting="database_url",
            )
        retention, allocate_keys = self.settings.backup_retention, self._store.backups.creation.allocate_keys
        return LegacyImport(
            store=self._store.legacy,
            waiting_imports=self._store.waiting_imports,
            importer_for=lambda owner: BackupImporter(self.for_owner(owner).backups, retention, allocate_keys),
            owner=self.settings.owner,
            folder=self.settings.backup_folder,
            clock=self._clock,
        )


class Backstay(_Components):
    """A library of batches, conversations and backups. Use `Backstay.open()` in an `async with`."""

    async def owners(self) -> Sequence[str]:
        """Return the owners that have unfinished jobs or backups."""
        return await self._store.expiring_values.owners()

    async def unindexed_owners(self) -> Sequence[str]:
        """Return the owners that have conversations that are not indexed."""
        return await self._store.index.owners()

    async def count_other_owners(self, noun: OwnedKind) -> OtherOwners:
        """Count what other owners have, if the database role may see it; in another user's file count nothing."""
        if not all(belongs_to_this_user(path) for path in self._store.files):
            return OtherOwners(noun, 0, 0)
        return await self._store.expiring_values.count_other_owners(self.settings.owner, noun)

    async def cursors(self, owner: str) -> Cursors:
        """Return the cursors of an owner's lists, which reveal nothing of other owners' rows."""
        if self._database_id is None:
            self._database_id = await self._store.backups.records.database_id()
        return Cursors(database_id=self._database_id, owner=owner)

    async def forget_expired(self) -> None:
        """Delete expired values: stored replies of idempotent requests, tickets, sessions and claims."""
        await self._store.expiring_values.drop_expired()

    async def check(self) -> None:
        """Check that the database answers. Raises StorageError."""
        await self._store.backups.records.database_id()

    @property
    def files(self) -> Sequence[Path]:
        """The files of the database, which nothing else may overwrite."""
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
        """Return a library that opens when it is entered.

        Args:
            database: A path, `sqlite:///path` or `postgresql://…`. Otherwise BACKSTAY_DATABASE_URL, else
                `backstay.toml`, else `.backstay/backstay.db` in this folder or the nearest one above that has a
                `.backstay`.
            owner: Owner of the jobs and conversations; otherwise BACKSTAY_OWNER, else `local`.
            create: Create the database if it is missing.
            rpm: Maximum requests per minute, for each account with a provider; otherwise BACKSTAY_RPM, else no limit.
            tpm: Maximum tokens per minute, for each account; otherwise BACKSTAY_TPM, else no limit.
            patience_seconds: How long a run waits without a successful answer of the provider before the job pauses;
                otherwise BACKSTAY_PATIENCE_SECONDS, else 600.

        Raises:
            SettingsError: a setting is wrong.
            StoreNotFound (when entered): the database is missing, and `create` is false.
            StorageError (when entered): the database cannot be used.
        """
        database_url = None if database is None else str(database)
        settings = load(database_url=database_url, owner=owner, rpm=rpm, tpm=tpm, patience_seconds=patience_seconds)
        return cls(settings, create=create)

    async def migrate(self, *, check: bool = False) -> MigrationResult:
        """Migrate the database to the current schema. Not within `async with`. Idempotent.

        A SQLite file is also migrated when it is opened; a PostgreSQL database only by this method.

        Args:
            check: Only report what would be done.

        Raises:
            StoreNotFound: the database is missing.
            SchemaTooNew: a newer Backstay has migrated it.
            SchemaOutdated: a worker is running; stop it first.
            StorageError: the database cannot be used.
        """
        return await self._store.migrate(check=check)

    async def migrate_from_original(self, source: str = "public", *, check: bool = False) -> LegacyImportResult:
        """Migrate, then import unfinished jobs and live backups from the original library's tables.

        Each unfinished checkpoint waits for a run with all its items, each live backup becomes a backup of Backstay.
        The original library's tables and files do not change. Not within `async with`. Idempotent, even in several
        processes at once.

        Args:
            source: The schema of `batch_checkpoints` and `backup_exports`.
            check: Only report what would be done.

        Raises:
            SettingsError: this is no PostgreSQL database, or the schema has no tables of the original library.
            BackupDiskFull, or an error of `migrate`: what was imported before is kept.
        """
        legacy_import = self._legacy_import()
        await legacy_import.check_source(source)
        migrated = await self.migrate(check=check)
        if check and migrated.applied:
            return LegacyImportResult(
                migrated, await legacy_import.import_everything(source, check=True, is_new_database=True)
            )
        async with self:
            return LegacyImportResult(migrated, await legacy_import.import_everything(source, check=check))

    async def adopt(
        self,
        conversations: str | None = None,
        turns: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        check: bool = False,
    ) -> AdoptionResult:
        """Use the user's own tables, in the same PostgreSQL database, as conversations and turns.

        Not within `async with`. Idempotent. The rows stay where they are, unchanged.

        Args:
            conversations: The table of conversations, like `public.chats`; otherwise `[adopt]` of `backstay.toml`.
            turns: The table of turns; otherwise `[adopt]`.
            columns: Built-in column -> user's column; columns of turns have the prefix `turns.`. Added to those of
                `[adopt]`.
            check: Only report what would be done, and what would not work afterwards.

        Raises:
            CannotAdopt: tables or columns do not fit, the library is not empty, or this is a SQLite file.
            SettingsError: `[adopt]` of `backstay.toml` is wrong.
            StoreDenied: the tables belong to another role.
            SchemaOutdated: the database is not migrated, or a worker is running.
            StorageError: the database cannot be used.
        """
        adoption = adoption_from_settings(
            self.settings.here, conversations=conversations, turns=turns, columns=columns or {}
        )
        return await self._store.adopt(adoption, self.settings.owner, check=check)

    async def unadopt(self, *, check: bool = False) -> UnadoptResult:
        """Undo `adopt`. Not within `async with`. Idempotent. The user's tables do not change.

        Values that those tables have no column for are deleted; the result counts them.

        Args:
            check: Only report what would be undone and deleted.

        Raises:
            CannotAdopt: a delete is unfinished, or other database objects depend on the views.
            SchemaOutdated: a worker is running.
            StorageError: the database cannot be used.
        """
        return await self._store.unadopt(check=check)

    async def __aenter__(self) -> "Backstay":
        await self._store.start(create=self._create)
        await self.backups.remove_leftovers()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._accounts.close()
        finally:
            await self._store.stop()


def _store(settings: Settings, clock: Clock, read_seconds: float | None) -> "SqliteStore | PostgresStore":
    if settings.postgres_url is None:
        _report_ignored(settings.ignored_parameters)
        return SqliteStore(path=settings.database, clock=clock, read_seconds=read_seconds)
    # Imported here: a library in a file does not need the packages for PostgreSQL.
    try:
        from backstay.storage.postgres import PostgresStore
    except ImportError as error:
        raise SettingsError(packages_missing("PostgreSQL", "postgres"), setting="database_url") from error
    store = PostgresStore(
        url=settings.postgres_url, schema=settings.database_schema, clock=clock, read_seconds=read_seconds
    )
    _report_ignored(store.address.ignored)
    return store


def _report_ignored(parameters: Sequence[str]) -> None:
    if parameters:
        _log.warning(
            "address_parameters_ignored", parameters=", ".join(parameters), reason="they are for other drivers"
        )


async def _recipe_fingerprint(batches: Batches, job_id: str) -> str | None:
    """Return the fingerprint of a job's recipe; None if the job has none or was discarded."""
    from backstay.generate.recipe import fingerprint

    try:
        recipe = (await batches.checkpoint(job_id)).recipe
    except JobNotFound:
        return None
    return fingerprint(recipe)[:12] if recipe is not None else None


def _processor_source(processors: ProcessorLoader, allowed: "AllowedEntry | None") -> ProcessorSource:
    if allowed is None:
        return processors
    from backstay.generate.allowlist import Allowlist

    return Allowlist(processors, allowed)
