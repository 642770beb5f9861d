"""Tool calls, tools and parts as readable text, for terminals and pages. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backstay.library.training_content import field_block_types
from backstay.library.turn import Turn, part_type, text_of_parts

_MAX_INDENTED_CHARACTERS = 100_000
_MAX_INDENTED_LEVELS = 20
_MIN_BASE64_CHARACTERS = 200
_OPENING, _CLOSING = ("[", "{"), ("]", "}")
_SYMBOL = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]\s*[\]}]|[^\s"]')
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_DATA_URL = re.compile(r"data:(?P<type>[^,;\s]{0,100})(?P<base64>[^,]{0,100};base64)?[^,]{0,100},", re.IGNORECASE)


def indent_json(text: str) -> str:
    """Return a JSON object or list with one entry per line. Only white space changes.

    Any other text, and JSON that is too long, is returned unchanged.
    """
    if len(text) > _MAX_INDENTED_CHARACTERS or not _is_json(text):
        return text
    pieces: list[str] = []
    level = 0
    for symbol in _SYMBOL.findall(text):
        level += (symbol in _OPENING) - (symbol in _CLOSING)
        line = "\n" + "  " * min(level, _MAX_INDENTED_LEVELS)
        if symbol in _CLOSING:
            pieces += (line, symbol)
        elif symbol in _OPENING or symbol == ",":
            pieces += (symbol, line)
        elif symbol[0] in _OPENING:  # an empty object or list
            pieces += (symbol[0], symbol[-1])
        else:
            pieces.append(": " if symbol == ":" else symbol)
    return "".join(pieces)


def format_value(value: Any) -> str:
    """Return a JSON value as text, indented."""
    return indent_json(json.dumps(value, ensure_ascii=False))


def name_of_tool(tool: Mapping[str, Any]) -> str:
    """Return the name of a tool from its definition, otherwise its type."""
    function = tool.get("function")
    names = (function.get("name") if isinstance(function, Mapping) else None, tool.get("name"), tool.get("type"))
    return next((name for name in names if isinstance(name, str) and name), "unnamed")


def other_fields(turn: Turn) -> Iterator[str]:
    """Yield what a turn has apart from its role and text, for people."""
    if turn.name:
        yield "name"
    if turn.reasoning:
        yield "reasoning"
    if turn.tool_calls:
        yield "1 tool call" if len(turn.tool_calls) == 1 else f"{len(turn.tool_calls)} tool calls"
    if turn.tool_call_id:
        yield "result of a tool"
    if turn.parts:
        yield "parts"
    if turn.metadata:
        yield "metadata"


def shown_parts(turn: Turn) -> Sequence[Any]:
    """Return the parts without those that repeat the reasoning or the tool calls, which are shown on their own."""
    repeated = field_block_types(turn)
    return [part for part in turn.parts or () if part_type(part) not in repeated]


def format_part(part: Any) -> str:
    """Return a part as text: its text, otherwise its URL or its fields.

    Embedded data, in base64 or a `data:` URL, is replaced by its size.
    """
    if text := text_of_parts([part]):
        return text
    value = _without_data(part)
    if isinstance(value, dict):
        value.pop("type", None)
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, str) else format_value(value)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _without_data(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_data(entry) for name, entry in value.items()}
        case list():
            return [_without_data(entry) for entry in value]
        case str():
            return _replace_data(value)
    return value


def _replace_data(text: str) -> str:
    if (address := _DATA_URL.match(text)) is not None:
        data = text[address.end() :]
        return f"{address.group()}… ({_size(len(data), is_base64=bool(address['base64']))})"
    if len(text) >= _MIN_BASE64_CHARACTERS and _BASE64.fullmatch(text):
        return f"{text[:20]}… ({_size(len(text), is_base64=True)})"
    return text


def _size(characters: int, *, is_base64: bool) -> str:
    size = characters * 3 // 4 if is_base64 else characters
    return f"about {size:,} bytes" if is_base64 else f"{size:,} characters"
