"""Conversations as columns, collected for a record batch of pyarrow."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa

from backstay.library.conversation import Conversation
from backstay.library.provenance import ADDABLE_FIELDS
from backstay.library.review import Review
from backstay.library.turn import Turn

_TEXTS = ("id", "topic", "persona", "content", "job_id", "item_id")
_TIMES = ("created_at", "updated_at")
_TEXT, _TIME = pa.string(), pa.timestamp("us", "UTC")
_FUNCTION = pa.struct({"name": _TEXT, "arguments": _TEXT})
_REVIEW = pa.struct(
    {
        "status": _TEXT,
        "rating": pa.int64(),
        "tags": pa.list_(_TEXT),
        "note": _TEXT,
        "reviewer": _TEXT,
        "reviewed_at": _TEXT,
    }
)
_MESSAGE = {"role": _TEXT, "content": _TEXT}
_MESSAGE_FIELDS = {
    "name": _TEXT,
    "tool_calls": pa.list_(pa.struct({"id": _TEXT, "type": _TEXT, "function": _FUNCTION})),
    "tool_call_id": _TEXT,
    "reasoning_content": _TEXT,
    "weight": pa.int64(),
    "id": _TEXT,
    "metadata": _TEXT,
}


class ConversationColumns:
    """Rows that wait for `take`. Unless `with_fields`, a message has only a role and content.

    `added` are further columns, of `ADDABLE_FIELDS`, as JSON text.
    """

    def __init__(self, *, with_fields: bool, added: Sequence[str] = ()) -> None:
        self._with_fields = with_fields
        self._added = added
        self._message_type = pa.struct({**_MESSAGE, **(_MESSAGE_FIELDS if with_fields else {})})
        columns = {**dict.fromkeys(_TEXTS, _TEXT), **dict.fromkeys(_TIMES, _TIME), "metadata": _TEXT, "review": _REVIEW}
        tools = {"tools": _TEXT} if with_fields else {}
        columns |= dict.fromkeys(added, _TEXT)
        self.schema = pa.schema({**columns, "messages": pa.list_(self._message_type), **tools})
        self._clear()

    def _clear(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in self.schema.names if name != "messages"}
        self._roles: list[str] = []
        self._contents: list[str] = []
        self._fields: dict[str, list[Any]] = {name: [] for name in _MESSAGE_FIELDS}
        self._ends: list[int] = [0]
        self.characters = 0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._ends) - 1

    def append(self, conversation: Conversation) -> None:
        """Append a conversation as a row."""
        columns = self._columns
        for name in _TEXTS:
            columns[name].append(getattr(conversation, name))
        columns["created_at"].append(conversation.created_at)
        columns["updated_at"].append(conversation.updated_at)
        columns["metadata"].append(self._json(conversation.metadata))
        for name in self._added:
            columns[name].append(self._json(ADDABLE_FIELDS[name](conversation)))
        columns["review"].append(self._review(conversation.review))
        if self._with_fields:
            columns["tools"].append(self._json(conversation.tools))
        for turn in conversation.turns:
            self._append_turn(turn)
        self._ends.append(len(self._roles))

    def take(self) -> "pa.RecordBatch":
        """Return and remove all rows."""
        arrays = [
            self._messages() if name == "messages" else pa.array(self._columns[name], self.schema.field(name).type)
            for name in self.schema.names
        ]
        self._clear()
        return pa.record_batch(arrays, schema=self.schema)

    def _append_turn(self, turn: Turn) -> None:
        number = len(self._roles)
        self._roles.append(turn.role)
        self._contents.append(turn.content)
        self.characters += len(turn.content)
        if self._with_fields and not (turn.is_plain and turn.metadata is None and turn.id is None):
            self._append_fields(turn, number)

    def _append_fields(self, turn: Turn, number: int) -> None:
        fields = {
            "name": turn.name,
            "tool_calls": [replace(call, extra=None).to_dict() for call in turn.tool_calls],
            "tool_call_id": turn.tool_call_id,
            "reasoning_content": self._counted(turn.reasoning),
            "id": turn.id,
        }
        for name, value in fields.items():
            if value:
                _set(self._fields[name], number, value)
        if turn.metadata or turn.parts or any(call.extra for call in turn.tool_calls):
            self._append_metadata(turn, number)

    def _append_metadata(self, turn: Turn, number: int) -> None:
        """Append the metadata, with the parts, and the calls whose extra keys the column for calls cannot hold."""
        metadata = dict(turn.metadata or {})
        if _is_whole(metadata.get("weight")):
            _set(self._fields["weight"], number, metadata.pop("weight"))
        if turn.parts:
            metadata["parts"] = list(turn.parts)
        if any(call.extra for call in turn.tool_calls):
            metadata["tool_calls"] = [call.to_dict() for call in turn.tool_calls]
        if metadata:
            _set(self._fields["metadata"], number, self._json(metadata))

    def _messages(self) -> "pa.ListArray":
        lists: dict[str, list[Any]] = {"role": self._roles, "content": self._contents, **self._fields}
        count = len(self._roles)
        arrays = []
        for field in self._message_type:
            values = lists[field.name]
            values.extend([None] * (count - len(values)))
            arrays.append(pa.array(values, field.type))
        messages = pa.StructArray.from_arrays(arrays, fields=list(self._message_type))
        return pa.ListArray.from_arrays(pa.array(self._ends, pa.int32()), messages)

    def _review(self, review: Review | None) -> dict[str, Any] | None:
        if review is None:
            return None
        self._counted(review.note)
        return review.to_dict()

    def _json(self, value: Any) -> str | None:
        return self._counted(orjson.dumps(value).decode()) if value else None

    def _counted(self, text: str | None) -> str | None:
        if text:
            self.characters += len(text)
        return text


def _set(values: list[Any], number: int, value: Any) -> None:
    """Set the value of a message in a sparse column; messages before it that have none get None."""
    values.extend([None] * (number - len(values)))
    values.append(value)


def _is_whole(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63
