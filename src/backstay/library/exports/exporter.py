"""The export of conversations to a file, a folder or a stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from backstay.errors import ConversationNotFound, OutputUnwritable, ReadTooLong, SettingsError
from backstay.files import create_output, fill_folder_atomically, is_stream, write_atomically
from backstay.library.batches import BatchLimit
from backstay.library.conversation import Conversation
from backstay.library.exports import card
from backstay.library.exports.correction_pairs import FirstVersions, correction_pairs
from backstay.library.exports.file_name import encoded, format_of_file, is_data_file, stem_of
from backstay.library.exports.folder_writer import FolderWriter, refuse_other_data, refuse_unrelated_data
from backstay.library.exports.losses import ExportFindings
from backstay.library.exports.prepared_export import PreparedExport, new_format
from backstay.library.exports.problem_file import record_problems
from backstay.library.exports.request import ExportedFile, ExportRequest, ExportResult
from backstay.library.exports.trainer_observer import TrainerObserver
from backstay.library.formats import DEFAULT, FormatOptions
from backstay.library.id_text import quoted_id
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore

_PAGE_CONVERSATIONS = 500  # read at once at most
_CARD = "README.md"


class ByteStream(Protocol):
    """A writer of bytes, such as a binary file."""

    def write(self, data: bytes, /) -> object: ...


class Exporter:
    """The exports of one owner."""

    def __init__(
        self,
        *,
        store: ConversationStore,
        owner: str,
        protected_files: Sequence[Path] = (),
        recipe_of: Callable[[str], Awaitable[str | None]] | None = None,
        first_versions: FirstVersions,
    ) -> None:
        """Take the files of the database, and a function that returns the fingerprint of a job's recipe."""
        self._store = store
        self._first_versions = first_versions
        self._owner = owner
        self._protected_files = protected_files
        self._recipe_of = recipe_of

    async def pages(self, selection: Selection | None) -> AsyncIterator[Sequence[Conversation]]:
        """Yield the selected conversations in storage order; all without a selection.

        Raises:
            EmptySelection: the selection selects nothing.
            ConversationNotFound: a selected id does not exist for this owner; raised before the first page.
        """
        selection = _or_everything(selection)
        for missing in await self._store.missing(self._owner, selection.ids, limit=1) if selection.ids else ():
            raise ConversationNotFound(f"Conversation {quoted_id(missing)} not found", conversation_id=missing)
        after: int | None = 0
        limit = BatchLimit(_PAGE_CONVERSATIONS)
        while after is not None:
            page = await self._store.page(self._owner, selection, after=after, limit=limit.conversations)
            limit.adapt(len(page.conversations), page.size)
            yield page.conversations
            after = page.next_cursor

    async def blocks(self, selection: Selection | None, request: ExportRequest) -> AsyncIterator[bytes]:
        """Yield an export as a stream. Raises like `write`, before the first block unless conversations change."""
        export = await self._prepare(selection, request)
        await self._measure(selection, export)
        async for block in export.blocks(checks_each=True):
            yield block
        export.finish(None)

    async def write(
        self, target: str | Path | ByteStream, selection: Selection | None, request: ExportRequest
    ) -> ExportResult:
        """Write the selected conversations, all or none of them.

        Raises:
            SettingsError: options contradict each other or the target.
            EmptySelection, ConversationNotFound: nothing is selected, or a selected id does not exist.
            LossyExport, ConversationUnwritable: the format cannot hold something.
            OutputUnwritable: the target cannot be written, or would be mixed with other data.
        """
        if not isinstance(target, str | Path):
            return await self._write_stream(target, selection, request)
        path, request = Path(target), _with_format(request, target)
        write = self._write_folder if _is_folder(target, request) else self._write_file
        with record_problems(request, excluded=self._protected_files) as request:
            return await write(path, selection, request)

    async def plan(
        self, target: str | Path | None, selection: Selection | None, request: ExportRequest
    ) -> ExportResult:
        """Return the result of an export that leaves out what the format cannot hold, without writing it.

        Raises like `write`, except for losses and for what trainers would refuse.
        """
        if target is None:
            _check_stream(request)
        else:
            request = _with_format(request, target)
            if _is_folder(target, request):
                _check_folder(Path(target), new_format(request).suffix, request)
        request = replace(request, lossy=True, strict=False)
        with record_problems(request, excluded=self._protected_files) as request:
            export = await self._prepare(selection, request)
            async for _ in export.blocks():
                pass
            export.finish(None)
            return export.result(None, ())

    async def _write_stream(
        self, stream: ByteStream, selection: Selection | None, request: ExportRequest
    ) -> ExportResult:
        _check_stream(request)
        if request.problems is not None:
            raise _needs_file()
        export = await self._prepare(selection, request)
        await self._measure(selection, export)
        async for block in export.blocks(checks_each=True):
            stream.write(block)
        export.finish(None)
        return export.result(None, ())

    async def _write_file(self, path: Path, selection: Selection | None, request: ExportRequest) -> ExportResult:
        is_to_stream = is_stream(path)
        if is_to_stream and request.card:
            raise _needs_folder()
        if is_to_stream and request.problems is not None:
            raise _needs_file()
        with ExitStack() as files:
            card_path = path.with_name(f"{stem_of(path)}.md")
            if request.card:
                card.refuse_other_card(card_path)
                card_file = files.enter_context(write_atomically(card_path, excluded=self._protected_files))
            file = files.enter_context(write_atomically(path, excluded=self._protected_files))
            export = await self._prepare(selection, request)
            if is_to_stream:
                await self._measure(selection, export)
            stream = encoded(file, path, new_format(export.request).suffix)
            async for block in export.blocks(checks_each=is_to_stream):
                stream.write(block)
            stream.close()
            export.finish(path)
            result = export.result(path, [ExportedFile(path.name, None, export.exported)])
            if request.card:
                card_file.write(await self._card(stem_of(path), export, result))
        return result

    async def _write_folder(self, folder: Path, selection: Selection | None, request: ExportRequest) -> ExportResult:
        suffix = new_format(request).suffix
        _check_folder(folder, suffix, request)
        with fill_folder_atomically(
            folder, check=partial(refuse_other_data, folder), last=_CARD, excluded=self._protected_files
        ) as staging:
            export = await self._prepare(selection, request)
            writer = FolderWriter(staging, suffix, request, export.new_encoder)
            with closing(writer):
                async for page in export.pages:
                    await asyncio.to_thread(writer.add, page)
                    export.report_progress()
                files = writer.finish()
            export.finish(folder)
            result = export.result(folder, files)
            if request.card:
                with create_output(staging / _CARD) as file:
                    file.write(await self._card(_name_of(folder), export, result))
        return result

    async def _prepare(self, selection: Selection | None, request: ExportRequest) -> PreparedExport:
        selection = _or_everything(selection)
        request = replace(request, format=request.format or DEFAULT)
        if new_format(request).depends_on_turn_fields:
            has_fields = await self._may_have_turn_fields(selection)
            request = replace(request, options=replace(request.options, turn_fields=has_fields))
        return PreparedExport(self._read(selection, request.options), request)

    async def _measure(self, selection: Selection | None, export: PreparedExport) -> None:
        """Refuse what the format cannot hold before a stream begins. A file is refused before it gets its name.

        Raises:
            LossyExport, ConversationUnwritable: the format cannot hold something.
            RefusedByTrainers: the export is strict, and trainers would refuse some conversations.
        """
        selection = _or_everything(selection)
        if not (export.may_refuse or export.request.strict):
            if export.request.lossy or export.holds_everything:
                return
            if export.may_lose_fields_only and not await self._may_have_turn_fields(selection):
                return
        export_format, findings = new_format(export.request), ExportFindings(export.request.format or DEFAULT)
        trainers = TrainerObserver(export_format, strict=export.request.strict)

        def add(conversations: Sequence[Conversation]) -> None:
            for conversation in conversations:
                prepared = export_format.prepare(conversation)
                findings.add(conversation, prepared)
                if prepared.conversation is not None:
                    trainers.observe(prepared.conversation)

        async for page in self._read(selection, export.request.options):
            await asyncio.to_thread(add, page)
        findings.add_final(export_format.final_losses())
        findings.check(lossy=export.request.lossy)
        trainers.finish()

    def _read(self, selection: Selection, options: FormatOptions) -> AsyncIterator[Sequence[Conversation]]:
        pages = self.pages(selection)
        return _read_ahead(
            correction_pairs(pages, self._first_versions, options) if options.correction_pairs else pages
        )

    async def _may_have_turn_fields(self, selection: Selection) -> bool:
        try:
            return await self._store.may_have_turn_fields(self._owner, selection)
        except ReadTooLong:  # the server limits the time of one read; reading page by page has no such limit
            return True

    async def _card(self, name: str, export: PreparedExport, result: ExportResult) -> bytes:
        figures = export.figures
        recipes = {}
        for job_id in card.listed_jobs(figures) if self._recipe_of is not None else ():
            if self._recipe_of is not None and (recipe := await self._recipe_of(job_id)) is not None:
                recipes[job_id] = recipe
        return card.format_card(name, export.request, result, figures, recipes)


def _with_format(request: ExportRequest, target: str | Path) -> ExportRequest:
    """Return the request with the format of the target's ending, unless it names one. Raises SettingsError."""
    if target == "":  # which Path takes for the current folder
        raise SettingsError("The name of the output is empty; name a file or a folder", setting="output")
    return replace(request, format=request.format or format_of_file(Path(target)))


def _check_stream(request: ExportRequest) -> None:
    """Raise SettingsError if the export needs several files."""
    if request.split is not None or request.shard_size is not None or request.card:
        raise _needs_folder()


def _check_folder(folder: Path, suffix: str, request: ExportRequest) -> None:
    """Check that an export may be written into a folder. Raises OutputUnwritable."""
    if folder.exists() and not folder.is_dir():
        raise OutputUnwritable(f"{folder} is a file; name a folder", path=str(folder))
    refuse_unrelated_data(folder, suffix, request)
    if request.card:
        card.refuse_other_card(folder / _CARD)


def _needs_folder() -> SettingsError:
    return SettingsError("A split, shards or a card cannot go to a stream; name a folder", setting="output")


def _needs_file() -> SettingsError:
    return SettingsError(
        "An export to a stream writes no file of problems; name a file for the export, or do a dry run",
        setting="problems",
    )


def _name_of(folder: Path) -> str:
    return folder.resolve().name


async def _read_ahead(pages: AsyncIterator[Sequence[Conversation]]) -> AsyncIterator[Sequence[Conversation]]:
    """Yield pages, reading the next one while one is written."""
    following = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await following) is not None:
            following = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        following.cancel()
        await asyncio.wait([following])
        if not following.cancelled():
            following.exception()  # already raised where it was awaited, or no longer relevant


def _or_everything(selection: Selection | None) -> Selection:
    return (selection if selection is not None else Selection(everything=True)).check()


def _is_folder(target: str | Path, request: ExportRequest) -> bool:
    """Return whether the target is a folder. Raises SettingsError if it must be one but is named like a file."""
    path = Path(target)
    if path.is_dir() or str(target).endswith("/"):
        return True
    needs_folder = request.split is not None or request.shard_size is not None
    if needs_folder and is_data_file(path.name):
        raise SettingsError(f"{path} is one file, and a split or shards need several; name a folder", setting="output")
    return needs_folder
