"""One export in progress."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from backstay.errors import EmptySelection
from backstay.library.conversation import Conversation
from backstay.library.exports.card import CardFigures
from backstay.library.exports.encoder import Encoder
from backstay.library.exports.losses import ExportFindings
from backstay.library.exports.request import ExportedFile, ExportRequest, ExportResult
from backstay.library.exports.trainer_observer import TrainerObserver
from backstay.library.formats import DEFAULT, Format, SystemMode, load_format
from backstay.remedy import Remedy

_BLOCK_BYTES = 256 * 1024


class PreparedExport:
    """The pages of an export, and the findings so far."""

    def __init__(self, pages: AsyncIterator[Sequence[Conversation]], request: ExportRequest) -> None:
        self.pages = pages
        self.figures = CardFigures()
        self.trainers = TrainerObserver(new_format(request), strict=request.strict)
        figures = (self.figures,) if request.card else ()
        self.request = replace(request, observers=(*request.observers, *figures))
        self._findings = ExportFindings(request.format or DEFAULT)

    @property
    def may_refuse(self) -> bool:
        """Whether the format may be unable to write a conversation at all."""
        format_class = load_format(self.request.format or DEFAULT)
        return format_class.refusal is not Format.refusal or self.request.options.system is SystemMode.DROP

    @property
    def may_lose_fields_only(self) -> bool:
        """Whether only tools and turn fields beyond role and text can be lost."""
        format_class = load_format(self.request.format or DEFAULT)
        methods = (format_class.remove_unsupported, format_class.prepare, format_class.final_losses)
        return methods == (Format.remove_unsupported, Format.prepare, Format.final_losses)

    @property
    def holds_everything(self) -> bool:
        """Whether no conversation loses anything."""
        return self.may_lose_fields_only and not new_format(self.request).unsupported

    @property
    def exported(self) -> int:
        return self._findings.exported

    def new_encoder(self) -> Encoder:
        """Return an encoder of conversations of this export."""
        return Encoder(new_format(self.request), self.request, self._findings, self.trainers)

    async def blocks(self, *, checks_each: bool = False) -> AsyncIterator[bytes]:
        """Yield all conversations as one stream.

        With `checks_each`, losses are refused before the block that has them; otherwise by `finish`.
        """
        encoder = self.new_encoder()
        block = bytearray(encoder.head())
        async for page in self.pages:
            block += await asyncio.to_thread(encoder.encode, page)
            self.report_progress()
            if len(block) >= _BLOCK_BYTES:
                if checks_each:
                    self._check_losses()
                yield bytes(block)
                block.clear()
        encoder.finish()
        block += encoder.tail()
        if checks_each:
            self._check_losses()
        if block:
            yield bytes(block)

    def report_progress(self) -> None:
        """Call the request's `on_progress`."""
        if self.request.on_progress is not None:
            self.request.on_progress(self.exported)

    def finish(self, path: Path | None) -> None:
        """Conclude, before the file or folder gets its name.

        Raises:
            LossyExport, ConversationUnwritable: the format could not hold something.
            EmptySelection: no conversation is selected.
            An error of an observer.
        """
        self._check_losses()
        for observer in self.request.observers:
            observer.finish()
        self.trainers.finish()
        if path is None or self.exported:
            return
        # An empty file does not replace a good one.
        if self._findings.selected:
            raise EmptySelection(
                f"{self.request.format} can hold none of the selected conversations; {path} is unchanged",
                remedy=Remedy.CHOOSE_FORMAT,
                path=str(path),
            )
        raise EmptySelection(f"No conversation is selected; {path} is unchanged", path=str(path))

    def _check_losses(self) -> None:
        self._findings.check(lossy=self.request.lossy)

    def result(self, path: Path | None, files: Sequence[ExportedFile]) -> ExportResult:
        """Return the result of an export into these files."""
        splits: Counter[str] = Counter()
        for file in files:
            if self.request.split is not None and file.split is not None:
                splits[file.split] += file.conversations
        return ExportResult(
            exported=self.exported,
            format=self.request.format or DEFAULT,
            path=str(path) if path is not None else None,
            files=files,
            splits=splits,
            losses=self._findings.losses,
            left_out=self._findings.left_out,
            warned=self.trainers.report.refused,
            warnings=self.trainers.report.counts,
            notes=self._findings.notes,
        )


def new_format(request: ExportRequest) -> Format:
    """Return a new instance of the request's format."""
    return load_format(request.format or DEFAULT)(request.options)
