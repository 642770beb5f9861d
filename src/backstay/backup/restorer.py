"""Restores of backups: planned first, then all or nothing."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from backstay.backup.backup import Backup, BackupPhase, Listener
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.reader import BackupReader, OpenBackup
from backstay.backup.restore_plan import OnConflict, RestorePlan, RestoreResult
from backstay.backup.store import ArchivedConversation, RecordedItems, RestoreStore, ToRows
from backstay.backup.writer import BackupWriter
from backstay.errors import ConversationNotFound, EmptySelection
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_REASON = "before_restore"


class Restorer:
    """The planner and executor of restores of one owner's backups."""

    def __init__(
        self,
        *,
        store: RestoreStore,
        folders: BackupLocations,
        reader: BackupReader,
        writer: BackupWriter,
        owner: str,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._folders = folders
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._keep = keep

    async def plan(self, backup_id: str, selection: Selection | None = None) -> RestorePlan:
        """Return what a restore would do. Raises like `restore`, except that conflicts are part of the plan."""
        async with self._reader.open(backup_id) as opened:
            return await self._plan(opened, _RestoreSelection(opened, selection))

    async def restore(
        self, backup_id: str, selection: Selection | None, *, on_conflict: OnConflict, on_progress: Listener | None
    ) -> RestoreResult:
        """Restore the conversations of a backup, or those selected. See `Backups.restore`."""
        async with self._reader.open(backup_id) as opened:
            selected = _RestoreSelection(opened, selection)
            replaced: Backup | None = None
            if on_conflict is OnConflict.REPLACE and (ids := tuple((await self._plan(opened, selected)).in_the_way)):
                replaced = await self._writer.write(
                    Selection(ids=ids), reason=_REASON, keep=self._keep, expected=len(ids)
                )
                del ids  # there may be many
            result = await self._restore(opened, selected, on_conflict, replaced, on_progress)
        _log.info("backup_restored", backup=backup_id, restored=result.restored)
        return replace(result, replaced_backup_id=replaced.id if replaced is not None else None)

    async def _plan(self, opened: OpenBackup, selected: "_RestoreSelection") -> RestorePlan:
        manifest = await asyncio.to_thread(opened.manifest)
        return await self._store.plan_restore(opened.backup, selected.conversations, manifest.columns)

    async def _restore(
        self,
        opened: OpenBackup,
        selected: "_RestoreSelection",
        on_conflict: OnConflict,
        replaced: Backup | None,
        on_progress: Listener | None,
    ) -> RestoreResult:
        manifest = await asyncio.to_thread(opened.manifest)
        loop, reporter = asyncio.get_running_loop(), BackupProgressReporter(opened.backup.id, on_progress)

        def report(conversations: int) -> None:
            if on_progress is not None:
                asyncio.run_coroutine_threadsafe(
                    reporter.report(BackupPhase.RESTORING, conversations, opened.backup.conversations), loop
                )

        return await self._store.restore(
            opened.backup,
            selected.conversations,
            manifest.columns,
            undoes=selected.is_all,
            on_conflict=on_conflict,
            replaced=replaced,
            file_exists=await self._file_check(replaced),
            on_progress=report,
        )

    async def _file_check(self, backup: Backup | None) -> Callable[[], bool]:
        """Return a function that checks that the file of a backup exists; without a backup it returns True."""
        if backup is None:
            return lambda: True
        return partial((await self._folders.for_backup(backup)).has, backup.id, size=backup.file_bytes)


class _RestoreSelection:
    """The selected conversations of a backup, and a check that the selection was found in it."""

    def __init__(self, opened: OpenBackup, selection: Selection | None) -> None:
        self._opened = opened
        self._selection = selection if selection is not None and selection.is_narrowed else None
        self._ids = self._selection.ids if self._selection is not None else ()
        self._matches = (self._selection or Selection(everything=True)).matcher()
        self._seen: set[str] = set()
        self._count = 0

    @property
    def is_all(self) -> bool:
        return self._selection is None

    def conversations(self, recorded: RecordedItems, to_rows: ToRows) -> Iterator[list[ArchivedConversation]]:
        """Yield the selected conversations, verified; each call starts at the beginning of the file.

        Raises ConversationNotFound, EmptySelection at the end: the backup does not hold what is selected.
        """
        self._seen, self._count = set(), 0
        matches = self._note_match if self._selection is not None else None
        yield from self._opened.conversations(recorded, to_rows, matches)
        self._check()

    def _note_match(self, document: Mapping[str, Any]) -> bool:
        if not self._matches(document):
            return False
        self._count += 1
        if self._ids:
            self._seen.add(document["id"])
        return True

    def _check(self) -> None:
        if self._selection is None:
            return
        missing = [name for name in self._ids if name not in self._seen]
        backup_id = self._opened.backup.id
        if missing:
            named = ", ".join(repr(name) for name in missing[:10])
            raise ConversationNotFound(
                f"{backup_id} holds no conversation {named}; nothing was restored",
                backup_id=backup_id,
                conversation_ids=missing[:100],
            )
        if not self._count:
            raise EmptySelection(
                f"No conversation of {backup_id} is selected; without a selection all of it is restored"
            )
