"""ChatGPT's data export: a tree of messages. The branch that ends in the current message is the conversation."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backstay.clock import to_text
from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.message import read_content, read_role
from backstay.library.imports.shape import Shape
from backstay.library.record import Document
from backstay.library.turn import ToolCall

_HIDDEN = "is_visually_hidden_from_conversation"
_TEXT_KEYS = ("text", "result", "content")
_TIMES = {"create_time": "created_at", "update_time": "updated_at"}


class ChatGPTExportShape(Shape):
    """A conversation of `conversations.json`. Other branches of its tree and hidden messages are left out."""

    label = "mapping (ChatGPT's export)"
    keys = ("mapping",)
    rank = 2

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        mapping = values.get("mapping")
        is_tree = isinstance(mapping, dict) and all(
            isinstance(node, dict) and "parent" in node for node in mapping.values()
        )
        return ["mapping"] if mapping and is_tree else []

    def read(self, row: ImportRow, name: str) -> list[Document]:
        values = row.values
        branch = _branch(values.pop(name), values.pop("current_node", None), row)
        turns = [turn for number, message in enumerate(branch, start=1) for turn in _read_message(message, number, row)]
        if values.get("id") is None and isinstance(values.get("conversation_id"), str):
            values["id"] = values.pop("conversation_id")
        if values.get("topic") is None and isinstance(values.get("title"), str):
            values["topic"] = values.pop("title")
        for key, column in _TIMES.items():
            if column not in values and (time := _to_time(values.get(key))) is not None:
                values[column] = time
                del values[key]
        return [row.to_document(turns)]


def _branch(mapping: Values, current: Any, row: ImportRow) -> list[Values]:
    """Return the messages from the root to the current one; without a current one, to the last leaf."""
    if not isinstance(current, str) or current not in mapping:
        leaves = [name for name, node in mapping.items() if not node.get("children")]
        current = leaves[-1] if leaves else None
    branch, seen = [], set()
    while isinstance(current, str) and current in mapping:
        if current in seen:
            raise row.error("the messages under 'mapping' form a cycle")
        seen.add(current)
        if isinstance(message := mapping[current].get("message"), dict):
            branch.append(message)
        current = mapping[current]["parent"]
    return branch[::-1]


def _read_message(message: Values, number: int, row: ImportRow) -> Iterator[Document]:
    """Yield the turn of a message; none if it is hidden or empty."""
    values = {key: value for key, value in message.items() if value is not None}
    author, content = values.pop("author", None), values.pop("content", None)
    author = dict(author) if isinstance(author, dict) else {}
    role = read_role(author.pop("role", None), number, row)
    metadata = values.get("metadata")
    if not isinstance(content, dict) or (isinstance(metadata, dict) and metadata.get(_HIDDEN) is True):
        return
    text, fields = _read_content(dict(content), role, values, number, row)
    if isinstance(author.get("name"), str) and author["name"]:
        fields["name"] = author.pop("name")
    if text.strip() or fields.keys() - {"name"} or (role == "tool" and "name" in fields):
        values |= {"author": author} if any(author.values()) else {}
        yield row.to_turn(number, role, text, values, fields)


def _read_content(content: Values, role: str, values: Values, number: int, row: ImportRow) -> tuple[str, Values]:
    """Return the text and the fields of a content; its other entries are added to the values of the message."""
    kind, text, fields = content.pop("content_type", "text"), "", dict[str, Any]()
    if isinstance(parts := content.get("parts"), list):
        del content["parts"]
        text, typed = read_content([_to_part(part) for part in parts], number, row)
        if not all(isinstance(part, str) for part in parts) or len(parts) > 1:
            fields["parts"] = typed
    elif isinstance(thoughts := content.get("thoughts"), list):
        texts = [thought.get("content") for thought in thoughts if isinstance(thought, dict)]
        fields["reasoning"] = "\n\n".join(thought for thought in texts if thought and isinstance(thought, str))
    elif (key := next((key for key in _TEXT_KEYS if isinstance(content.get(key), str)), None)) is not None:
        text = content.pop(key)
    if kind == "code" and role == "assistant" and values.get("recipient", "all") != "all":
        text, fields["tool_calls"] = "", [ToolCall(None, str(values.pop("recipient")), text).to_dict()]
    elif kind == "reasoning_recap":
        text, fields["reasoning"] = "", text
    others = {key: value for key, value in content.items() if value is not None}
    if others or kind != "text":
        values["content_details"] = {"content_type": kind, **others}
    return text, {name: value for name, value in fields.items() if value}


def _to_part(part: Any) -> Any:
    """Return a part with a type, which is `content_type` in the export."""
    if isinstance(part, dict) and "type" not in part:
        return {"type": str(part.get("content_type", "object")), **part}
    return part


def _to_time(value: Any) -> str | None:
    try:
        return to_text(datetime.fromtimestamp(value, UTC)) if isinstance(value, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None
