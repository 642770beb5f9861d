"""Opening of backup files for verification, download and restore."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from backstay.backup import verifier
from backstay.backup.backup import Backup, BackupItem, BackupState, Listener
from backstay.backup.error_messages import backup_unusable_error
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import ArchivedConversation, RecordedItems, RecordStore, ToRows
from backstay.errors import BackstayError, BackupDamaged, BackupUnreachable, NotABackup
from backstay.library.archive import ArchiveReader, Manifest, decompress
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.curation import append_curation, curation_digest
from backstay.library.prefetch import prefetch
from backstay.library.record import digest_of_document
from backstay.logs import get_logger
from backstay.remedy import Remedy

_log = get_logger("backstay.backup")

_BLOCK_BYTES = 1024 * 1024

Matcher = Callable[[Mapping[str, Any]], bool]
"""Returns whether a conversation, as a dict in the native shape, is selected."""


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup whose file is open: it stays readable even if the file is removed."""

    backup: Backup
    file: BinaryIO
    _recipes: list[ArchivedRecipe] = field(default_factory=list, init=False)

    @property
    def size(self) -> int:
        """The size in bytes of the open file, which may differ from its record."""
        return os.fstat(self.file.fileno()).st_size

    def read_range(self, start: int, length: int) -> Iterator[bytes]:
        """Yield a range of the file as it is on disk. Blocks. Raises BackupUnreachable, BackupDamaged."""
        try:
            self.file.seek(start)
            while length:
                block = self.file.read(min(length, _BLOCK_BYTES))
                if not block:
                    raise BackupDamaged(f"The file of {self.backup.id} is shorter than it was when it was opened")
                length -= len(block)
                yield block
        except OSError as error:
            raise BackupUnreachable(f"The backup cannot be read: {error.strerror}") from error

    def manifest(self) -> Manifest:
        """Read the first line of the file. Blocks."""
        return self._reader().manifest

    def conversations(
        self, recorded: RecordedItems, to_rows: ToRows, matches: Matcher | None = None
    ) -> Iterator[list[ArchivedConversation]]:
        """Yield the conversations that match, or all, each verified against what the snapshot recorded. Blocks.

        Each call starts at the beginning of the file.

        Raises:
            BackupDamaged: the file is incomplete or has data after its end, or a conversation is not what was backed
                up. Conversations yielded before are invalid.
        """
        with closing(prefetch(self._decode(to_rows, matches))) as batches:
            for batch in batches:
                if not batch:
                    continue
                first, last = batch[0].position, batch[-1].position
                items = {item.position: item for item in recorded(first, last - first + 1)}
                yield [self._verify(conversation, items.get(conversation.position)) for conversation in batch]

    def _decode(self, to_rows: ToRows, matches: Matcher | None) -> Iterator[list[ArchivedConversation]]:
        """Yield the conversations that match, each with the SHA-256 of its line as digest, and without a key."""
        reader, position = self._reader(), 0
        for lines in reader.batches():
            batch = []
            for number, (line, digest, curation) in enumerate(lines, start=position):
                try:
                    document = orjson.loads(append_curation(line, curation))
                    if matches is None or matches(document):
                        item = document["job_id"], document["item_id"]
                        names = document["id"], item, document["created_at"]
                        rows = to_rows(document)
                        batch.append(ArchivedConversation(0, digest, number, *names, line, rows, curation))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise BackupDamaged(f"Conversation {number + 1:,} of the backup cannot be read") from error
            position += len(lines)
            yield batch
        self._recipes[:] = reader.recipes
        if position != self.backup.conversations:
            raise BackupDamaged(f"{self.backup.id} holds {position:,} conversations of {self.backup.conversations:,}")

    def recipes(self) -> Sequence[ArchivedRecipe]:
        """Return the recipes of the file, once its conversations were read. Blocks.

        Raises BackupDamaged: the file is not the one that was verified, so a recipe may have been changed with it.
        """
        if self._recipes:
            sha = hashlib.sha256()
            for block in self.read_range(0, self.size):
                sha.update(block)
            if sha.digest() != self.backup.file_sha256:
                raise BackupDamaged(f"The file of {self.backup.id} is not the one that was verified")
        return self._recipes

    def _verify(self, conversation: ArchivedConversation, item: BackupItem | None) -> ArchivedConversation:
        is_same = item is not None and item.id == conversation.id and _has_digest(conversation, item.digest)
        if item is None or not is_same or curation_digest(conversation.curation) != item.curation_digest:
            raise BackupDamaged(
                f"Conversation {conversation.position + 1:,} of {self.backup.id} is not what was backed up; nothing "
                "was restored",
                backup_id=self.backup.id,
            )
        curation = item.late_curation.encode() if item.late_curation is not None else conversation.curation
        return conversation._replace(key=item.conversation_key, digest=item.digest, curation=curation)

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed JSON of the file. Blocks."""
        self.file.seek(0)
        return decompress(self.file)

    def stream_file(self, *, compressed: bool) -> Iterator[bytes]:
        """Yield the JSON of the file or, compressed, the file as it is on disk. Blocks.

        Raises BackupDamaged, possibly only at the end, if the file's length differs from when it was verified.
        """
        length_differs = BackupDamaged(f"The file of {self.backup.id} is longer or shorter than when it was verified")
        if compressed:
            if self.size != self.backup.file_bytes:
                raise length_differs
            yield from self.read_range(0, self.size)
            return
        missing_bytes = self.backup.content_bytes
        for block in self.blocks():
            missing_bytes -= len(block)
            yield block
        if missing_bytes:  # a truncated compressed file may end without an error
            raise length_differs

    def _reader(self) -> ArchiveReader:
        reader = ArchiveReader(self.blocks())
        if reader.manifest.backup_id != self.backup.id:
            raise BackupDamaged(f"The file of {self.backup.id} holds backup {reader.manifest.backup_id[:80]!r}")
        return reader


class BackupReader:
    """The reader of one owner's backups."""

    def __init__(self, *, store: RecordStore, folders: BackupLocations, owner: str) -> None:
        self._store = store
        self._folders = folders
        self._owner = owner

    @asynccontextmanager
    async def open(self, backup_id: str, *, even_damaged: bool = False) -> AsyncIterator[OpenBackup]:
        """Open the file of a verified backup.

        When the context ends with BackupDamaged or NotABackup, the backup is recorded as damaged.

        Args:
            backup_id: The backup.
            even_damaged: Whether to open a backup that is known to be damaged.

        Raises:
            BackupNotFound: no backup has this id.
            BackupUnusable: the backup is not verified, is damaged, or has expired.
            BackupUnreachable: its file or folder cannot be reached from this machine.
        """
        usable = (BackupState.VERIFIED, BackupState.DAMAGED) if even_damaged else (BackupState.VERIFIED,)
        backup = await self._in_state(usable, backup_id)
        folder = await self._folders.for_backup(backup)
        if await self._folders.is_unreachable(backup, folder):
            path = self._folders.path_for(backup, folder)
            raise BackupUnreachable(
                f"The folder of {backup_id} cannot be reached from this machine: {path}",
                remedy=Remedy.FIND_BACKUP_FOLDER,
                path=path,
            )
        try:
            with folder.open(backup_id) as file:
                # Check again: the backup may have expired meanwhile, and the file may belong to a newer one.
                await self._in_state(usable, backup_id)
                yield OpenBackup(backup, file)
        except (BackupDamaged, NotABackup) as error:
            await self._record_damage(backup)
            raise _damaged_error(backup_id, error) from error

    async def verify(self, backup_id: str, *, on_progress: Listener | None = None) -> Backup:
        """Read a backup, compare all of it with its snapshot, and record whether it is intact.

        Raises like `open`, and BackupDamaged.
        """
        async with self.open(backup_id, even_damaged=True) as opened:
            reporter = BackupProgressReporter(backup_id, on_progress)
            await verifier.verify(self._store, opened.backup, opened.file, reporter)
            return await self._store.mark_intact(opened.backup)

    async def _in_state(self, usable: Collection[BackupState], backup_id: str) -> Backup:
        backup = await self._store.backup(self._owner, backup_id)
        if backup.state not in usable:
            raise backup_unusable_error(backup)
        return backup

    async def _record_damage(self, backup: Backup) -> None:
        try:
            if await self._store.mark_damaged(backup):
                _log.warning("backup_damaged", backup=backup.id)
        except BackstayError as error:  # the damage is the error to report
            _log.warning("backup_damage_unrecorded", backup=backup.id, error=error.message)


def _damaged_error(backup_id: str, error: BackstayError) -> BackupDamaged:
    """Return the error of reading a backup's file, with the backup's id."""
    message = error.message if backup_id in error.message else f"{backup_id}: {error.message}"
    return BackupDamaged(message, remedy=Remedy.REPLACE_BACKUP_FILE, **{"backup_id": backup_id, **error.context})


def _has_digest(conversation: ArchivedConversation, digest: bytes) -> bool:
    # Most lines are canonical as they are.
    if conversation.digest == digest:
        return True
    try:
        return digest_of_document(conversation.document) == digest
    except TypeError:
        return False  # nested deeper than any line of a backup
