"""OpenAI chat fine-tuning: one `{"messages": [{"role", "content"}]}` per line."""

import orjson

from backstay.library.conversation import Conversation
from backstay.library.formats import Format


class Messages(Format):
    """The shape of OpenAI chat fine-tuning, as JSON lines."""

    label = "OpenAI messages (JSONL)"

    def chunk(self, conversation: Conversation) -> bytes:
        messages = [{"role": turn.role, "content": turn.content} for turn in conversation.turns]
        return orjson.dumps({"messages": messages}, option=orjson.OPT_APPEND_NEWLINE)
