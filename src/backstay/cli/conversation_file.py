"""A JSON file with one conversation, as `conversations show --json` prints it or an export in `native` has it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from backstay.cli.text import printable
from backstay.errors import InputUnreadable
from backstay.library.edit_plan import Edit
from backstay.library.record import TURNS
from backstay.library.turn import ToolCall, Turn

_FIELDS = {"name": "name", "reasoning": "reasoning", "parts": "parts", "toolCallId": "tool_call_id"}
"""Fields of a turn that the JSON names as the key does."""


class EditFile(NamedTuple):
    """The edit that a file asks for, and the digest of the conversation that it was made from, if it has one."""

    edit: Edit
    expected: str | None


def read_edit(name: str, text: str) -> EditFile:
    """Read the text of a file. Raises InputUnreadable."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputUnreadable(
            f"{printable(name)}, line {error.lineno}: not valid JSON", path=name, line=error.lineno
        ) from error
    turns = value.get(TURNS, value.get("turns")) if isinstance(value, dict) else None
    if not isinstance(turns, list):
        raise InputUnreadable(
            f"{printable(name)} is not one conversation: a JSON object with its turns is expected", path=name
        )
    texts = {key: value[key] for key in ("topic", "persona") if key in value}
    edit = Edit(turns=[_turn(turn, number, name) for number, turn in enumerate(turns, start=1)], **texts)
    digest = value.get("digest")
    return EditFile(edit, digest if isinstance(digest, str) else None)


def _turn(value: Any, number: int, name: str) -> Turn:
    try:
        if not isinstance(value, Mapping):
            raise TypeError
        calls = value.get("toolCalls") or ()
        fields = {field: value[key] for key, field in _FIELDS.items() if value.get(key) is not None}
        tool_calls = [ToolCall(call["id"], call["name"], call["arguments"], extra=call.get("extra")) for call in calls]
        return Turn(
            value["role"], value["content"], id=value.get("id"), metadata=value.get("metadata") or None,
            tool_calls=tuple(tool_calls), **fields,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise InputUnreadable(
            f"{printable(name)}: turn {number} is not an object with a role and a content", path=name, turn=number
        ) from error
