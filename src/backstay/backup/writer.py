"""Writing of a backup: from one snapshot to one file, which is verified before it gets its final name."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from backstay.backup import verifier
from backstay.backup.backup import Backup, BackupImportRequest, BackupPhase, Listener, SealedFile
from backstay.backup.directory import PartFile
from backstay.backup.key_set import KeySet
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import BackupStores, Snapshot
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
from backstay.library.archive import MAX_LINE_BYTES, ArchiveWriter, Manifest
from backstay.library.deletion import plan_line
from backstay.library.id_text import quoted_id
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.limits import MAX_REASON
from backstay.logs import get_logger

_log = get_logger("backstay.backup")


class BackupWriter:
    """The writer of one owner's backups."""

    def __init__(self, *, stores: BackupStores, folders: BackupLocations, clock: Clock, owner: str) -> None:
        self._stores = stores
        self._folders = folders
        self._clock = clock
        self._owner = owner

    async def write(
        self,
        selection: Selection | KeySet,
        *,
        reason: str,
        retention: timedelta,
        expected: int,
        plan_digest: str | None = None,
        deleting: bool = False,
        on_progress: Listener | None = None,
    ) -> Backup:
        """Back up the selected conversations, and return the verified backup. See `Backups.create`.

        Args:
            selection: The conversations, or their keys.
            reason: The reason, for people: a short line.
            retention: How long the backup is kept.
            expected: The estimated number of conversations, for progress reports.
            plan_digest: The digest of the delete plan that this backup is for.
            deleting: Whether the delete begins when the backup is verified.
            on_progress: Called with the progress.

        Raises:
            BackupUnusable: the database would not allow the backup to be restored.

        After an error only the backup's record is left.
        """
        _check_reason(reason)
        await self._stores.creation.check_restorable()
        backup_id = f"backup-{int(self._clock.now().timestamp() * 1000)}-{secrets.token_hex(10)}"
        folder = await self._folders.prepare()
        # Create the file first: a `running` record without a file would look as if its writer had died.
        part_file = await asyncio.to_thread(folder.create, backup_id)
        request = _BackupRequest(backup_id, reason, retention, plan_digest=plan_digest, deleting=deleting)
        source = self._stores.creation.snapshot(self._owner, selection)
        reporter = BackupProgressReporter(backup_id, on_progress)
        return await self._make(request, part_file, source, reporter, expected=expected)

    async def import_backup(
        self, imported: BackupImportRequest, source: AbstractAsyncContextManager[Snapshot]
    ) -> Backup:
        """Import a backup of another program under its own id, and return the verified backup.

        Raises:
            BackupInUse: a backup with this id exists, or another process is importing it.
            BackupUnusable: another owner's backup has this id, or this database could not restore it.
            BackupFailed: like `write`; the import may be tried again.
        """
        await self._stores.creation.check_restorable()
        folder = await self._folders.prepare()
        try:
            part_file = await asyncio.to_thread(folder.create, imported.backup_id)
        except BackupFailed as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            raise BackupInUse("it is being imported by another process", backup_id=imported.backup_id) from error
        try:
            await self._refuse_taken_id(imported.backup_id)
        except BaseException:
            part_file.close(keep=False)
            raise
        remaining = timedelta(0) if imported.expires_at is None else imported.expires_at - self._clock.now()
        request = _BackupRequest(imported.backup_id, imported.reason, max(remaining, imported.retention), imported)
        reporter = BackupProgressReporter(imported.backup_id, None)
        return await self._make(request, part_file, source, reporter, expected=imported.conversations)

    async def _refuse_taken_id(self, backup_id: str) -> None:
        """Refuse the id of another owner's backup: both files would have the same name."""
        try:
            await self._stores.records.backup(self._owner, backup_id)
        except BackupNotFound as error:
            if not await self._stores.records.unknown_ids([backup_id]):
                raise BackupUnusable("a backup of another owner has this id", backup_id=backup_id) from error

    async def _make(
        self,
        request: "_BackupRequest",
        part_file: PartFile,
        source: AbstractAsyncContextManager[Snapshot],
        reporter: BackupProgressReporter,
        *,
        expected: int,
    ) -> Backup:
        keep_file = False
        try:
            backup = await self._stores.creation.begin(
                self._owner,
                request.backup_id,
                reason=request.reason,
                folder=self._folders.recorded_folder,
                host=self._folders.host,
                retention=request.retention,
            )
            try:
                sealed = await self._fill(backup, request, part_file, source, reporter, expected=expected)
                await self._verify(backup, sealed, part_file, reporter)
                await asyncio.to_thread(part_file.publish)
                verified = await self._stores.creation.mark_verified(
                    backup,
                    sealed,
                    deleting=request.deleting,
                    expires_at=request.imported.expires_at if request.imported else None,
                    pinned=request.imported is not None and request.imported.expires_at is None,
                )
                keep_file = True
            except BaseException as error:
                keep_file = not await self._mark_failed(backup, error)
                raise
        finally:
            part_file.close(keep=keep_file)
        _log.info(
            "backup_verified", backup=verified.id, conversations=verified.conversations, bytes=verified.file_bytes
        )
        return verified

    async def _fill(
        self,
        backup: Backup,
        request: "_BackupRequest",
        part_file: PartFile,
        source: AbstractAsyncContextManager[Snapshot],
        reporter: BackupProgressReporter,
        *,
        expected: int,
    ) -> SealedFile:
        archive, summary = ArchiveWriter(), _FileSummary()
        async with source as snapshot:
            head = archive.head(_manifest(backup, request, snapshot))
            await asyncio.to_thread(part_file.write, head)
            recording: asyncio.Task[None] | None = None
            try:
                async with aclosing(snapshot.chunks()) as chunks:
                    async for records in chunks:
                        first = summary.conversations
                        versions = await asyncio.to_thread(_append, part_file, archive, summary, records)
                        if recording is not None:
                            await recording
                        # Commits while the next chunk is compressed.
                        recording = asyncio.create_task(
                            self._stores.creation.add_items(backup, first, records, versions)
                        )
                        count = summary.conversations
                        await reporter.report(BackupPhase.WRITING, count, max(expected, count), archive.content_bytes)
            finally:
                if recording is not None:
                    await recording
            recipes = await snapshot.recipes(summary.job_ids)
        if not summary.conversations:
            raise EmptySelection("No conversation is selected, so there is nothing to back up")
        if request.plan_digest is not None and summary.digest != request.plan_digest:
            raise PlanOutdated(
                "The selected conversations have changed since the plan was made; nothing was deleted. Make a new plan"
            )
        await asyncio.to_thread(lambda: part_file.write(archive.tail(recipes)))
        await asyncio.to_thread(part_file.sync)
        return SealedFile(summary.conversations, summary.turns, archive.content_bytes, part_file.size, part_file.sha256)

    async def _verify(
        self, backup: Backup, sealed: SealedFile, part_file: PartFile, reporter: BackupProgressReporter
    ) -> None:
        try:
            with part_file.open_for_reading() as file:
                await verifier.verify(self._stores.records, replace(backup, **asdict(sealed)), file, reporter)
        except (BackupFailed, BackupDiskFull):
            raise
        except BackstayError as error:
            raise BackupFailed(
                f"The backup failed its verification ({error.message}); nothing was deleted. Check the disk, then try "
                "again",
                backup_id=backup.id,
            ) from error

    async def _mark_failed(self, backup: Backup, error: BaseException) -> bool:
        """Mark the backup as failed; return whether that succeeded, so that the backup's file may be removed.

        It does not succeed if the error came during the commit that marked the backup as verified.
        """
        message = error.message if isinstance(error, BackstayError) else "it was interrupted"
        try:
            return await asyncio.shield(self._stores.records.mark_failed(backup, message))
        except BackstayError as second:  # report the first error; the next process to start marks the backup as failed
            _log.warning("backup_failure_unrecorded", backup=backup.id, error=second.message)
            return False


@dataclass(frozen=True, slots=True)
class _BackupRequest:
    """The request for one backup."""

    backup_id: str
    reason: str
    retention: timedelta
    imported: BackupImportRequest | None = None
    plan_digest: str | None = None
    deleting: bool = False


def _manifest(backup: Backup, request: _BackupRequest, snapshot: Snapshot) -> Manifest:
    return Manifest(
        backup_id=backup.id,
        created_at=to_text(request.imported.created_at if request.imported is not None else backup.created_at),
        reason=backup.reason,
        owner=backup.owner,
        database=snapshot.database_kind,
        columns=snapshot.columns,
    )


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise SettingsError(f"A reason is one line of up to {MAX_REASON} characters", setting="reason")


class _FileSummary:
    """Counts of a file's content so far, and the digest that a delete plan of it would have."""

    def __init__(self) -> None:
        self.conversations = 0
        self.turns = 0
        self.job_ids: set[str] = set()
        self._sha = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()

    def add(self, records: Sequence[Record]) -> int:
        turns = sum(record.turns for record in records)
        self.conversations += len(records)
        self.turns += turns
        self.job_ids.update(record.job_id for record in records if record.job_id is not None)
        self._sha.update(b"".join([plan_line(record.id, record.turns, record.related) for record in records]))
        return turns


def _append(
    part_file: PartFile, archive: ArchiveWriter, summary: _FileSummary, records: Sequence[Record]
) -> list[bytes]:
    """Write records to the file; return their row versions, which are the SHA-256 of their JSON lines."""
    for record in records:
        if len(record.line) + len(record.curation or b"") > MAX_LINE_BYTES:
            raise BackupFailed(
                f"Conversation {quoted_id(record.id)} is larger than {MAX_LINE_BYTES:,} bytes, the limit of a backup. "
                "Nothing was deleted",
                conversation_id=record.id,
            )
    turns = summary.add(records)
    data, digests = archive.lines([record.file_line for record in records], turns)
    part_file.write(data)
    return [
        digest if record.curation is None else record.version for record, digest in zip(records, digests, strict=True)
    ]
