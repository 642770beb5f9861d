"""Tool calls and tool definitions of imported rows, converted for storage. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.library.id_text import to_id
from backstay.library.turn import ToolCall
from backstay.readers.json_depth import is_too_deep

_FUNCTION, _CUSTOM = "function", "custom"
_CALL_TYPES = (_FUNCTION, "tool_call", "tool_use")
_ARGUMENTS = ("arguments", "args", "parameters", "input")
_TAGGED = re.compile(r"\s*<tool_call>(.*?)</tool_call>\s*", re.DOTALL)


class NotFinite(ValueError):
    """A value for a text has NaN or Infinity, which JSON does not have."""


def read_tool_calls(value: Any) -> list[dict[str, Any]] | None:
    """Return a list of tool calls, each like `ToolCall.to_dict`; None if an entry is not a tool call."""
    calls = [read_tool_call(entry) for entry in as_list(value) or ()]
    return [call for call in calls if call is not None] if None not in calls else None


def read_tool_call(value: Any) -> dict[str, Any] | None:
    """Return a tool call, nested as in OpenAI's API or flat; None for any other value.

    Arguments other than text are written as JSON. Unknown keys are kept next to the id.
    """
    if not isinstance(value, dict):
        return None
    outer = _without_nulls(value)
    original_id = outer.pop("id", None)
    if (call_id := to_id(original_id)) is None and original_id is not None:
        return None
    if outer.get("type") == _CUSTOM:
        custom = ToolCall.from_dict(outer)
        return None if custom is None else replace(custom, id=call_id).to_dict()
    is_nested = isinstance(outer.get(_FUNCTION), dict)
    inner = _without_nulls(outer.pop(_FUNCTION)) if is_nested else outer
    kind, name = outer.pop("type", _FUNCTION), inner.pop("name", None)
    key = next((key for key in _ARGUMENTS if inner.get(key) is not None), None)
    arguments = {} if key is None else inner.pop(key)
    if not isinstance(name, str) or not name or kind not in _CALL_TYPES or _FUNCTION in outer:
        return None
    extra = {**outer, **{f"{_FUNCTION}.{key}": entry for key, entry in inner.items()}} if is_nested else outer
    return ToolCall(call_id, name, to_arguments(arguments), extra=extra or None).to_dict()


def without_extra_keys(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call from `read_tool_call` without extra keys and types, as the Parquet column for calls holds it."""
    whole = ToolCall.from_dict(call)
    return {} if whole is None else replace(whole, extra=None).to_dict()


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if entry is not None}


def read_calls_text(text: str) -> list[dict[str, Any]] | None:
    """Return the tool calls that a text consists of, as JSON or between `<tool_call>` tags; None for any other text."""
    pieces = _TAGGED.findall(text)
    if not pieces or _TAGGED.sub("", text):
        pieces = [text]
    calls: list[Any] = []
    for piece in pieces:
        value = parse_json(piece)
        calls += value if isinstance(value, list) else [value]
    return read_tool_calls(calls) or None


def to_arguments(value: Any) -> str:
    """Return the arguments of a call as text: text unchanged, any other value as JSON. Raises NotFinite."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NotFinite from error


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """Return a list of tool definitions, or one in JSON text; None for any other value."""
    tools = as_list(value)
    if not tools or not all(isinstance(tool, dict) for tool in tools):
        return None
    return [_to_tool(tool) for tool in tools]


def read_functions(value: Any) -> list[dict[str, Any]] | None:
    """Return `functions` of OpenAI's older API as tool definitions; None for any other value."""
    functions = as_list(value)
    if not functions or not all(isinstance(function, dict) for function in functions):
        return None
    return [{"type": _FUNCTION, _FUNCTION: function} for function in functions]


def _to_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition in OpenAI's shape, if it is in Anthropic's shape or flat; otherwise unchanged."""
    if not isinstance(tool.get("name"), str) or _FUNCTION in tool or tool.get("type") not in (None, _CUSTOM):
        return dict(tool)
    if tool.get("type") == _CUSTOM and "input_schema" not in tool:  # one of OpenAI's API, whose input is any text
        return dict(tool)
    function = {key: entry for key, entry in tool.items() if key != "type"}
    if "input_schema" in function and "parameters" not in function:
        function = {("parameters" if key == "input_schema" else key): entry for key, entry in function.items()}
    return {"type": _FUNCTION, _FUNCTION: function}


def as_list(value: Any) -> Sequence[Any] | None:
    """Return a list, or the list that a JSON text holds; None for any other value."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parse_json(value)
    return value if isinstance(value, list) else None


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; None if it is not JSON or nested too deeply to be stored."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(value) else value
