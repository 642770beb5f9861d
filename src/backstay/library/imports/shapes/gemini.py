"""Contents of Gemini's API and of its tuning files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backstay.library.imports.blocks import read_blocks
from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.message import read_role
from backstay.library.imports.shape import Shape, take_tools
from backstay.library.imports.tools import to_arguments
from backstay.library.record import Document

_SYSTEM_KEYS = ("systemInstruction", "system_instruction")
_DECLARATION_KEYS = ("functionDeclarations", "function_declarations")


class GeminiShape(Shape):
    """A list under `contents` whose elements have a role, `user` or `model`, and `parts`."""

    label = "contents with parts (Gemini)"
    keys = ("contents",)
    rank = 2

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        contents = values.get("contents")
        is_list = isinstance(contents, list) and any(isinstance(entry, dict) and "parts" in entry for entry in contents)
        return ["contents"] if is_list else []

    def read(self, row: ImportRow, name: str) -> list[Document]:
        contents = list(enumerate(row.values.pop(name), start=1))
        turns = [turn for number, entry in contents for turn in _read_entry(entry, number, row)]
        turns = [*_take_system(row), *turns]
        row.values.update(_flat_tools(row.values.get("tools")))
        return [row.to_document(turns, take_tools(row.values))]


def _take_system(row: ImportRow) -> list[Document]:
    """Remove the system instruction, a text or an object with parts, and return its turn; none if there is none."""
    for key in _SYSTEM_KEYS:
        if (value := row.values.get(key)) and isinstance(value, str | dict):
            entry = {"parts": [{"text": value}]} if isinstance(value, str) else value
            del row.values[key]
            return list(_read_entry(entry, 1, row, role="system"))
    return []


def _read_entry(entry: Any, number: int, row: ImportRow, *, role: str | None = None) -> Iterator[Document]:
    if not isinstance(entry, dict) or not isinstance(entry.get("parts"), list):
        raise row.error(f"turn {number} needs 'role' and 'parts'")
    values = {key: value for key, value in entry.items() if value is not None}
    speaker, parts = values.pop("role", "user"), values.pop("parts")
    blocks = [_to_block(part) for part in parts]
    yield from read_blocks(blocks, role or read_role(speaker, number, row), number, row, values, is_always_list=True)


def _to_block(part: Any) -> Any:
    """Return a part as a block of Anthropic's API. The type of an unknown part is its first key."""
    match part:
        case {"functionCall": {**call}, **others} | {"function_call": {**call}, **others}:
            arguments = call.pop("args", {})
            return {"type": "tool_use", **others, **call, "input": arguments}
        case {"functionResponse": {**result}, **others} | {"function_response": {**result}, **others}:
            call_id = {"tool_use_id": result.pop("id")} if "id" in result else {}
            content = to_arguments(result.pop("response", ""))
            return {"type": "tool_result", **others, **result, **call_id, "content": content}
        case {"thought": True, "text": str(text), **others}:
            return {"type": "thinking", "thinking": text, **_with_signature(others)}
        case {"text": str()}:
            return {"type": "text", **part}
        case {"type": _}:
            return part
        case {**keys} if keys:
            return {"type": next(iter(keys)), **keys}
    return part


def _with_signature(others: Mapping[Any, Any]) -> Values:
    return {("signature" if key == "thoughtSignature" else key): value for key, value in others.items()}


def _flat_tools(tools: Any) -> Values:
    """Return the declared functions as a list of tools, if there are no other tools."""
    declared = [
        function
        for tool in (tools if isinstance(tools, list) else ())
        for key in _DECLARATION_KEYS
        if isinstance(tool, dict) and tool.keys() == {key} and isinstance(tool[key], list)
        for function in tool[key]
    ]
    is_whole = declared and len(declared) == sum(len(value) for tool in tools for value in tool.values())
    return {"tools": declared} if is_whole else {}
