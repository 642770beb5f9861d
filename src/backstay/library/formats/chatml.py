"""ChatML: one `{"text": "<|im_start|>role…<|im_end|>"}` per line."""

from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines

_START, _END = "<|im_start|>", "<|im_end|>"


class ChatML(JsonLines):
    """The text of the ChatML template, which many models are trained on."""

    label = "ChatML text (JSONL)"

    def refusal(self, conversation: Conversation) -> str | None:
        for number, turn in enumerate(conversation.turns, start=1):
            for marker in (_START, _END):
                if marker in turn.role or marker in turn.content or marker in (turn.reasoning or ""):
                    return f"turn {number} holds {marker}"
            if "\n" in turn.role:
                return f"the role of turn {number} has a line break"
        return super().refusal(conversation)

    def row(self, conversation: Conversation) -> dict[str, Any]:
        return {"text": "".join(f"{_START}{turn.role}\n{turn.content}{_END}\n" for turn in conversation.turns)}
