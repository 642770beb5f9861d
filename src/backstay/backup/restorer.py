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
from backstay.backup.restore_plan import RestorePlan, RestoreResult
from backstay.backup.store import ArchivedConversation, RecordedItems, RestoreSource, RestoreStore, ToRows
from backstay.backup.writer import BackupWriter
from backstay.errors import ConversationNotFound, EmptySelection
from backstay.library.choices import RestoreConflictPolicy
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
        retention: timedelta,
    ) -> None:
        self._store = store
        self._folders = folders
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._retention = retention

    async def plan(self, backup_id: str, selection: Selection | None) -> RestorePlan:
        """Return what a restore would do. Raises like `restore`, except that conflicts are part of the plan."""
        async with self._reader.open(backup_id) as opened:
            return await self._store.plan_restore(await _source(opened, selection))

    async def restore(
        self,
        backup_id: str,
        selection: Selection | None,
        *,
        on_conflict: RestoreConflictPolicy,
        on_progress: Listener | None,
    ) -> RestoreResult:
        """Restore the conversations of a backup, or those selected. See `Backups.restore`."""
        async with self._reader.open(backup_id) as opened:
            source = await _source(opened, selection)
            replaced = await self._back_up_conflicts(source) if on_conflict is RestoreConflictPolicy.REPLACE else None
            result = await self._store.restore(
                source,
                on_conflict=on_conflict,
                replaced=replaced,
                is_file_complete=await self._file_check(replaced),
                on_progress=_report_to(on_progress, opened.backup),
            )
        _log.info("backup_restored", backup=backup_id, restored=result.restored)
        return replace(result, replaced_backup_id=replaced.id if replaced is not None else None)

    async def _back_up_conflicts(self, source: RestoreSource) -> Backup | None:
        """Back up the conversations that a restore would replace; return None if there are none."""
        keys = await self._store.keys_to_replace(source)
        if not keys:
            return None
        return await self._writer.write(keys, reason=_REASON, retention=self._retention, expected=len(keys))

    async def _file_check(self, backup: Backup | None) -> Callable[[], bool]:
        """Return a function that checks that the file of a backup exists; without a backup it returns True."""
        if backup is None:
            return lambda: True
        return partial((await self._folders.for_backup(backup)).has, backup.id, size=backup.file_bytes)


def _report_to(listener: Listener | None, backup: Backup) -> Callable[[int], None]:
    """Return a function that reports the number of restored conversations from any thread."""
    loop, reporter = asyncio.get_running_loop(), BackupProgressReporter(backup.id, listener)

    def report(conversations: int) -> None:
        if listener is not None:
            progress = reporter.report(BackupPhase.RESTORING, conversations, backup.conversations)
            asyncio.run_coroutine_threadsafe(progress, loop)

    return report


async def _source(opened: OpenBackup, selection: Selection | None) -> RestoreSource:
    manifest = await asyncio.to_thread(opened.manifest)
    if selection is None or not selection.check().is_narrowed:
        return RestoreSource(opened.backup, manifest.columns, opened.conversations, opened.recipes, is_whole=True)
    selected = _SelectedConversations(opened, selection)
    return RestoreSource(opened.backup, manifest.columns, selected.read, opened.recipes, is_whole=False)


class _SelectedConversations:
    """The selected conversations of a backup, and a check that the selection was found in it."""

    def __init__(self, opened: OpenBackup, selection: Selection) -> None:
        self._opened = opened
        self._ids = selection.ids
        self._matches = selection.matcher()
        self._seen: set[str] = set()
        self._count = 0

    def read(self, recorded: RecordedItems, to_rows: ToRows) -> Iterator[list[ArchivedConversation]]:
        """Yield the selected conversations, verified; each call starts at the beginning of the file.

        Raises ConversationNotFound, EmptySelection at the end: the backup does not hold what is selected.
        """
        self._seen, self._count = set(), 0
        yield from self._opened.conversations(recorded, to_rows, self._note_match)
        self._check()

    def _note_match(self, document: Mapping[str, Any]) -> bool:
        if not self._matches(document):
            return False
        self._count += 1
        if self._ids:
            self._seen.add(document["id"])
        return True

    def _check(self) -> None:
        missing = [conversation_id for conversation_id in self._ids if conversation_id not in self._seen]
        backup_id = self._opened.backup.id
        if missing:
            ids_text = ", ".join(repr(name) for name in missing[:10])
            raise ConversationNotFound(
                f"{backup_id} holds no conversation {ids_text}; nothing was restored",
                remedy=None,
                backup_id=backup_id,
                conversation_ids=missing[:100],
            )
        if not self._count:
            raise EmptySelection(
                f"No conversation of {backup_id} is selected; without a selection all of it is restored", remedy=None
            )
