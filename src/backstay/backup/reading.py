"""Opening backups: for verification, download and restore."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from backstay.backup.backup import Backup, BackupState, Listener, Sealed
from backstay.backup.folders import Folders
from backstay.backup.progress import Teller
from backstay.backup.store import BackupStore, Kept
from backstay.backup.verifier import Verifier
from backstay.errors import BackupDamaged, BackupUnreachable, BackupUnusable, NotABackup
from backstay.library.archive import ArchiveReader, Line, Manifest, decompressed

_BLOCK = 1024 * 1024

Holds = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup whose file is open: it stays whole, whatever becomes of its name."""

    backup: Backup
    file: BinaryIO

    @property
    def size(self) -> int:
        """Bytes of the file that is open, whatever its record says."""
        return os.fstat(self.file.fileno()).st_size

    def part(self, start: int, length: int) -> Iterator[bytes]:
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

    def documents(self, holds: Holds | None = None) -> Iterator[Iterator[Kept]]:
        """Yield the conversations that are wanted, from the beginning at each call. Blocks.

        Raises:
            BackupDamaged: the file is not whole, or goes on behind its end. What was yielded before is void.
        """
        reader, position = self._reader(), 0
        for lines in reader.batches():
            yield _wanted(lines, position, holds)
            position += len(lines)
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
        if not folder.path.is_dir() or await self._folders.is_out_of_sight(backup, folder):
            place = self._folders.place_of(backup, folder)
            raise BackupUnreachable(f"The folder of {backup_id} cannot be seen from here: {place}", path=place)
        with _told_of(backup_id), folder.opened(backup_id) as file:
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


@contextmanager
def _told_of(backup_id: str) -> Iterator[None]:
    """Have an error about a damaged file say which backup it is, and what one can do."""
    try:
        yield
    except (BackupDamaged, NotABackup) as error:
        named = error.message if backup_id in error.message else f"{backup_id}: {error.message}"
        error.context.setdefault("backup_id", backup_id)
        raise type(error)(
            f"{named}. Put back a copy of its file, or use another of `backstay backups list`", **error.context
        ) from error


def _usable(backup: Backup) -> Backup:
    if backup.state is BackupState.VERIFIED:
        return backup
    why = {
        BackupState.RUNNING: "is still being written; wait for it",
        BackupState.FAILED: f"failed and holds nothing ({backup.error})",
        BackupState.EXPIRED: "has expired, its file is gone",
    }[backup.state]
    raise BackupUnusable(f"{backup.id} {why}", backup_id=backup.id, state=str(backup.state))


def _wanted(lines: Sequence[Line], first: int, holds: Holds | None) -> Iterator[Kept]:
    for position, (line, digest) in enumerate(lines, start=first):
        try:
            document = orjson.loads(line)
            is_wanted = holds is None or holds(document)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise BackupDamaged(f"Conversation {position + 1:,} of the backup cannot be read") from error
        if is_wanted:
            yield position, document, line, digest
