"""What one can do with conversations that are stored."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from backstay.errors import ConversationNotFound, PlanOutdated
from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, Deleter, DeleteResult
from backstay.library.expiring_value import ExpiringValue
from backstay.library.id_text import quoted_id
from backstay.library.imports.incoming import ImportResult, OnImportConflict
from backstay.library.imports.source import ImportSource
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore, ConversationSummary
from backstay.readers.ceiling import InputCeiling

_PAGE = 500  # conversations read at once while streaming: a few megabytes at most of the usual ones


class Conversations:
    """The stored conversations of one owner."""

    def __init__(self, *, store: ConversationStore, deleter: Deleter, owner: str) -> None:
        self._store = store
        self._remover = deleter
        self._owner = owner

    async def show(self, conversation_id: str) -> Conversation:
        """Return one conversation with its turns.

        Raises:
            ConversationNotFound: this owner has none of that id.
        """
        return await self._store.conversation(self._owner, conversation_id)

    async def list(
        self, selection: Selection | None = None, *, before: int | None = None, limit: int = 50
    ) -> Sequence[ConversationSummary]:
        """Return up to `limit` summaries, newest first; `before` is the `cursor` of the last one already seen."""
        selection = selection or Selection(everything=True)
        return await self._store.summaries(self._owner, selection.check(), before=before, limit=limit)

    async def count(self, selection: Selection) -> int:
        """Return how many conversations the selection holds."""
        return await self._store.count(self._owner, selection.check())

    async def missing(self, selection: Selection, *, limit: int = 10) -> Sequence[str]:
        """Return the first of the ids of a selection that this owner has no conversation of."""
        return await self._store.missing(self._owner, selection.ids, limit=limit) if selection.ids else ()

    async def export(self, selection: Selection) -> AsyncIterator[Conversation]:
        """Yield the selected conversations in the order they were stored, a page in memory at a time.

        Raises:
            EmptySelection: nothing was selected.
            ConversationNotFound: an id was asked for that this owner does not have; raised before the first yield.
        """
        selection.check()
        await self._refuse_unknown(selection)
        after: int | None = 0
        while after is not None:
            page = await self._store.page(self._owner, selection, after=after, limit=_PAGE)
            for conversation in page.conversations:
                yield conversation
            after = page.next_cursor

    async def import_file(
        self,
        source: str | Path,
        *,
        on_conflict: OnImportConflict | str = OnImportConflict.FAIL,
        stdin: BinaryIO | None = None,
        ceiling: InputCeiling | None = None,
        on_progress: Callable[[int], None] | None = None,
        receipt: Callable[[ImportResult], ExpiringValue | None] | None = None,
    ) -> ImportResult:
        """Store the conversations of a file, all or none of them.

        Args:
            source: The path of native, OpenAI `messages` or ShareGPT rows (JSONL or a JSON array), or of a backup; `-`
                is standard input. Keys that are not ours are kept as metadata.
            on_conflict: When another conversation has the id: `fail`, `skip` it, or give it a `new` id. One with the
                same content is left as it is in any case.
            stdin: What `-` reads; by default the standard input of the process.
            ceiling: Limits of the file. With it, the whole file is read once before anything is stored, because other
                writers wait during an import.
            on_progress: Called, from any thread, with the number of rows done.
            receipt: Makes a note of the result, which is written in the same transaction.

        Raises:
            InputError: the file or a row is unusable, or the file is beyond the ceiling.
            BackupError: it is a backup that is not whole, or of a newer version.
            ConversationExists: another conversation has the id, and it was not said what to do.
        """
        path = None if str(source) == "-" else Path(source)
        tell = on_progress if on_progress is not None else lambda _: None
        with closing(ImportSource(path, stdin=stdin)) as reading:
            if ceiling is not None:
                await asyncio.to_thread(reading.check, ceiling)
            return await self._store.import_conversations(
                self._owner, reading, OnImportConflict(on_conflict), tell, receipt
            )

    async def plan_delete(self, selection: Selection, *, ignore_missing: bool = False) -> DeletePlan:
        """Say what a delete would remove. Raises EmptySelection, ConversationNotFound, DeleteBlocked."""
        return await self._remover.plan(selection, ignore_missing=ignore_missing)

    async def delete(
        self,
        selection: Selection | DeletePlan,
        *,
        backup: bool = True,
        digest: str | None = None,
        reason: str | None = None,
        expires_in: timedelta | None = None,
        on_progress: Any = None,
    ) -> DeleteResult:
        """Delete conversations, after a verified backup of them; the answer names the backup that undoes it.

        Args:
            selection: Which; or a plan of them, so that nothing else is deleted than what it shows.
            backup: Make a backup first. Without one nothing brings the conversations back.
            digest: Of the plan that was shown to whoever agreed to it.
            reason: Why, for people; kept with the backup.
            expires_in: How long the backup is kept, from the end of the delete; by default BACKUP_RETENTION_DAYS.
            on_progress: Told how far it has come: `backstay.BackupProgress`.

        Raises:
            EmptySelection, ConversationNotFound: there is nothing to delete, or not all of it.
            PlanOutdated: the selection holds other conversations than the plan shows.
            BackupError: the backup failed. Nothing was deleted in any of these cases.
            StorageError: the database could not go on; `resume_delete` does.
        """
        plan = selection if isinstance(selection, DeletePlan) else await self.plan_delete(selection)
        if digest is not None and digest != plan.digest:
            raise PlanOutdated(
                "What is selected is not what the plan showed; nothing was deleted. Look at a new plan",
                planned=digest,
                found=plan.digest,
            )
        return await self._remover.delete(
            plan, backup=backup, reason=reason, expires_in=expires_in, on_progress=on_progress
        )

    async def resume_delete(self, backup_id: str, *, on_progress: Any = None) -> DeleteResult:
        """Go on with a delete that was cut off; twice is safe. Raises BackupNotFound, BackupUnusable, BackupDamaged."""
        return await self._remover.resume(backup_id, on_progress=on_progress)

    async def _refuse_unknown(self, selection: Selection) -> None:
        for conversation_id in await self.missing(selection, limit=1):
            raise ConversationNotFound(
                f"Conversation {quoted_id(conversation_id)} not found; `backstay conversations list` shows all",
                conversation_id=conversation_id,
            )
