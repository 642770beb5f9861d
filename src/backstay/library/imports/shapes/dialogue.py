"""Dialogues between a user and a system, as in task-oriented corpora."""

from collections.abc import Iterator, Sequence
from typing import Any

from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.shape import TurnListShape
from backstay.library.record import Document


class DialogueShape(TurnListShape):
    """A list of turns with `speaker` and `utterance` or `text`. If no assistant speaks, the system is the assistant."""

    speaker_key = "speaker"
    content_keys = ("utterance", "text", "content", "value")

    def read_turns(self, messages: Sequence[Any], row: ImportRow, start: int = 1) -> Iterator[Document]:
        turns = list(super().read_turns(messages, row, start))
        has_assistant = any(turn["role"] == "assistant" for turn in turns)
        for turn in turns:
            is_answer = turn["role"] == "system" and not has_assistant
            yield {**turn, "role": "assistant"} if is_answer else turn
