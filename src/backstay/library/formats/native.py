"""The native shape: all fields of a conversation, one conversation per line."""

import orjson

from backstay.library.conversation import Conversation


class Native:
    """The native shape (`Conversation.to_dict`), as JSON lines."""

    def head(self) -> bytes:
        return b""

    def chunk(self, conversation: Conversation) -> bytes:
        return orjson.dumps(conversation.to_dict(), option=orjson.OPT_APPEND_NEWLINE)
