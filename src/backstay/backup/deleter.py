"""Deletes that can be undone: plan, backup, verification, then deletion in bounded transactions.

Implements `library.deletion.Deleter`.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from backstay.backup.backup import Backup, BackupPhase, DeleteState, Listener
from backstay.backup.cleanup import Cleaner
from backstay.backup.error_messages import delete_blocked_error
from backstay.backup.locations import BackupLocations
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.reader import BackupReader
from backstay.backup.store import BackupStores
from backstay.backup.writer import BackupWriter
from backstay.errors import ConversationNotFound, EmptySelection, PlanOutdated
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore
from backstay.logs import get_logger
from backstay.remedy import Remedy

_log = get_logger("backstay.backup")

_SAMPLE_CONVERSATIONS = 5
_MAX_NAMED_IDS = 10
_FRAME_BYTES = 400  # approximate size of a backup's lines other than conversations
_REASON = "bulk_delete"
# Other writers wait while a step holds the write lock, so a step stays far below a quarter of a second. A smaller step
# would not shorten the network round trips, so their time is not counted.
_STEP_SECONDS = 0.04
_FIRST_STEP_CONVERSATIONS = 16
_MAX_STEP_CONVERSATIONS = 2_000
_MAX_BREAK_SECONDS = 0.05


class DeleteService:
    """The deletes of one owner's conversations."""

    def __init__(
        self,
        *,
        stores: BackupStores,
        conversations: ConversationStore,
        writer: BackupWriter,
        reader: BackupReader,
        folders: BackupLocations,
        cleaner: Cleaner,
        owner: str,
        retention: timedelta,
    ) -> None:
        self._stores = stores
        self._conversations = conversations
        self._writer = writer
        self._reader = reader
        self._folders = folders
        self._cleaner = cleaner
        self._owner = owner
        self._retention = retention

    async def plan(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Return what a delete would remove.

        Raises:
            EmptySelection: the selection matches no conversation.
            ConversationNotFound: a selected id does not exist; not with `ignore_missing`.
            DeleteBlocked: rows of other tables prevent the delete.
        """
        missing = await self._missing(selection, ignored=ignore_missing)
        measure = await self._stores.deletes.measure(self._owner, selection, sample=_SAMPLE_CONVERSATIONS)
        _refuse_empty_selection(measure.conversations)
        if measure.obstacles:
            raise delete_blocked_error(measure.obstacles)
        return DeletePlan(
            selection,
            measure.conversations,
            measure.turns,
            _FRAME_BYTES + measure.estimated_bytes,
            measure.digest,
            measure.sample,
            missing,
            measure.related,
            measure.triggers,
        )

    async def count(self, selection: Selection, *, ignore_missing: bool = False) -> int:
        """Return how many conversations are selected. Raises EmptySelection, ConversationNotFound."""
        await self._missing(selection, ignored=ignore_missing)
        count = await self._conversations.count(self._owner, selection)
        _refuse_empty_selection(count)
        return count

    async def delete(
        self,
        plan: DeletePlan,
        *,
        backup: bool = True,
        reason: str | None = None,
        retention: timedelta | None = None,
        on_progress: Listener | None = None,
    ) -> DeleteResult:
        """Back up the conversations of a plan, verify the backup, then delete them. Raises like `Deleter.delete`."""
        if not backup:
            return await self._delete_without_backup(plan, on_progress)
        record = await self._writer.write(
            plan.selection,
            reason=reason or _REASON,
            retention=self._retention if retention is None else retention,
            expected=plan.conversations,
            plan_digest=plan.digest,
            deleting=True,
            on_progress=on_progress,
        )
        deletion = await self._delete(record, on_progress)
        await self._cleaner.clean_daily()
        return deletion

    async def resume(self, backup_id: str, *, on_progress: Listener | None = None) -> DeleteResult:
        """Resume an interrupted delete after verifying its backup again. Idempotent."""
        backup = await self._stores.records.backup(self._owner, backup_id)
        if backup.is_delete_unfinished:
            await self._stores.creation.check_restorable()
            await self._reader.verify(backup.id, on_progress=on_progress)
        result = await self._delete(backup, on_progress)
        return replace(result, was_finished=not backup.is_delete_unfinished)

    async def _missing(self, selection: Selection, *, ignored: bool) -> Sequence[str]:
        if not selection.check().ids:
            return ()
        missing = await self._conversations.missing(self._owner, selection.ids, limit=_MAX_NAMED_IDS)
        if missing and not ignored:
            ids_text = ", ".join(repr(conversation_id) for conversation_id in missing)
            noun = "Conversation" if len(missing) == 1 else "Conversations"
            raise ConversationNotFound(
                f"{noun} {ids_text} not found, so nothing was done",
                remedy=Remedy.IGNORE_MISSING,
                conversation_ids=list(missing),
            )
        return missing

    async def _delete(self, backup: Backup, on_progress: Listener | None) -> DeleteResult:
        folder = await self._folders.for_backup(backup)
        is_file_complete = partial(folder.has, backup.id, size=backup.file_bytes)
        reporter = BackupProgressReporter(backup.id, on_progress)
        limit, is_last = _FIRST_STEP_CONVERSATIONS, backup.deletion is DeleteState.DELETED
        while not is_last:
            started = time.monotonic()
            step = await self._stores.deletes.delete_step(backup, limit=limit, is_file_complete=is_file_complete)
            seconds = time.monotonic() - started - step.network_seconds
            backup, is_last = step.backup, step.is_last
            await reporter.report(
                BackupPhase.DELETING, backup.deleted + backup.changed + backup.gone, backup.conversations
            )
            limit = _next_limit(limit, seconds)
            if not is_last:
                await asyncio.sleep(min(seconds, _MAX_BREAK_SECONDS))  # other writers poll for the lock
        outcomes = await self._stores.deletes.delete_outcomes(backup, limit=1_000)
        _log.info("conversations_deleted", backup=backup.id, deleted=backup.deleted, changed=backup.changed)
        return DeleteResult(
            backup_id=backup.id,
            deleted=backup.deleted,
            changed=backup.changed,
            gone=backup.gone,
            changed_ids=[name for name, outcome in outcomes if outcome == "changed"][:_MAX_NAMED_IDS],
            gone_ids=[name for name, outcome in outcomes if outcome == "gone"][:_MAX_NAMED_IDS],
        )

    async def _delete_without_backup(self, plan: DeletePlan, on_progress: Listener | None) -> DeleteResult:
        measure = await self._stores.deletes.measure(self._owner, plan.selection, sample=0)
        if measure.digest != plan.digest:
            raise PlanOutdated(
                "The selected conversations have changed since the plan was made; nothing was deleted. Make a new plan"
            )
        last = await self._stores.deletes.newest_key()
        reporter = BackupProgressReporter("", on_progress)
        limit, deleted, kept_by_trigger = _FIRST_STEP_CONVERSATIONS, 0, 0
        after: int | None = 0
        while after is not None:
            started = time.monotonic()
            step = await self._stores.deletes.delete_without_backup(
                self._owner, plan.selection, after=after, last=last, limit=limit
            )
            seconds = time.monotonic() - started - step.network_seconds
            after = step.reached_key
            deleted += step.deleted
            kept_by_trigger += step.kept_by_trigger
            limit = _next_limit(limit, seconds)
            await reporter.report(BackupPhase.DELETING, deleted, plan.conversations)
            await asyncio.sleep(min(seconds, _MAX_BREAK_SECONDS))
        _log.info("conversations_deleted", backup=None, deleted=deleted)
        is_erased = await self._stores.deletes.erase()
        gone = plan.conversations - deleted - kept_by_trigger
        return DeleteResult(None, deleted, changed=kept_by_trigger, gone=gone, is_erased=is_erased)


def _refuse_empty_selection(count: int) -> None:
    if not count:
        raise EmptySelection("No conversation is selected")


def _next_limit(limit: int, seconds: float) -> int:
    if seconds > _STEP_SECONDS:
        return max(1, limit // 2)
    return min(_MAX_STEP_CONVERSATIONS, limit * 2) if seconds < _STEP_SECONDS / 2 else limit
