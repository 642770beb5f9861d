"""The public API of stored conversations."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from backstay.bad_row_policy import BadRowPolicy
from backstay.coordination.expiring_value import ExpiringValue
from backstay.errors import InputError, InputNotFound, PlanOutdated
from backstay.library.choices import ImportConflictPolicy
from backstay.library.conversation import Conversation
from backstay.library.deletion import DeletePlan, Deleter, DeleteResult
from backstay.library.exports.dataset import to_dataset
from backstay.library.exports.exporter import ByteStream, Exporter
from backstay.library.exports.request import ExportChoices, ExportRequest, ExportResult
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.imports.source import ImportSource
from backstay.library.lists import ConversationLists, ConversationSummary, Position
from backstay.library.quarantine import handle_bad_rows
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore
from backstay.readers.bad_rows import BadRows
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_notes import NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions

if TYPE_CHECKING:
    import datasets


class Conversations:
    """The stored conversations of one owner."""

    def __init__(
        self, *, store: ConversationStore, lists: ConversationLists, exporter: Exporter, deleter: Deleter, owner: str
    ) -> None:
        self.lists = lists
        self._store = store
        self._exporter = exporter
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
        """Return up to `limit` summaries, newest first, after the one with the cursor `before`. See `lists`."""
        page = await self.lists.page(selection, after=Position(before) if before is not None else None, limit=limit)
        return page.conversations

    async def count(self, selection: Selection) -> int:
        """Return how many conversations the selection holds."""
        return await self._store.count(self._owner, selection.check())

    async def missing(self, selection: Selection, *, limit: int = 10) -> Sequence[str]:
        """Return up to `limit` ids of a selection that do not exist for this owner."""
        return await self._store.missing(self._owner, selection.ids, limit=limit) if selection.ids else ()

    async def export(self, selection: Selection | None = None) -> AsyncIterator[Conversation]:
        """Yield the selected conversations in storage order, with one page in memory at a time; all by default.

        Raises:
            EmptySelection: the selection selects nothing.
            ConversationNotFound: a selected id does not exist for this owner; raised before the first yield.
        """
        async for page in self._exporter.pages(selection):
            for conversation in page:
                yield conversation

    async def write_export(
        self, target: str | Path | ByteStream, selection: Selection | None = None, **choices: Unpack[ExportChoices]
    ) -> ExportResult:
        """Write conversations for training, oldest first, to a file, a folder or a binary stream: all or none of them.

        Args:
            target: The file, which `.gz` and `.zst` compress; or a folder, for a split or shards.
            selection: The conversations; by default all.
            choices: What is written, and how: see `backstay.ExportChoices`.

        Raises:
            SettingsError: the choices contradict each other or the target.
            EmptySelection, ConversationNotFound: nothing is selected, or a selected id does not exist.
            LossyExport: the format cannot hold something, and `lossy` is false. Nothing was written.
            ConversationUnwritable: the format would change the meaning of a text. Nothing was written.
            OutputUnwritable: the target cannot be written, or would be mixed with other data.
        """
        return await self._exporter.write(target, selection, ExportRequest.from_choices(**choices))

    async def plan_export(
        self, target: str | Path | None = None, selection: Selection | None = None, **choices: Unpack[ExportChoices]
    ) -> ExportResult:
        """Return the result that `write_export` with `lossy` would have for a file, a folder, or a stream (None).

        Only the file of `problems` is written, so the result has no files and no splits. Raises like `write_export`,
        except for losses and for what trainers would refuse.
        """
        return await self._exporter.plan(target, selection, ExportRequest.from_choices(**choices))

    def stream_export(self, selection: Selection | None, request: ExportRequest) -> AsyncIterator[bytes]:
        """Yield the bytes of an export. Raises like `write_export`."""
        return self._exporter.blocks(selection, request)

    async def to_dataset(self, selection: Selection | None = None) -> "datasets.Dataset":
        """Return conversations as a `datasets.Dataset` of Hugging Face, with the columns of Parquet; by default all.

        Its data are in a temporary file, which is deleted when the process ends, and not in memory.

        Raises:
            SettingsError: the packages of the extra `datasets` are not installed.
            EmptySelection, ConversationNotFound: nothing is selected, or a selected id does not exist.
        """
        return await to_dataset(self._exporter, selection)

    async def import_file(
        self,
        source: str | Path,
        *,
        on_conflict: ImportConflictPolicy | str = ImportConflictPolicy.FAIL,
        on_bad_row: BadRowPolicy | str | None = None,
        quarantine: str | Path | None = None,
        strict: bool = False,
        split_reasoning: bool = False,
        id_prefix: str | None = None,
        stdin: BinaryIO | None = None,
        read: ReadOptions = AS_DETECTED,
        on_note: NoteListener | None = None,
        ceiling: InputCeiling | None = None,
        on_progress: Callable[[int], None] | None = None,
        receipt: Callable[[ImportResult], ExpiringValue | None] | None = None,
    ) -> ImportResult:
        """Store the conversations of a file in one transaction.

        Args:
            source: The path of rows such as OpenAI `messages`, ShareGPT, Alpaca or preferences (JSONL, JSON, CSV or
                Parquet), or of a backup; a folder or a pattern of several such files; `-` is standard input. Unknown
                keys are kept as metadata.
            on_conflict: What to do if another conversation has the same id: `fail`, `skip` the row, or give it a `new`
                id. A row with the same content as the stored conversation is not a conflict.
            on_bad_row: What to do with unusable rows: `fail` (the default), `skip` them, or write them to the
                `quarantine`. The result counts them. For a backup, any of them is an error.
            quarantine: The file for bad rows, unchanged; a file next to it has the reasons. Both appear at the end.
            strict: Whether to import nothing if trainers would refuse any conversation. Otherwise they are
                imported unchanged, and the result counts them in `warnings`.
            split_reasoning: Whether `<think>…</think>` at the start of an answer becomes the reasoning of its turn.
            id_prefix: A text to put before the id of each conversation that has one; it must be a valid id itself.
            stdin: The stream that `-` reads; by default the standard input of the process.
            read: The encoding and the delimiter, where they cannot be detected.
            on_note: Called, from any thread, with a sentence for each fact that was noticed about the input.
            ceiling: Limits of the file. If set, it is read once before anything is stored, while others still write.
            on_progress: Called, from any thread, with the number of imported rows.
            receipt: Returns an expiring value for the result, which is stored in the same transaction.

        Raises:
            InputError: the file is unusable or exceeds the ceiling; a row is, and `on_bad_row` is `fail`; or every row.
            OutputUnwritable: the quarantine cannot be written, or exists with other content.
            BackupError: the file is a backup that is incomplete or has a newer version.
            ConversationExists: another conversation has the same id, and `on_conflict` is `fail`.
            RefusedByTrainers: `strict` is set, and trainers would refuse some of the conversations.
            SettingsError: `id_prefix` is not allowed as an id.
        """
        report = on_progress if on_progress is not None else lambda _: None
        conflict_policy = ImportConflictPolicy(on_conflict)
        open_source = partial(
            ImportSource,
            _path_of(source),
            stdin=stdin,
            split_reasoning=split_reasoning,
            id_prefix=id_prefix,
            options=read,
            on_note=on_note,
        )
        with handle_bad_rows(on_bad_row, quarantine) as bad_rows, closing(open_source(bad_rows=bad_rows)) as rows:
            async with _count_bad_rows_on_error(rows, bad_rows):
                if ceiling is not None:
                    await asyncio.to_thread(rows.check, ceiling)
                return await self._store.import_conversations(
                    self._owner, rows, conflict_policy, report, receipt, strict=strict
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


def _path_of(source: str | Path) -> Path | None:
    """Return the path of an import; None for standard input. Raises InputNotFound."""
    if source == "":  # which Path takes for the current folder
        raise InputNotFound("The name of the input is empty; name a file or a folder", path="")
    return None if str(source) == "-" else Path(source)


@asynccontextmanager
async def _count_bad_rows_on_error(rows: ImportSource, bad_rows: BadRows) -> AsyncIterator[None]:
    """Add to the error of a bad row how many others there are."""
    try:
        yield
    except InputError as error:
        if not bad_rows.has_refused:
            raise
        # Counted here, because other writers wait during an import.
        raise await asyncio.to_thread(rows.with_further_count, error) from error
