"""Definitions of tools in the shapes of OpenAI and Anthropic.

Both have a name, a description and a JSON schema of the arguments. Other definitions, such as those of tools that the
provider runs itself, are left unchanged.
"""

from collections.abc import Mapping
from typing import Any

_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


def to_openai(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a definition as OpenAI's API takes it: `{"type": "function", "function": {"name", "parameters"}}`."""
    match tool:
        case {"name": str(), "input_schema": dict(schema), **rest} if rest.get("type", "custom") == "custom":
            described = {name: value for name, value in tool.items() if name not in ("input_schema", "type")}
            return {"type": "function", "function": {**described, "parameters": schema}}
    return tool


def to_anthropic(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a definition as Anthropic's API takes it: `{"name", "description", "input_schema"}`."""
    match tool:
        case {"type": "function", "function": {"name": str()} as function}:
            described = {name: value for name, value in function.items() if name != "parameters"}
            more = {name: value for name, value in tool.items() if name not in ("type", "function")}
            return {**described, "input_schema": function.get("parameters") or _NO_ARGUMENTS, **more}
    return tool
