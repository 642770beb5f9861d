"""Deleting so that it can be undone: plan, backup, verify, then bounded transactions.

Implements `library.removal.Deleter`.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from backstay.backup.backup import Backup, BackupPhase, DeleteState, Listener
from backstay.backup.cleanup import Cleaner
from backstay.backup.locations import BackupLocations
from backstay.backup.obstacles import delete_blocked
from backstay.backup.progress import BackupProgressReporter
from backstay.backup.reader import BackupReader
from backstay.backup.store import BackupStore
from backstay.backup.writer import BackupWriter
from backstay.errors import ConversationNotFound, EmptySelection, PlanOutdated
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_SAMPLE = 5
_NAMED = 10
_FRAME = 400  # bytes, about, of the lines of a backup that are no conversation
_REASON = "bulk_delete"
# Others wait for the write lock while a step has it: a quarter of a second is the most that anybody may notice. What is
# spent on the way to a server and back is not shortened by taking less along.
_STEP_SECONDS = 0.04
_FIRST_STEP = 16
_LONGEST_STEP = 2_000
_LONGEST_BREAK = 0.05


class DeleteService:
    """Deletes conversations of one owner."""

    def __init__(
        self,
        *,
        store: BackupStore,
        conversations: ConversationStore,
        writer: BackupWriter,
        reader: BackupReader,
        folders: BackupLocations,
        cleaner: Cleaner,
        owner: str,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._writer = writer
        self._reading = reader
        self._folders = folders
        self._cleaner = cleaner
        self._owner = owner
        self._keep = keep

    async def plan(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Say what a delete would remove.

        Raises:
            EmptySelection: nothing is selected, or nothing of it is there.
            ConversationNotFound: ids were given that are not there, unless these are to be ignored.
            DeleteBlocked: rows of other tables are in the way.
        """
        missing = await self._missing(selection, ignored=ignore_missing)
        found = await self._store.measure(self._owner, selection, sample=_SAMPLE)
        _refuse_empty_selection(found.conversations)
        if found.obstacles:
            raise delete_blocked(found.obstacles)
        return DeletePlan(
            selection,
            found.conversations,
            found.turns,
            _FRAME + found.estimated_bytes,
            found.digest,
            found.sample,
            missing,
            found.related,
            found.triggers,
        )

    async def count(self, selection: Selection, *, ignore_missing: bool = False) -> int:
        """Return how many conversations are selected. Raises as `plan`."""
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
        expires_in: timedelta | None = None,
        on_progress: Listener | None = None,
    ) -> DeleteResult:
        """Remove what the plan shows, after a verified backup of it. Errors as of `Deleter`."""
        if not backup:
            return await self._delete_without_backup(plan, on_progress)
        record = await self._writer.write(
            plan.selection,
            reason=reason or _REASON,
            keep=expires_in or self._keep,
            expected=plan.conversations,
            planned=plan.digest,
            deleting=True,
            on_progress=on_progress,
        )
        deletion = await self._delete(record, on_progress)
        await self._cleaner.clean_daily()
        return deletion

    async def resume(self, backup_id: str, *, on_progress: Listener | None = None) -> DeleteResult:
        """Go on with a delete that was cut off, once its backup is verified again; twice is safe."""
        backup = await self._store.backup(self._owner, backup_id)
        if backup.is_delete_unfinished:
            await self._store.check_restorable()
            await self._reading.verify(backup.id, on_progress=on_progress)
        done = await self._delete(backup, on_progress)
        return replace(done, was_finished=not backup.is_delete_unfinished)

    async def _missing(self, selection: Selection, *, ignored: bool) -> Sequence[str]:
        if not selection.check().ids:
            return ()
        missing = await self._conversations.missing(self._owner, selection.ids, limit=_NAMED)
        if missing and not ignored:
            named = ", ".join(repr(name) for name in missing)
            remedy = "`backstay conversations list` shows those there are; a delete takes --ignore-missing"
            raise ConversationNotFound(
                f"There is no conversation {named}; nothing was done. {remedy}", conversation_ids=list(missing)
            )
        return missing

    async def _delete(self, backup: Backup, on_progress: Listener | None) -> DeleteResult:
        folder = await self._folders.for_backup(backup)
        is_there = partial(folder.has, backup.id, size=backup.file_bytes)
        teller, limit, is_last = (
            BackupProgressReporter(backup.id, on_progress),
            _FIRST_STEP,
            backup.deletion is DeleteState.DELETED,
        )
        while not is_last:
            started = time.monotonic()
            step = await self._store.delete_step(backup, limit=limit, file_exists=is_there)
            took = time.monotonic() - started - step.network_seconds
            backup, is_last = step.backup, step.is_last
            await teller.report(
                BackupPhase.DELETING, backup.deleted + backup.changed + backup.gone, backup.conversations
            )
            limit = _next_limit(limit, took)
            if not is_last:
                await asyncio.sleep(min(took, _LONGEST_BREAK))  # who waits for the lock only looks now and then
        outcomes = await self._store.delete_outcomes(backup, limit=1_000)
        _log.info("conversations_deleted", backup=backup.id, deleted=backup.deleted, changed=backup.changed)
        return DeleteResult(
            backup_id=backup.id,
            deleted=backup.deleted,
            changed=backup.changed,
            gone=backup.gone,
            changed_ids=[name for name, outcome in outcomes if outcome == "changed"][:_NAMED],
            gone_ids=[name for name, outcome in outcomes if outcome == "gone"][:_NAMED],
        )

    async def _delete_without_backup(self, plan: DeletePlan, on_progress: Listener | None) -> DeleteResult:
        found = await self._store.measure(self._owner, plan.selection, sample=0)
        if found.digest != plan.digest:
            raise PlanOutdated(
                "What is selected has changed since the plan was made; nothing was deleted. Look at a new plan"
            )
        last = await self._store.last_key()
        teller, limit, deleted, kept = BackupProgressReporter("", on_progress), _FIRST_STEP, 0, 0
        after: int | None = 0
        while after is not None:
            started = time.monotonic()
            step = await self._store.delete_without_backup(
                self._owner, plan.selection, after=after, last=last, limit=limit
            )
            took = time.monotonic() - started - step.network_seconds
            after, deleted, kept = step.reached_key, deleted + step.deleted, kept + step.kept_by_trigger
            limit = _next_limit(limit, took)
            await teller.report(BackupPhase.DELETING, deleted, plan.conversations)
            await asyncio.sleep(min(took, _LONGEST_BREAK))
        _log.info("conversations_deleted", backup=None, deleted=deleted)
        is_erased = await self._store.erase()
        gone = plan.conversations - deleted - kept
        return DeleteResult(None, deleted, changed=kept, gone=gone, is_erased=is_erased)


def _refuse_empty_selection(count: int) -> None:
    if not count:
        raise EmptySelection("No conversation is selected; `backstay conversations list` shows those there are")


def _next_limit(limit: int, seconds: float) -> int:
    if seconds > _STEP_SECONDS:
        return max(1, limit // 2)
    return min(_LONGEST_STEP, limit * 2) if seconds < _STEP_SECONDS / 2 else limit
