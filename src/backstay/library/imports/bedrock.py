"""Blocks and tools of Bedrock's Converse API, converted to those of Anthropic's and OpenAI's. Pure.

A block has one key, such as `toolUse`, in place of a type.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.library.imports.tools import to_arguments

_KEYS = frozenset(("toolUse", "toolResult", "reasoningContent", "image", "document", "video", "cachePoint"))


def is_bedrock_block(block: Any) -> bool:
    """Return whether a value is a block that only Bedrock's API has."""
    return isinstance(block, dict) and len(block) == 1 and not _KEYS.isdisjoint(block)


def to_typed_block(block: Any) -> Any:
    """Return a block of Bedrock's API as one of Anthropic's; one without a counterpart gets its key as its type.

    Any other value is returned unchanged.
    """
    match block:
        case {"toolUse": {"toolUseId": call_id, **call}, **more} if not more:
            return {"type": "tool_use", "id": call_id, **call}
        case {"toolResult": {"toolUseId": call_id, "content": list(parts), **result}, **more} if not more:
            return {"type": "tool_result", "tool_use_id": call_id, "content": _to_content(parts), **result}
        case {"reasoningContent": {"reasoningText": {"text": str(text), **signature}, **other}, **more} if not (
            other or more
        ):
            return {"type": "thinking", "thinking": text, **signature}
        case {"text": str(text), **more} | {"json": text, **more} if not more:
            return {"type": "text", "text": to_arguments(text)}
    return {"type": next(iter(block)), **block} if is_bedrock_block(block) else block


def _to_content(parts: Sequence[Any]) -> Any:
    match [to_typed_block(part) for part in parts]:
        case [{"type": "text", "text": str(text), **more}] if not more:
            return text
        case typed:
            return typed


def read_tool_config(value: Any) -> list[dict[str, Any]] | None:
    """Return the tools of a `toolConfig` as definitions; None for any other value, or one with more than tools."""
    match value:
        case {"tools": list(tools), **more} if tools and not more:
            definitions = list(map(_to_tool, tools))
            return [tool for tool in definitions if tool is not None] if None not in definitions else None
    return None


def _to_tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    match tool:
        case {"toolSpec": {"inputSchema": {"json": dict(schema), **other}, **described}, **more} if not (other or more):
            return {"type": "function", "function": {**described, "parameters": schema}}
    return None
