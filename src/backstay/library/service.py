"""The public API of stored conversations."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from backstay.coordination.expiring_value import ExpiringValue
from backstay.errors import ConversationNotFound, PlanOutdated
from backstay.library.choices import ImportConflictPolicy
from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, Deleter, DeleteResult
from backstay.library.id_text import quoted_id
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.imports.source import ImportSource
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore, ConversationSummary
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_notes import NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions

_PAGE_CONVERSATIONS = 500  # read at once while streaming: usually a few megabytes at most


class Conversations:
    """The stored conversations of one owner."""

    def __init__(self, *, store: ConversationStore, deleter: Deleter, owner: str) -> None:
        self._store = store
        self._deleter = deleter
        self._owner = owner

    async def show(self, conversation_id: str) -> Conversation:
        """Return one conversation with its turns.

        Raises:
            ConversationNotFound: this owner has no conversation with this id.
        """
        return await self._store.conversation(self._owner, conversation_id)

    async def list(
        self, selection: Selection | None = None, *, before: int | None = None, limit: int = 50
    ) -> Sequence[ConversationSummary]:
        """Return up to `limit` summaries, newest first, beginning after the one with the cursor `before`."""
        selection = selection or Selection(everything=True)
        return await self._store.summaries(self._owner, selection.check(), before=before, limit=limit)

    async def count(self, selection: Selection) -> int:
        """Return how many conversations the selection holds."""
        return await self._store.count(self._owner, selection.check())

    async def missing(self, selection: Selection, *, limit: int = 10) -> Sequence[str]:
        """Return up to `limit` ids of a selection that do not exist for this owner."""
        return await self._store.missing(self._owner, selection.ids, limit=limit) if selection.ids else ()

    async def export(self, selection: Selection) -> AsyncIterator[Conversation]:
        """Yield the selected conversations in storage order, with one page in memory at a time.

        Raises:
            EmptySelection: nothing is selected.
            ConversationNotFound: a selected id does not exist for this owner; raised before the first yield.
        """
        selection.check()
        await self._refuse_unknown(selection)
        after: int | None = 0
        while after is not None:
            page = await self._store.page(self._owner, selection, after=after, limit=_PAGE_CONVERSATIONS)
            for conversation in page.conversations:
                yield conversation
            after = page.next_cursor

    async def import_file(
        self,
        source: str | Path,
        *,
        on_conflict: ImportConflictPolicy | str = ImportConflictPolicy.FAIL,
        stdin: BinaryIO | None = None,
        read: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
        ceiling: InputCeiling | None = None,
        on_progress: Callable[[int], None] | None = None,
        receipt: Callable[[ImportResult], ExpiringValue | None] | None = None,
    ) -> ImportResult:
        """Store the conversations of a file, all or none of them.

        Args:
            source: The path of native, OpenAI `messages` or ShareGPT rows (JSONL, JSON or Parquet), or of a backup; a
                folder or a pattern of several such files; `-` is standard input. Unknown keys are kept as metadata.
            on_conflict: What to do if another conversation has the same id: `fail`, `skip` the row, or give it a `new`
                id. A row with the same content as the stored conversation is no conflict.
            stdin: The stream that `-` reads; by default the standard input of the process.
            read: The encoding and the delimiter, where they cannot be detected.
            on_note: Called, from any thread, with a sentence for each fact that was noticed about the input.
            ceiling: Limits of the file. If set, the whole file is read once before anything is stored, because other
                writers wait during an import.
            on_progress: Called, from any thread, with the number of imported rows.
            receipt: Returns an expiring value for the result, which is stored in the same transaction.

        Raises:
            InputError: the file or a row is unusable, or the file exceeds the ceiling.
            BackupError: the file is a backup that is incomplete or has a newer version.
            ConversationExists: another conversation has the same id, and `on_conflict` is `fail`.
        """
        path = None if str(source) == "-" else Path(source)
        report = on_progress if on_progress is not None else lambda _: None
        with closing(ImportSource(path, stdin=stdin, options=read, on_note=on_note)) as rows:
            if ceiling is not None:
                await asyncio.to_thread(rows.check, ceiling)
            return await self._store.import_conversations(
                self._owner, rows, ImportConflictPolicy(on_conflict), report, receipt
            )

    async def plan_delete(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Return what a delete would remove. Raises EmptySelection, ConversationNotFound, DeleteBlocked."""
        return await self._deleter.plan(selection, ignore_missing=ignore_missing)

    async def delete(
        self,
        selection: Selection | DeletePlan,
        *,
        backup: bool = True,
        plan_digest: str | None = None,
        reason: str | None = None,
        retention: timedelta | None = None,
        on_progress: Any = None,
    ) -> DeleteResult:
        """Back up conversations, verify the backup, then delete them; the result names the backup.

        Args:
            selection: The conversations; or a plan, to delete exactly what the plan shows.
            backup: Whether to make a backup first. Without one the conversations cannot be restored.
            plan_digest: The digest of the plan that was confirmed.
            reason: The reason, for people; kept with the backup.
            retention: How long the backup is kept, from the end of the delete; by default BACKUP_RETENTION_DAYS.
            on_progress: Called with the progress, a `backstay.BackupProgress`.

        Raises:
            EmptySelection, ConversationNotFound: nothing is selected, or a selected id does not exist.
            PlanOutdated: the selection matches other conversations than the plan shows.
            BackupError: the backup failed. Nothing was deleted if this or an error above is raised.
            StorageError: the database failed; `resume_delete` continues the delete.
        """
        plan = selection if isinstance(selection, DeletePlan) else await self.plan_delete(selection)
        if plan_digest is not None and plan_digest != plan.digest:
            raise PlanOutdated(
                "The selected conversations differ from those of the plan; nothing was deleted. Make a new plan",
                planned=plan_digest,
                found=plan.digest,
            )
        return await self._deleter.delete(
            plan, backup=backup, reason=reason, retention=retention, on_progress=on_progress
        )

    async def resume_delete(self, backup_id: str, *, on_progress: Any = None) -> DeleteResult:
        """Resume an interrupted delete. Idempotent. Raises BackupNotFound, BackupUnusable, BackupDamaged."""
        return await self._deleter.resume(backup_id, on_progress=on_progress)

    async def _refuse_unknown(self, selection: Selection) -> None:
        for conversation_id in await self.missing(selection, limit=1):
            raise ConversationNotFound(
                f"Conversation {quoted_id(conversation_id)} not found", conversation_id=conversation_id
            )
