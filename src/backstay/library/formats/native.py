"""The native shape: all fields of a conversation, one conversation per line."""

import orjson

from backstay.library.conversation import Conversation
from backstay.library.formats import Format


class Native(Format):
    """The native shape (`Conversation.to_dict`), as JSON lines."""

    label = "All fields (JSONL)"

    def chunk(self, conversation: Conversation) -> bytes:
        return orjson.dumps(conversation.to_dict(), option=orjson.OPT_APPEND_NEWLINE)
