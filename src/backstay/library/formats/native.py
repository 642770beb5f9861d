"""Our own shape: everything we know of a conversation, one a line."""

import orjson

from backstay.library.conversation import Conversation


class Native:
    """Every column and turn, as JSON lines."""

    def head(self) -> bytes:
        return b""

    def chunk(self, conversation: Conversation) -> bytes:
        return orjson.dumps(conversation.to_dict(), option=orjson.OPT_APPEND_NEWLINE)
