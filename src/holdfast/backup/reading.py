"""Opening backups: for verification, download and restore."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from holdfast.backup.backup import Backup, BackupState, Listener, Sealed
from holdfast.backup.folders import Folders
from holdfast.backup.progress import Teller
from holdfast.backup.store import BackupStore, Kept
from holdfast.backup.verifier import Verifier
from holdfast.errors import BackupDamaged, BackupUnreachable, BackupUnusable
from holdfast.library.archive import ArchiveReader, Manifest, decompressed
from holdfast.library.record import Document

Holds = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup whose file is open: it stays whole, whatever becomes of its name."""

    backup: Backup
    file: BinaryIO

    def manifest(self) -> Manifest:
        """Read what the file says about itself. Blocks."""
        return self._reader().manifest

    def documents(self, holds: Holds | None = None) -> Iterator[Sequence[Kept]]:
        """Yield the conversations that are wanted, from the beginning at each call. Blocks.

        Raises:
            BackupDamaged: the file is not whole, or goes on behind its end. What was yielded before is void.
        """
        reader, position = self._reader(), 0
        for lines in reader.batches():
            documents = []
            for number, line in enumerate(lines, start=position):
                document = _parsed(line, number + 1)
                if holds is None or holds(document):
                    documents.append((number, document, line))
            position += len(lines)
            yield documents
        if position != self.backup.conversations:
            raise BackupDamaged(f"{self.backup.id} holds {position:,} conversations of {self.backup.conversations:,}")

    def blocks(self) -> Iterator[bytes]:
        """Yield the JSON of the file. Blocks."""
        self.file.seek(0)
        return decompressed(self.file)

    def _reader(self) -> ArchiveReader:
        reader = ArchiveReader(self.blocks())
        if reader.manifest.backup_id != self.backup.id:
            raise BackupDamaged(f"The file of {self.backup.id} holds backup {reader.manifest.backup_id[:80]!r}")
        return reader


class Reading:
    """Opens the backups of one owner."""

    def __init__(self, *, store: BackupStore, folders: Folders, verifier: Verifier, owner: str) -> None:
        self._store = store
        self._folders = folders
        self._verifier = verifier
        self._owner = owner

    @asynccontextmanager
    async def opened(self, backup_id: str) -> AsyncIterator[OpenBackup]:
        """Open the file of a verified backup.

        Raises:
            BackupNotFound: there is none of this id.
            BackupUnusable: it is not verified, or has expired.
            BackupUnreachable: its file or folder cannot be seen from here.
        """
        backup = _usable(await self._store.backup(self._owner, backup_id))
        folder = await self._folders.of(backup)
        if not folder.path.is_dir():
            raise BackupUnreachable(
                f"The folder of {backup_id} cannot be seen from here: {folder.path}", path=str(folder.path)
            )
        with folder.opened(backup_id) as file:
            # Once more: had it expired before it was opened, what was opened may be something else by now.
            yield OpenBackup(_usable(await self._store.backup(self._owner, backup_id)), file)

    async def verify(self, backup_id: str, *, on_progress: Listener | None = None) -> Backup:
        """Read a backup back and compare all of it. Raises as `opened`, and BackupDamaged."""
        async with self.opened(backup_id) as found:
            backup = found.backup
            sealed = Sealed(
                backup.conversations,
                backup.turns,
                backup.content_bytes,
                backup.file_bytes,
                backup.file_sha256 or b"",
            )
            await self._verifier.verify(backup, sealed, found.file, Teller(backup_id, on_progress))
            return backup


def _usable(backup: Backup) -> Backup:
    if backup.state is BackupState.VERIFIED:
        return backup
    why = {
        BackupState.RUNNING: "is still being written; wait for it",
        BackupState.FAILED: f"failed and holds nothing ({backup.error})",
        BackupState.EXPIRED: "has expired, its file is gone",
    }[backup.state]
    raise BackupUnusable(f"{backup.id} {why}", backup_id=backup.id, state=str(backup.state))


def _parsed(line: bytes, number: int) -> Document:
    try:
        document = orjson.loads(line)
        if isinstance(document, dict):
            return document
    except orjson.JSONDecodeError as error:
        raise BackupDamaged(f"Conversation {number:,} of the backup cannot be read") from error
    raise BackupDamaged(f"Conversation {number:,} of the backup cannot be read")
