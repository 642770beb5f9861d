"""Export formats of JSON lines."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from backstay.clock import to_text
from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, DESCRIPTIVE_TURN_FIELDS, Format, FormatOptions


class JsonLines(Format):
    """A format with one JSON object per line. The option `metadata` adds the descriptive fields."""

    writes_turn_metadata: ClassVar[bool] = False
    """Whether the option `metadata` also adds ids and metadata of the turns."""

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        super().__init__(options)
        if options.metadata:
            self.written_fields = (*DESCRIPTIVE_FIELDS, *(DESCRIPTIVE_TURN_FIELDS if self.writes_turn_metadata else ()))

    def chunk(self, conversation: Conversation) -> bytes:
        fields = descriptive_fields(conversation) if self.options.metadata else {}
        return write_line(self.row(conversation) | fields | dict(self.added_values(conversation)))

    @abstractmethod
    def row(self, conversation: Conversation) -> dict[str, Any]:
        """Return the object of a prepared conversation."""


def write_line(row: Mapping[str, Any]) -> bytes:
    """Return an object as a line of JSON."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def descriptive_fields(conversation: Conversation) -> dict[str, Any]:
    """Return the descriptive fields that are set, named as in the native shape."""
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
    """Return valid JSON text to embed unparsed, on one line, so that no number or key changes."""
    return orjson.Fragment(json_text.replace("\n", " ").replace("\r", " "))
