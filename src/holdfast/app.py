"""Holdfast, put together: the only place that chooses and connects the parts."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from holdfast.backup.cleanup import Cleaner
from holdfast.backup.deletion import Deletions
from holdfast.backup.folders import Folders
from holdfast.backup.reading import Reading
from holdfast.backup.restorer import Restorer
from holdfast.backup.service import Backups
from holdfast.backup.verifier import Verifier
from holdfast.backup.writer import Writer
from holdfast.batch.service import Batches
from holdfast.clock import Clock, SystemClock
from holdfast.generate.account import Accounts
from holdfast.generate.sources import Processors
from holdfast.library.service import Conversations
from holdfast.settings import Settings, load
from holdfast.storage.sqlite import SqliteStore


class Holdfast:
    """An open library with its batches. Use `Holdfast.open()` in an `async with`."""

    def __init__(self, settings: Settings, *, create: bool = True) -> None:
        self.settings = settings
        self._create = create
        clock = SystemClock()
        self._store = SqliteStore(path=settings.database, clock=clock)
        self._accounts = Accounts(rpm=settings.rpm, tpm=settings.tpm)
        self.batches = Batches(
            stores=self._store.batches,
            owner=settings.owner,
            source=Processors(self._accounts),
            folder=self._store.locks,
            lease_seconds=settings.lease_seconds,
        )
        self._assemble_library(settings, clock)

    def _assemble_library(self, settings: Settings, clock: Clock) -> None:
        store, owner, keep = self._store.backups, settings.owner, settings.backup_keep
        folders = Folders(store=store, beside=self._store.backup_place, chosen=settings.backup_place)
        verifier = Verifier(store=store)
        reading = Reading(store=store, folders=folders, verifier=verifier, owner=owner)
        writer = Writer(store=store, folders=folders, verifier=verifier, clock=clock, owner=owner)
        cleaner = Cleaner(store=store, folders=folders, clock=clock, owner=owner)
        deletions = Deletions(
            store=store,
            conversations=self._store.conversations,
            writer=writer,
            reading=reading,
            folders=folders,
            cleaner=cleaner,
            owner=owner,
            keep=keep,
        )
        self.conversations = Conversations(store=self._store.conversations, remover=deletions, owner=owner)
        self.backups = Backups(
            store=store,
            folders=folders,
            writer=writer,
            reading=reading,
            restorer=Restorer(store=store, reading=reading, writer=writer, owner=owner, keep=keep),
            cleaner=cleaner,
            deletions=deletions,
            owner=owner,
            keep=keep,
        )

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
    ) -> "Holdfast":
        """Name the library to open; entering the result opens it.

        Args:
            database: A path or `sqlite:///path`. Otherwise HOLDFAST_DATABASE_URL, else `holdfast.toml`, else
                `.holdfast/holdfast.db` in this folder or the nearest one above that has a `.holdfast`.
            owner: Whose jobs and conversations; otherwise HOLDFAST_OWNER, else `local`.
            create: Make the database when it is missing.
            rpm: Requests a minute at most, of each account with a provider; otherwise HOLDFAST_RPM, else no bound.
            tpm: Tokens a minute at most, likewise; otherwise HOLDFAST_TPM.

        Raises:
            SettingsError: a setting is wrong.
            StoreNotFound (when entered): there is no database, and `create` is false.
            StorageError (when entered): the database cannot be used.
        """
        database_url = None if database is None else str(database)
        return cls(load(database_url=database_url, owner=owner, rpm=rpm, tpm=tpm), create=create)

    async def __aenter__(self) -> "Holdfast":
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
