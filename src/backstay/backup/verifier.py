"""Reading a backup back, and comparing all of it with what its snapshot found."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import BinaryIO

import orjson

from backstay.backup.backup import Backup, BackupPhase, SealedFile
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import BackupStore
from backstay.errors import BackstayError, BackupDamaged
from backstay.library.archive import ArchiveReader, Line, decompressed
from backstay.library.record import digest_of_document


class Verifier:
    """Decodes every conversation of a file and compares its digest with the one that the snapshot noted.

    A checksum alone would only say that the file is what was written, and not that what was written is right.
    """

    def __init__(self, *, store: BackupStore) -> None:
        self._store = store

    async def verify(self, backup: Backup, sealed: SealedFile, file: BinaryIO, teller: BackupProgressReporter) -> None:
        """Check a file against its record.

        Raises:
            BackupDamaged: it is anything but what the snapshot found; the message says where.
            BackupUnreachable: it cannot be read.
        """
        counting = _HashingReader(file)
        try:
            reader = await asyncio.to_thread(lambda: ArchiveReader(decompressed(counting)))  # type: ignore[arg-type]
            if reader.manifest.backup_id != backup.id:
                raise BackupDamaged(f"The file holds backup {reader.manifest.backup_id[:80]!r}")
            await self._compare(backup, sealed, reader, teller)
        except BackupDamaged as error:
            raise BackupDamaged(f"{backup.id}: {error.message}", backup_id=backup.id) from error
        except BackstayError as error:
            error.context.setdefault("backup_id", backup.id)
            raise
        if (counting.size, counting.sha.digest()) != (sealed.file_bytes, sealed.file_sha256):
            raise BackupDamaged(f"{backup.id}: The file is not the one that was verified", backup_id=backup.id)

    async def _compare(
        self, backup: Backup, sealed: SealedFile, reader: ArchiveReader, teller: BackupProgressReporter
    ) -> None:
        batches, position = reader.batches(), 0
        while (lines := await asyncio.to_thread(next, batches, None)) is not None:
            noted = await self._store.digests(backup, first=position, limit=len(lines))
            await asyncio.to_thread(_check, lines, noted, position)
            position += len(lines)
            await teller.report(BackupPhase.VERIFYING, position, sealed.conversations, reader.content_bytes)
        if position != sealed.conversations or reader.content_bytes != sealed.content_bytes:
            raise BackupDamaged(f"The file holds {position:,} conversations of {sealed.conversations:,}")


class _HashingReader:
    """A file that is read once, and what it was."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha.update(data)
        self.size += len(data)
        return data


def _check(lines: Sequence[Line], noted: Sequence[tuple[str, bytes]], position: int) -> None:
    """Decode each line, and compare what it says with what the snapshot noted."""
    if len(lines) > len(noted):
        raise BackupDamaged(f"The file holds more than the {position + len(noted):,} conversations that were backed up")
    for number, ((line, line_digest), (name, digest)) in enumerate(zip(lines, noted, strict=True), start=position + 1):
        try:
            document = orjson.loads(line)
            # Most lines are canonical as they stand.
            is_same = line_digest == digest or digest_of_document(document) == digest
            is_same = is_same and document["id"] == name
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BackupDamaged(f"Conversation {number:,} of the file cannot be read") from error
        if not is_same:
            raise BackupDamaged(f"Conversation {number:,} of the file is not what was backed up")
