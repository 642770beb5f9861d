"""Bringing back what a backup holds: planned first, all or nothing."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from backstay.backup.backup import Backup, BackupPhase, Listener
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.reader import BackupReader, OpenBackup
from backstay.backup.restore_plan import OnConflict, RestorePlan, RestoreResult
from backstay.backup.store import BackupEntry, BackupStore
from backstay.backup.writer import BackupWriter
from backstay.errors import ConversationNotFound, EmptySelection
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_REASON = "before_restore"


class Restorer:
    """Restores backups of one owner."""

    def __init__(
        self,
        *,
        store: BackupStore,
        folders: BackupLocations,
        reader: BackupReader,
        writer: BackupWriter,
        owner: str,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._folders = folders
        self._reading = reader
        self._writer = writer
        self._owner = owner
        self._keep = keep

    async def plan(self, backup_id: str, selection: Selection | None = None) -> RestorePlan:
        """Say what a restore would do. Raises as `restore`, but for conflicts, which are in the plan."""
        async with self._reading.open(backup_id) as found:
            return await self._plan(found, _RestoreSelection(found, selection))

    async def restore(
        self,
        backup_id: str,
        selection: Selection | None = None,
        *,
        on_conflict: OnConflict = OnConflict.FAIL,
        on_progress: Listener | None = None,
    ) -> RestoreResult:
        """Bring back what a backup holds, or the part of it that is selected. Twice is safe.

        Raises:
            BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged: there is nothing to restore from.
            ConversationNotFound: an id was given that the backup does not hold.
            EmptySelection: nothing of the backup is selected.
            RestoreConflict: something is in the way, and it was not said to skip or replace.
            ColumnsDiffer: the backup has columns that the database lacks.
            RestoreDiffers: something did not come back as it was. Nothing is changed in any of these cases.
        """
        async with self._reading.open(backup_id) as found:
            wanted = _RestoreSelection(found, selection)
            saved: Backup | None = None
            if on_conflict is OnConflict.REPLACE:
                ids = tuple((await self._plan(found, wanted)).in_the_way)
                if ids:
                    saved = await self._writer.write(
                        Selection(ids=ids), reason=_REASON, keep=self._keep, expected=len(ids)
                    )
                del ids  # there may be many
            restored = await self._restore(found, wanted, on_conflict, saved, on_progress)
        _log.info("backup_restored", backup=backup_id, restored=restored.restored)
        return replace(restored, replaced_backup_id=saved.id if saved is not None else None)

    async def _plan(self, found: OpenBackup, wanted: "_RestoreSelection") -> RestorePlan:
        manifest = await asyncio.to_thread(found.manifest)
        plan = await self._store.plan_restore(found.backup, wanted.documents, manifest.columns)
        wanted.check()
        return plan

    async def _restore(
        self,
        found: OpenBackup,
        wanted: "_RestoreSelection",
        on_conflict: OnConflict,
        replaced: Backup | None,
        on_progress: Listener | None,
    ) -> RestoreResult:
        manifest = await asyncio.to_thread(found.manifest)
        loop, teller = asyncio.get_running_loop(), BackupProgressReporter(found.backup.id, on_progress)

        def tell(done: int) -> None:
            asyncio.run_coroutine_threadsafe(
                teller.report(BackupPhase.RESTORING, done, found.backup.conversations), loop
            )

        def documents() -> Iterator[Iterable[BackupEntry]]:
            yield from wanted.documents()
            wanted.check()

        return await self._store.restore(
            found.backup,
            documents,
            manifest.columns,
            undoes=wanted.is_all,
            on_conflict=on_conflict,
            replaced=replaced,
            file_exists=await self._file_check(replaced),
            on_progress=tell if on_progress is not None else lambda _: None,
        )

    async def _file_check(self, backup: Backup | None) -> Callable[[], bool]:
        """Return what looks whether the file of a backup is there; without a backup, none is missing."""
        if backup is None:
            return lambda: True
        return partial((await self._folders.for_backup(backup)).has, backup.id, size=backup.file_bytes)


class _RestoreSelection:
    """The part of a backup that is asked for, and whether it was found."""

    def __init__(self, found: OpenBackup, selection: Selection | None) -> None:
        self._found = found
        self._selection = selection if selection is not None and selection.is_narrowed else None
        self._ids = self._selection.ids if self._selection is not None else ()
        self._matches = (self._selection or Selection(everything=True)).matcher()
        self._seen: set[str] = set()
        self._count = 0

    @property
    def is_all(self) -> bool:
        return self._selection is None

    def documents(self) -> Iterator[Iterable[BackupEntry]]:
        """Yield what is wanted, from the beginning at each call."""
        self._seen, self._count = set(), 0
        return self._found.entries(self._holds if self._selection is not None else None)

    def _holds(self, document: Mapping[str, Any]) -> bool:
        if not self._matches(document):
            return False
        self._count += 1
        if self._ids:
            self._seen.add(document["id"])
        return True

    def check(self) -> None:
        """Refuse a selection that asks for what is not there. After all documents were yielded."""
        if self._selection is None:
            return
        missing = [name for name in self._ids if name not in self._seen]
        backup_id = self._found.backup.id
        if missing:
            named = ", ".join(repr(name) for name in missing[:10])
            raise ConversationNotFound(
                f"{backup_id} holds no conversation {named}; nothing was restored",
                backup_id=backup_id,
                conversation_ids=missing[:100],
            )
        if not self._count:
            raise EmptySelection(f"Nothing of {backup_id} is selected; without a selection all of it is restored")
