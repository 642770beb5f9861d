"""Export formats of JSON lines."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import orjson

from backstay.clock import to_text
from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTION, TURN_DESCRIPTION, Format


class JsonLines(Format):
    """A format with one JSON object per line. The option `metadata` adds what describes the conversation."""

    describes_turns: ClassVar[bool] = False
    """Whether the option `metadata` adds ids and metadata of the turns too."""

    def chunk(self, conversation: Conversation) -> bytes:
        fitted, _ = self.fit(self.options.apply(conversation))
        if fitted is None:
            return b""
        return write_line(self.row(fitted) | (describe(fitted) if self.options.metadata else {}))

    def unwritten(self, conversation: Conversation) -> Collection[str]:
        written = (*DESCRIPTION, *(TURN_DESCRIPTION if self.describes_turns else ())) if self.options.metadata else ()
        return [name for name in super().unwritten(conversation) if name not in written]

    @abstractmethod
    def row(self, conversation: Conversation) -> dict[str, Any]:
        """Return the object of a conversation to which options and `fit` were applied."""


def write_line(row: Mapping[str, Any]) -> bytes:
    """Return an object as a line of JSON."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def describe(conversation: Conversation) -> dict[str, Any]:
    """Return the fields that are set and describe the conversation, under their names in the native shape."""
    fields = {
        "id": conversation.id,
        "topic": conversation.topic,
        "persona": conversation.persona,
        "content": conversation.content,
        "metadata": conversation.metadata or None,
        "job_id": conversation.job_id,
        "item_id": conversation.item_id,
        "created_at": conversation.created_at and to_text(conversation.created_at),
        "updated_at": conversation.updated_at and to_text(conversation.updated_at),
    }
    return {name: value for name, value in fields.items() if value is not None}


def embed(json_text: str) -> orjson.Fragment:
    """Return valid JSON text to be written as it is, so that no number or key changes, but on one line."""
    return orjson.Fragment(json_text.replace("\n", " ").replace("\r", " "))
