"""OpenAI chat fine-tuning: one `{"messages": [{"role", "content"}]}` a line."""

import orjson

from backstay.library.conversation import Conversation


class Messages:
    """The shape that chat fine-tuning takes, as JSON lines."""

    def head(self) -> bytes:
        return b""

    def chunk(self, conversation: Conversation) -> bytes:
        messages = [{"role": turn.role, "content": turn.content} for turn in conversation.turns]
        return orjson.dumps({"messages": messages}, option=orjson.OPT_APPEND_NEWLINE)
