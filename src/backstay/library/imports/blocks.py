"""Content blocks as in Anthropic's API: text, thinking, tool calls and tool results in one list."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from backstay.library.id_text import to_id
from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.message import read_content
from backstay.library.imports.tools import read_tool_call, to_arguments
from backstay.library.record import Document

# The blocks, with their keys, that fields of a turn can hold, in the usual order of an answer.
_EXPRESSIBLE = {
    "thinking": {"type", "thinking", "signature"},
    "text": {"type", "text"},
    "tool_use": {"type", "id", "name", "input"},
}
_ORDER = tuple(_EXPRESSIBLE)


def read_blocks(
    blocks: Sequence[Any], role: str, number: int, row: ImportRow, values: Values, *, is_always_list: bool = False
) -> Iterator[Document]:
    """Yield the turns of a list of blocks: one for each tool result, and one for the blocks between results.

    The blocks are also kept as the turn's parts if its fields cannot hold them in this order, or if text alone is in
    a list, unless the shape always has lists. `values` are the other keys of the message, for its first turn.
    """
    if not blocks:
        yield row.to_turn(number, role, "", values)
    for is_result, group in groupby(blocks, lambda block: _is(block, "tool_result")):
        members = list(group)
        if not is_result:
            is_list_by_choice = len(members) == len(blocks) and not is_always_list
            yield _read_answer(members, role, number, row, values, is_list_by_choice=is_list_by_choice)
            values = {}
        for block in members if is_result else ():
            yield _read_result(block, number, row, values)
            values = {}


def _read_answer(
    blocks: Sequence[Any], role: str, number: int, row: ImportRow, values: Values, *, is_list_by_choice: bool
) -> Document:
    content, parts = read_content(blocks, number, row)
    fields = _fields_of(blocks)
    if not _is_expressible(blocks) or (is_list_by_choice and not fields):
        fields["parts"] = parts
    return row.to_turn(number, role, content, values, fields)


def _read_result(block: Values, number: int, row: ImportRow, values: Values) -> Document:
    others = {key: value for key, value in block.items() if value is not None and key != "type"}
    content, parts = read_content(others.pop("content", None), number, row)
    fields: Values = {} if parts is None else {"parts": parts}
    if call_id := to_id(others.get("tool_use_id")):
        fields["tool_call_id"] = call_id
        del others["tool_use_id"]
    if isinstance(others.get("name"), str) and others["name"]:
        fields["name"] = others.pop("name")
    return row.to_turn(number, "tool", content, {**values, **others}, fields)


def _fields_of(blocks: Sequence[Any]) -> Values:
    fields: Values = {}
    thoughts = [block for block in blocks if _is(block, "thinking") and isinstance(block.get("thinking"), str)]
    if reasoning := "\n\n".join(block["thinking"] for block in thoughts if block["thinking"]):
        fields["reasoning"] = reasoning
        if len(thoughts) == 1 and isinstance(thoughts[0].get("signature"), str):
            fields["reasoning_signature"] = thoughts[0]["signature"]
    calls = [_read_call(block) for block in blocks if _is(block, "tool_use")]
    if calls and None not in calls:
        fields["tool_calls"] = calls
    return fields


def _is_expressible(blocks: Sequence[Any]) -> bool:
    """Return whether content, reasoning and tool calls can hold everything in the blocks, in this order."""
    kinds = [block.get("type") if isinstance(block, dict) else None for block in blocks]
    return (
        all(kind in _ORDER and _keys(block) <= _EXPRESSIBLE[kind] for kind, block in zip(kinds, blocks, strict=True))
        and kinds == sorted(kinds, key=_ORDER.index)
        and all(kinds.count(kind) <= 1 for kind in ("thinking", "text"))
        and all(block.get("thinking") for block in blocks if _is(block, "thinking"))
        and all(_read_call(block) is not None for block in blocks if _is(block, "tool_use"))
    )


def _keys(block: Values) -> set[str]:
    """Return the keys with a value: Parquet and APIs add others with null."""
    return {key for key, value in block.items() if value is not None}


def _read_call(block: Values) -> Values | None:
    arguments = block.get("input")
    return read_tool_call({**block, "input": to_arguments({} if arguments is None else arguments)})


def _is(block: Any, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind
