"""Anthropic's messages. Structure is asked for through a tool that the model has to call."""

from collections.abc import Mapping
from typing import Any

from backstay.generate.prompt import turn_keys
from backstay.generate.providers.provider import Answer, Ask, End, Spent, Structure, Unreadable, schema, whole

_VERSION = "2023-06-01"
_MAX_TOKENS = 4_096  # the API wants a bound; this one is taken where the recipe has none
_TOOL = "conversation"
_ENDS = {
    "end_turn": End.COMPLETE,
    "tool_use": End.COMPLETE,
    "stop_sequence": End.COMPLETE,
    "max_tokens": End.LENGTH,
    "model_context_window_exceeded": End.LENGTH,
    "refusal": End.REFUSAL,
}


class Anthropic:
    """Messages. Implements `Provider`."""

    name = "anthropic"
    base_url = "https://api.anthropic.com/v1"
    path = "/messages"
    key_variable = "ANTHROPIC_API_KEY"
    needs_key = True
    structures: tuple[Structure, ...] = (Structure.SCHEMA, Structure.TEXT)

    def headers(self, key: str | None) -> dict[str, str]:
        return {"anthropic-version": _VERSION, **({"x-api-key": key} if key else {})}

    def body(self, ask: Ask, *, own_address: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": ask.model,
            "max_tokens": _MAX_TOKENS if ask.max_tokens is None else ask.max_tokens,
            "messages": [{"role": "user", "content": ask.prompt.user}],
        }
        if ask.prompt.system is not None:
            body["system"] = ask.prompt.system
        if ask.temperature is not None:
            body["temperature"] = ask.temperature
        if ask.structure is Structure.SCHEMA:
            told = "Hand over the conversation that was asked for."
            body["tools"] = [{"name": _TOOL, "description": told, "input_schema": schema(turn_keys(ask.turns))}]
            body["tool_choice"] = {"type": "tool", "name": _TOOL}
        return {**body, **ask.parameters}

    def spent(self, body: Mapping[str, Any]) -> Spent:
        usage = body.get("usage")
        if not isinstance(usage, Mapping):
            return Spent()
        cached = whole(usage.get("cache_creation_input_tokens")) + whole(usage.get("cache_read_input_tokens"))
        return Spent(whole(usage.get("input_tokens")) + cached, whole(usage.get("output_tokens")))

    def answer(self, body: Mapping[str, Any]) -> Answer:
        content, reason = body.get("content"), body.get("stop_reason")
        if not isinstance(content, list):
            raise Unreadable("the answer has no content")
        blocks = [block for block in content if isinstance(block, Mapping)]
        given = next((block.get("input") for block in blocks if block.get("type") == "tool_use"), None)
        texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
        reason = reason if isinstance(reason, str) else "none"
        return Answer(_ENDS.get(reason, End.UNKNOWN), reason, "".join(texts) or None, given)
