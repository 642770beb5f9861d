"""Verification: a backup is read from its file, and all of it is compared with its snapshot."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import BinaryIO

import orjson

from backstay.backup.backup import Backup, BackupPhase
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.store import RecordStore
from backstay.errors import BackstayError, BackupDamaged
from backstay.library.archive import ArchiveReader, HashedLine, decompress
from backstay.library.curation import curation_digest
from backstay.library.record import digest_of_document


async def verify(store: RecordStore, backup: Backup, file: BinaryIO, reporter: BackupProgressReporter) -> None:
    """Decode each conversation of a file, and compare it with the snapshot, and the file with the backup's record.

    A checksum alone would only show that the file is what was written, not that the right content was written.

    Raises:
        BackupDamaged: the file differs; the message says where.
        BackupUnreachable: it cannot be read.
    """
    hashing = _HashingReader(file)
    try:
        reader = await asyncio.to_thread(lambda: ArchiveReader(decompress(hashing)))  # type: ignore[arg-type]  # only `read` is called
        if reader.manifest.backup_id != backup.id:
            raise BackupDamaged(f"The file holds backup {reader.manifest.backup_id[:80]!r}")
        await _compare(store, backup, reader, reporter)
    except BackupDamaged as error:
        raise BackupDamaged(f"{backup.id}: {error.message}", backup_id=backup.id) from error
    except BackstayError as error:
        error.context.setdefault("backup_id", backup.id)
        raise
    if (hashing.size, hashing.sha.digest()) != (backup.file_bytes, backup.file_sha256):
        raise BackupDamaged(f"{backup.id}: The file is not the one that was verified", backup_id=backup.id)


async def _compare(store: RecordStore, backup: Backup, reader: ArchiveReader, reporter: BackupProgressReporter) -> None:
    batches, position = reader.batches(), 0
    while (lines := await asyncio.to_thread(next, batches, None)) is not None:
        recorded = await store.digests(backup, first=position, limit=len(lines))
        await asyncio.to_thread(_check, lines, recorded, position)
        position += len(lines)
        await reporter.report(BackupPhase.VERIFYING, position, backup.conversations, reader.content_bytes)
    if position != backup.conversations:
        raise BackupDamaged(f"The file holds {position:,} conversations of {backup.conversations:,}")
    if reader.content_bytes != backup.content_bytes:
        raise BackupDamaged(f"The file holds {reader.content_bytes:,} bytes of {backup.content_bytes:,}")


class _HashingReader:
    """A wrapper of a file that counts and hashes the bytes that are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha.update(data)
        self.size += len(data)
        return data


def _check(lines: Sequence[HashedLine], recorded: Sequence[tuple[str, bytes, bytes | None]], position: int) -> None:
    """Decode each JSON line, and compare its id and digests with those that the snapshot recorded."""
    if len(lines) > len(recorded):
        count = position + len(recorded)
        raise BackupDamaged(f"The file holds more than the {count:,} conversations that were backed up")
    pairs = zip(lines, recorded, strict=True)
    for number, ((line, line_digest, curation), (conversation_id, digest, curated)) in enumerate(
        pairs, start=position + 1
    ):
        try:
            document = orjson.loads(line)
            # Most lines are canonical JSON already.
            is_same = line_digest == digest or digest_of_document(document) == digest
            is_same = is_same and document["id"] == conversation_id and curation_digest(curation) == curated
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BackupDamaged(f"Conversation {number:,} of the file cannot be read") from error
        if not is_same:
            raise BackupDamaged(f"Conversation {number:,} of the file is not what was backed up")
