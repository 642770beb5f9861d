"""ChatML: one `{"text": "<|im_start|>role…<|im_end|>"}` per line."""

from collections.abc import Mapping
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines
from backstay.library.loss import Loss
from backstay.library.training_content import to_text_only

_START, _END = "<|im_start|>", "<|im_end|>"


class ChatMLFormat(JsonLines):
    """The text of the ChatML template, which many models are trained on."""

    label = "ChatML text (JSONL)"

    def refusal(self, conversation: Conversation) -> str | None:
        for number, turn in enumerate(conversation.turns, start=1):
            if (applied := self.options.apply_to_turn(turn)) is None:
                continue
            for marker in (_START, _END):
                if marker in applied.role or marker in applied.content:
                    return f"turn {number} contains {marker}"
            if "\n" in applied.role:
                return f"the role of turn {number} has a line break"
        return None

    def remove_unsupported(self, conversation: Conversation) -> tuple[Conversation | None, Mapping[Loss, int]]:
        written, left_out = to_text_only(conversation)
        return (written, left_out) if written.turns else (None, {Loss.NO_ANSWER: 1})

    def row(self, conversation: Conversation) -> dict[str, Any]:
        return {"text": "".join(f"{_START}{turn.role}\n{turn.content}{_END}\n" for turn in conversation.turns)}
