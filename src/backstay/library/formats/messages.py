"""OpenAI chat fine-tuning: one `{"messages": [{"role", "content"}]}` per line."""

import orjson

from backstay.library.conversation import Conversation


class Messages:
    """The shape of OpenAI chat fine-tuning, as JSON lines."""

    def head(self) -> bytes:
        return b""

    def chunk(self, conversation: Conversation) -> bytes:
        messages = [{"role": turn.role, "content": turn.content} for turn in conversation.turns]
        return orjson.dumps({"messages": messages}, option=orjson.OPT_APPEND_NEWLINE)
