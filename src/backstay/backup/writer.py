"""Making a backup: one snapshot, one file, whole or not there, verified before it has its name."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import timedelta

from backstay.backup.backup import Backup, BackupImportRequest, BackupPhase, Listener, SealedFile
from backstay.backup.directory import PartFile
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import BackupStore, Snapshot
from backstay.backup.verifier import Verifier
from backstay.clock import Clock, to_text
from backstay.errors import (
    BackstayError,
    BackupDiskFull,
    BackupFailed,
    BackupInUse,
    BackupNotFound,
    BackupUnusable,
    EmptySelection,
    PlanOutdated,
    SettingsError,
)
from backstay.library.archive import LONGEST_LINE, ArchiveWriter, Manifest
from backstay.library.deletion import plan_line
from backstay.library.id_text import quoted_id
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_LONGEST_REASON = 100


class BackupWriter:
    """Makes the backups of one owner."""

    def __init__(
        self, *, store: BackupStore, folders: BackupLocations, verifier: Verifier, clock: Clock, owner: str
    ) -> None:
        self._store = store
        self._folders = folders
        self._verifier = verifier
        self._clock = clock
        self._owner = owner

    async def write(
        self,
        selection: Selection,
        *,
        reason: str,
        keep: timedelta,
        expected: int,
        planned: str | None = None,
        deleting: bool = False,
        on_progress: Listener | None = None,
    ) -> Backup:
        """Back up what is selected, and return the verified record.

        Args:
            selection: Which conversations.
            reason: Why, for people: a short line.
            keep: How long it is kept.
            expected: How many these are likely to be, for whoever watches.
            planned: Digest of the plan of a delete that this backup is for.
            deleting: The delete begins with it.
            on_progress: Told how far it has come.

        Raises:
            BackupFailed: it could not be written, or is not what was read. Nothing of it is left but its record.
            BackupFolderUnrecognized: the folder of backups is not known to be this library's.
            EmptySelection: nothing is selected just now.
            PlanOutdated: something else is selected just now than was planned.
            BackupUnusable: the database would not let it be restored.
            StorageError: the database could not do it.
        """
        _check_reason(reason)
        await self._store.check_restorable()
        backup_id = f"backup-{int(self._clock.now().timestamp() * 1000)}-{secrets.token_hex(10)}"
        folder = await self._folders.prepare()
        # The file first: without it, a record that says `running` would look like one whose writer is dead.
        part = await asyncio.to_thread(folder.create, backup_id)
        making = _BackupRequest(backup_id, reason, keep, planned=planned, deleting=deleting)
        source = self._store.snapshot(self._owner, selection)
        return await self._make(making, part, source, BackupProgressReporter(backup_id, on_progress), expected=expected)

    async def import_backup(self, other: BackupImportRequest, source: AbstractAsyncContextManager[Snapshot]) -> Backup:
        """Make a backup of ours of one that another program has made, under its id; return the verified record.

        Raises:
            BackupInUse: there is one of this id, or it is being made by somebody else.
            BackupUnusable: another owner has one of this id, or the database would not let it be restored.
            BackupFailed: as of `write`; the same may be tried again.
        """
        await self._store.check_restorable()
        folder = await self._folders.prepare()
        try:
            part = await asyncio.to_thread(folder.create, other.backup_id)
        except BackupFailed as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            raise BackupInUse("it is being taken over by another process", backup_id=other.backup_id) from error
        try:
            await self._refuse_taken_id(other.backup_id)
        except BaseException:
            part.close(keep=False)
            raise
        keep = timedelta(0) if other.expires_at is None else other.expires_at - self._clock.now()
        making = _BackupRequest(other.backup_id, other.reason, max(keep, other.keep), other)
        return await self._make(
            making, part, source, BackupProgressReporter(other.backup_id, None), expected=other.conversations
        )

    async def _refuse_taken_id(self, backup_id: str) -> None:
        """Refuse an id that a backup of another owner has: their files would have one name."""
        try:
            await self._store.backup(self._owner, backup_id)
        except BackupNotFound as error:
            if not await self._store.unknown_ids([backup_id]):
                raise BackupUnusable("a backup of another owner has this id", backup_id=backup_id) from error

    async def _make(
        self,
        making: "_BackupRequest",
        part: PartFile,
        source: AbstractAsyncContextManager[Snapshot],
        teller: BackupProgressReporter,
        *,
        expected: int,
    ) -> Backup:
        keeps = False
        try:
            backup = await self._store.begin(
                self._owner,
                making.backup_id,
                reason=making.reason,
                folder=self._folders.recorded_folder,
                host=self._folders.host,
                keep=making.keep,
            )
            try:
                sealed = await self._fill(backup, making, part, source, teller, expected=expected)
                await self._verify(backup, sealed, part, teller)
                await asyncio.to_thread(part.publish)
                done = await self._store.mark_verified(
                    backup,
                    sealed,
                    deleting=making.deleting,
                    expires_at=making.other.expires_at if making.other else None,
                    pinned=making.other is not None and making.other.expires_at is None,
                )
                keeps = True
            except BaseException as error:
                keeps = not await self._is_given_up(backup, error)
                raise
        finally:
            part.close(keep=keeps)
        _log.info("backup_verified", backup=done.id, conversations=done.conversations, bytes=done.file_bytes)
        return done

    async def _fill(
        self,
        backup: Backup,
        making: "_BackupRequest",
        part: PartFile,
        source: AbstractAsyncContextManager[Snapshot],
        teller: BackupProgressReporter,
        *,
        expected: int,
    ) -> SealedFile:
        archive, contents = ArchiveWriter(), _FileSummary()
        async with source as snapshot:
            head = archive.head(_manifest(backup, making, snapshot))
            await asyncio.to_thread(part.write, head)
            noting: asyncio.Task[None] | None = None
            try:
                async with aclosing(snapshot.chunks()) as chunks:
                    async for records in chunks:
                        first = contents.conversations
                        versions = await asyncio.to_thread(_append, part, archive, contents, records)
                        if noting is not None:
                            await noting
                        # It waits for its commit while the next ones are compressed.
                        noting = asyncio.create_task(self._store.add_items(backup, first, records, versions))
                        done = contents.conversations
                        await teller.report(BackupPhase.WRITING, done, max(expected, done), archive.content_bytes)
            finally:
                if noting is not None:
                    await noting
        if not contents.conversations:
            raise EmptySelection("No conversation is selected, so there is nothing to back up")
        if making.planned is not None and contents.digest != making.planned:
            raise PlanOutdated(
                "What is selected has changed since the plan was made; nothing was deleted. Look at a new plan"
            )
        await asyncio.to_thread(lambda: part.write(archive.tail()))
        await asyncio.to_thread(part.sync)
        return SealedFile(contents.conversations, contents.turns, archive.content_bytes, part.size, part.sha256)

    async def _verify(self, backup: Backup, sealed: SealedFile, part: PartFile, teller: BackupProgressReporter) -> None:
        try:
            with part.open_for_reading() as file:
                await self._verifier.verify(backup, sealed, file, teller)
        except (BackupFailed, BackupDiskFull):
            raise
        except BackstayError as error:
            raise BackupFailed(
                f"The backup did not pass its verification ({error.message}); nothing was deleted. Check the disk, "
                "then try again",
                backup_id=backup.id,
            ) from error

    async def _is_given_up(self, backup: Backup, error: BaseException) -> bool:
        """Note that the backup failed; whether that is certain, so that its file may go.

        Who waits for the last commit may be interrupted while it is made: then the backup is verified all the same.
        """
        message = error.message if isinstance(error, BackstayError) else "it was interrupted"
        try:
            return await asyncio.shield(self._store.mark_failed(backup, message))
        except BackstayError as other:  # the first error is the one to tell of; whoever starts next notes this one
            _log.warning("backup_failure_unrecorded", backup=backup.id, error=other.message)
            return False


@dataclass(frozen=True, slots=True)
class _BackupRequest:
    """What a backup is to be."""

    backup_id: str
    reason: str
    keep: timedelta
    other: BackupImportRequest | None = None
    planned: str | None = None
    deleting: bool = False


def _manifest(backup: Backup, making: _BackupRequest, snapshot: Snapshot) -> Manifest:
    return Manifest(
        backup_id=backup.id,
        created_at=to_text(making.other.created_at if making.other is not None else backup.created_at),
        reason=backup.reason,
        owner=backup.owner,
        database=snapshot.database,
        columns=snapshot.columns,
    )


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason) <= _LONGEST_REASON or not reason.isprintable():
        raise SettingsError(f"A reason is one line of up to {_LONGEST_REASON} characters", setting="reason")


class _FileSummary:
    """What a file holds so far, and the digest that a plan of the same would have."""

    def __init__(self) -> None:
        self.conversations = 0
        self.turns = 0
        self._sha = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()

    def add(self, records: Sequence[Record]) -> int:
        turns = sum(record.turns for record in records)
        self.conversations += len(records)
        self.turns += turns
        self._sha.update(b"".join([plan_line(record.id, record.turns, record.related) for record in records]))
        return turns


def _append(part: PartFile, archive: ArchiveWriter, contents: _FileSummary, records: Sequence[Record]) -> list[bytes]:
    """Write conversations; return their row versions, which are the SHA-256 of their lines."""
    for record in records:
        if len(record.line) > LONGEST_LINE:
            raise BackupFailed(
                f"Conversation {quoted_id(record.id)} is larger than {LONGEST_LINE:,} bytes, which no backup takes. "
                "Nothing was deleted",
                conversation_id=record.id,
            )
    turns = contents.add(records)
    data, digests = archive.lines([record.line for record in records], turns)
    part.write(data)
    return digests
