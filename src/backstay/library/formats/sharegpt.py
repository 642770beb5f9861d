"""ShareGPT: one `{"id", "conversations": [{"from", "value"}]}` per line."""

import orjson

from backstay.library.conversation import Conversation
from backstay.library.formats import Format

_SPEAKER = {"user": "human", "assistant": "gpt"}


class ShareGPT(Format):
    """The shape of ShareGPT, as JSON lines; roles other than user and assistant keep their names."""

    label = "ShareGPT (JSONL)"

    def chunk(self, conversation: Conversation) -> bytes:
        turns = [{"from": _SPEAKER.get(turn.role, turn.role), "value": turn.content} for turn in conversation.turns]
        return orjson.dumps({"id": conversation.id, "conversations": turns}, option=orjson.OPT_APPEND_NEWLINE)
