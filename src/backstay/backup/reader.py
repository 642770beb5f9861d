"""Opening backups: for verification, download and restore."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from backstay.backup.backup import Backup, BackupState, Listener, SealedFile
from backstay.backup.locations import BackupLocations
from backstay.backup.obstacles import backup_unusable
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import BackupEntry, BackupStore
from backstay.backup.verifier import Verifier
from backstay.errors import BackstayError, BackupDamaged, BackupUnreachable, NotABackup
from backstay.library.archive import ArchiveReader, Line, Manifest, decompressed
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_BLOCK = 1024 * 1024

Matcher = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup whose file is open: it stays whole, whatever becomes of its name."""

    backup: Backup
    file: BinaryIO

    @property
    def size(self) -> int:
        """Bytes of the file that is open, whatever its record says."""
        return os.fstat(self.file.fileno()).st_size

    def read_range(self, start: int, length: int) -> Iterator[bytes]:
        """Yield a part of the file as it is on disk, in blocks. Blocks. Raises BackupUnreachable, BackupDamaged."""
        try:
            self.file.seek(start)
            while length:
                block = self.file.read(min(length, _BLOCK))
                if not block:
                    raise BackupDamaged(f"The file of {self.backup.id} is shorter than it was when it was opened")
                length -= len(block)
                yield block
        except OSError as error:
            raise BackupUnreachable(f"The backup cannot be read: {error.strerror}") from error

    def manifest(self) -> Manifest:
        """Read what the file says about itself. Blocks."""
        return self._reader().manifest

    def entries(self, matches: Matcher | None = None) -> Iterator[Iterator[BackupEntry]]:
        """Yield the conversations that are wanted, from the beginning at each call. Blocks.

        Raises:
            BackupDamaged: the file is not whole, or goes on behind its end. What was yielded before is void.
        """
        reader, position = self._reader(), 0
        for lines in reader.batches():
            yield _wanted(lines, position, matches)
            position += len(lines)
        if position != self.backup.conversations:
            raise BackupDamaged(f"{self.backup.id} holds {position:,} conversations of {self.backup.conversations:,}")

    def blocks(self) -> Iterator[bytes]:
        """Yield the JSON of the file. Blocks."""
        self.file.seek(0)
        return decompressed(self.file)

    def stream_file(self, *, compressed: bool) -> Iterator[bytes]:
        """Yield the JSON of the file or, compressed, the file as it is on disk. Blocks.

        Raises BackupDamaged, at the end at the latest, when it is longer or shorter than it was when verified.
        """
        different = BackupDamaged(f"The file of {self.backup.id} is longer or shorter than it was")
        if compressed:
            if self.size != self.backup.file_bytes:
                raise different
            yield from self.read_range(0, self.size)
            return
        left = self.backup.content_bytes
        for block in self.blocks():
            left -= len(block)
            yield block
        if left:  # a truncated compressed file may just end
            raise different

    def _reader(self) -> ArchiveReader:
        reader = ArchiveReader(self.blocks())
        if reader.manifest.backup_id != self.backup.id:
            raise BackupDamaged(f"The file of {self.backup.id} holds backup {reader.manifest.backup_id[:80]!r}")
        return reader


class BackupReader:
    """Opens the backups of one owner."""

    def __init__(self, *, store: BackupStore, folders: BackupLocations, verifier: Verifier, owner: str) -> None:
        self._store = store
        self._folders = folders
        self._verifier = verifier
        self._owner = owner

    @asynccontextmanager
    async def open(self, backup_id: str, *, even_damaged: bool = False) -> AsyncIterator[OpenBackup]:
        """Open the file of a verified backup.

        When the context ends with BackupDamaged or NotABackup, the backup is recorded as damaged.

        Args:
            backup_id: The backup.
            even_damaged: Open it even if it is known to be damaged.

        Raises:
            BackupNotFound: there is none of this id.
            BackupUnusable: it is not verified, is damaged, or has expired.
            BackupUnreachable: its file or folder cannot be seen from here.
        """
        usable = (BackupState.VERIFIED, BackupState.DAMAGED) if even_damaged else (BackupState.VERIFIED,)
        backup = await self._in_state(usable, backup_id)
        folder = await self._folders.for_backup(backup)
        if not folder.path.is_dir() or await self._folders.is_unreachable(backup, folder):
            place = self._folders.path_for(backup, folder)
            raise BackupUnreachable(f"The folder of {backup_id} cannot be seen from here: {place}", path=place)
        try:
            with folder.open(backup_id) as file:
                # Check again: if it expired before it was opened, the file may have been replaced.
                await self._in_state(usable, backup_id)
                yield OpenBackup(backup, file)
        except (BackupDamaged, NotABackup) as error:
            await self._record_damage(backup)
            raise _damaged(backup_id, error) from error

    async def verify(self, backup_id: str, *, on_progress: Listener | None = None) -> Backup:
        """Read a backup back, compare all of it, and record what was found.

        Raises like `opened`, and BackupDamaged.
        """
        async with self.open(backup_id, even_damaged=True) as found:
            backup = found.backup
            sealed = SealedFile(
                backup.conversations,
                backup.turns,
                backup.content_bytes,
                backup.file_bytes,
                backup.file_sha256 or b"",
            )
            await self._verifier.verify(backup, sealed, found.file, BackupProgressReporter(backup_id, on_progress))
            return await self._store.mark_intact(backup)

    async def _in_state(self, usable: Collection[BackupState], backup_id: str) -> Backup:
        backup = await self._store.backup(self._owner, backup_id)
        if backup.state not in usable:
            raise backup_unusable(backup)
        return backup

    async def _record_damage(self, backup: Backup) -> None:
        try:
            if await self._store.mark_damaged(backup):
                _log.warning("backup_damaged", backup=backup.id)
        except BackstayError as error:  # the damage is the error to report
            _log.warning("backup_damage_unrecorded", backup=backup.id, error=error.message)


def _damaged(backup_id: str, error: BackstayError) -> BackupDamaged:
    """Return the error of reading a backup's file, with the backup's id and the remedy."""
    named = error.message if backup_id in error.message else f"{backup_id}: {error.message}"
    remedy = f"Put back a copy of its file, then `backstay backups verify {backup_id}`; or use another backup"
    return BackupDamaged(f"{named}. {remedy}", **{"backup_id": backup_id, **error.context})


def _wanted(lines: Sequence[Line], first: int, holds: Matcher | None) -> Iterator[BackupEntry]:
    for position, (line, digest) in enumerate(lines, start=first):
        try:
            document = orjson.loads(line)
            is_wanted = holds is None or holds(document)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise BackupDamaged(f"Conversation {position + 1:,} of the backup cannot be read") from error
        if is_wanted:
            yield position, document, line, digest
