"""Anthropic's Messages API. Structured output is requested through a tool that the model must call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backstay.generate.endpoint_url import from_anthropic_base_url
from backstay.generate.prompt import turn_keys
from backstay.generate.providers.answer_fields import finish_reason, join_paragraphs, read_token_count, split_content
from backstay.generate.providers.provider import (
    ModelAnswer,
    ModelRequest,
    Provider,
    Structure,
    TokenUsage,
    UnreadableResponse,
    conversation_schema,
)

_FIRST_VERSION_WITHOUT_SAMPLING = "2026-10-21"  # the first version that rejects sampling parameters
_SAMPLING_PARAMETERS = ("temperature", "top_p", "top_k")
_DEFAULT_MAX_TOKENS = 4_096  # for recipes without a maximum, which the API requires
_TOOL = "conversation"
_CACHE_FIELDS = ("cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anthropic(Provider):
    """Anthropic's Messages API."""

    name: str = "anthropic"
    base_url: str | None = "https://api.anthropic.com/v1"
    path: str = "/messages"
    key_variable: str = "ANTHROPIC_API_KEY"
    key_header: str | None = "x-api-key"
    base_url_variable: str | None = "ANTHROPIC_BASE_URL"
    normalize_url: Callable[[str], str] = from_anthropic_base_url
    unread_variable: str | None = "ANTHROPIC_API_URL"
    is_api_style: bool = True
    structures: tuple[Structure, ...] = (Structure.SCHEMA, Structure.TEXT)
    version: str = "2023-06-01"

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the headers of a request."""
        return {"anthropic-version": self.version, **Provider.headers(self, key)}

    def body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": _DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens,
            "messages": [{"role": "user", "content": request.prompt.user}],
        }
        if request.prompt.system is not None:
            body["system"] = request.prompt.system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stream:
            body["stream"] = True
        if request.structure is Structure.SCHEMA:
            description = "Hand over the conversation that was asked for."
            schema = conversation_schema(turn_keys(request.turns))
            body["tools"] = [{"name": _TOOL, "description": description, "input_schema": schema}]
            body["tool_choice"] = {"type": "tool", "name": _TOOL}
        return {**body, **request.parameters}

    def usage(self, body: Mapping[str, Any]) -> TokenUsage:
        usage = body.get("usage")
        if not isinstance(usage, Mapping):
            return TokenUsage()
        counts = [read_token_count(usage.get(name)) for name in ("input_tokens", *_CACHE_FIELDS)]
        tokens_in = None if counts[0] is None else sum(count or 0 for count in counts)
        return TokenUsage(tokens_in, read_token_count(usage.get("output_tokens")))

    def parse_answer(self, body: Mapping[str, Any]) -> ModelAnswer:
        content, reason = body.get("content"), body.get("stop_reason")
        if not isinstance(content, list | str):
            raise UnreadableResponse("the answer has no content")
        blocks = [block for block in content if isinstance(block, Mapping)]
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        calls = [call for call in calls if call.get("name") == _TOOL] or calls
        *earlier, data = [value for call in calls if (value := call.get("input"))] or [None]
        texts, thoughts = split_content(content)
        signatures = [block["signature"] for block in blocks if isinstance(block.get("signature"), str)]
        return ModelAnswer(
            finish_reason(reason, is_structure=bool(data)),
            reason if isinstance(reason, str) else "none",
            "".join(texts) or None,
            data,
            join_paragraphs(thoughts),
            signatures[-1] if signatures else None,
            earlier,
        )


def rejected_parameters(version: str, parameters: Iterable[str]) -> list[str]:
    """Return the parameters that a version of the API no longer accepts."""
    if version < _FIRST_VERSION_WITHOUT_SAMPLING:
        return []
    return [name for name in parameters if name in _SAMPLING_PARAMETERS]
