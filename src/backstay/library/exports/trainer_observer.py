"""The check of an export for what trainers refuse."""

from collections.abc import Collection

from backstay.library.conversation import Conversation
from backstay.library.formats import Format, Loss
from backstay.library.trainer_checks import RESULT_WARNINGS, TrainerReport, WarningKind


class TrainerObserver:
    """A report on the exported conversations that trainers would refuse."""

    def __init__(self, export_format: Format, *, strict: bool) -> None:
        has_no_calls = Loss.TOOL_CALLS in export_format.unsupported
        self.report = TrainerReport(
            checks=export_format.trainer_checks, ignored=RESULT_WARNINGS if has_no_calls else ()
        )
        self._strict = strict
        self._is_checking = strict or export_format.is_for_training

    def observe(self, conversation: Conversation) -> Collection[WarningKind]:
        """Check a conversation as it is written, and return the warnings about it."""
        return self.report.add(conversation) if self._is_checking else ()

    def finish(self) -> None:
        """Raise RefusedByTrainers if the export is strict and trainers would refuse some conversations."""
        if self._strict and self.report.refused:
            raise self.report.refusal("nothing was written")
