"""OpenAI's chat completions API, which most other servers offer too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.generate.prompt import turn_keys
from backstay.generate.providers.answer_fields import finish_reason, join_paragraphs, read_token_count, split_content
from backstay.generate.providers.provider import (
    FinishReason,
    ModelAnswer,
    ModelRequest,
    Provider,
    Quirk,
    Structure,
    TokenUsage,
    UnreadableResponse,
    conversation_schema,
)

_THOUGHT_FIELDS = ("reasoning_content", "reasoning")
_TOOL = "conversation"
_PLAIN_FIELDS = frozenset({"role", "content"})  # the only fields of most messages

OLDER_TOKEN_FIELD = "max_tokens"  # noqa: S105 - a field name, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAICompatible(Provider):
    """The chat completions API, at OpenAI or another host."""

    path: str = "/chat/completions"
    structures: tuple[Structure, ...] = (Structure.SCHEMA, Structure.JSON, Structure.TEXT)
    token_field: str = OLDER_TOKEN_FIELD
    """Parameter that limits tokens. OpenAI's newer models accept only the newer name, most others the old one."""
    quirks: frozenset[Quirk] = frozenset()

    def body(self, request: ModelRequest) -> dict[str, Any]:
        messages = [{"role": "user", "content": request.prompt.user}]
        if request.prompt.system is not None:
            messages.insert(0, {"role": "system", "content": request.prompt.system})
        body: dict[str, Any] = {"model": request.model, "messages": messages}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body[self.token_field] = request.max_tokens
        if request.stream:
            body["stream"] = True
            if Quirk.NO_STREAM_OPTIONS not in self.quirks:
                body["stream_options"] = {"include_usage": True}
        if request.structure is Structure.SCHEMA:
            schema = conversation_schema(turn_keys(request.turns))
            json_schema = {"name": "conversation", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        elif request.structure is Structure.JSON:
            body["response_format"] = {"type": "json_object"}
        return {**body, **request.parameters}

    def usage(self, body: Mapping[str, Any]) -> TokenUsage:
        usage = body.get("usage")
        if not isinstance(usage, dict):
            return TokenUsage()
        return TokenUsage(
            read_token_count(usage.get("prompt_tokens")), read_token_count(usage.get("completion_tokens"))
        )

    def parse_answer(self, body: Mapping[str, Any]) -> ModelAnswer:
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise UnreadableResponse("the answer has no choices")
        choice: Mapping[str, Any] = choices[0]
        message, reason = choice.get("message"), choice.get("finish_reason")
        if message is None and isinstance(choice.get("text"), str):
            message = {"content": choice["text"]}  # from servers with text completions
        if not isinstance(message, dict):
            raise UnreadableResponse("the answer has no message")
        content, word = message.get("content"), reason if isinstance(reason, str) else "none"
        if isinstance(content, str) and not any(map(message.get, message.keys() - _PLAIN_FIELDS)):
            return ModelAnswer(finish_reason(reason, is_structure=False), word, content)
        texts, thoughts = split_content(content)
        thoughts = [next((message[name] for name in _THOUGHT_FIELDS if _is_text(message.get(name))), ""), *thoughts]
        *earlier, last = [parsed] if (parsed := message.get("parsed")) else _tool_arguments(message) or [None]
        data = content if isinstance(content, dict) and last is None else last
        end = finish_reason(reason, is_structure=last is not None)
        return ModelAnswer(
            FinishReason.REFUSAL if _refuses(message) else end,
            word,
            "".join(texts) or None,
            data,
            join_paragraphs(thoughts),
            earlier=earlier,
        )


def _tool_arguments(message: Mapping[str, Any]) -> list[Any]:
    """Return the arguments of calls to the conversation tool or else to any tool, as JSON texts or as values."""
    calls = message.get("tool_calls")
    called = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    functions = [entry for entry in (*called, message.get("function_call")) if isinstance(entry, dict)]
    conversation_calls = [entry for entry in functions if entry.get("name") == _TOOL]
    return [arguments for entry in conversation_calls or functions if (arguments := entry.get("arguments"))]


def _refuses(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return any(entry.get("refusal") for entry in (message, *blocks))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
