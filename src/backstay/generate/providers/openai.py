"""OpenAI's chat completions, which most other servers speak too."""

from collections.abc import Mapping
from typing import Any

from backstay.generate.prompt import turn_keys
from backstay.generate.providers.provider import Answer, Ask, End, Spent, Structure, Unreadable, schema, whole

# Servers that speak OpenAI's language have words of their own for the end of a text.
_ENDS = {
    "stop": End.COMPLETE,
    "eos": End.COMPLETE,
    "eos_token": End.COMPLETE,
    "end_turn": End.COMPLETE,
    "length": End.LENGTH,
    "max_tokens": End.LENGTH,
    "content_filter": End.FILTER,
}


class OpenAI:
    """Chat completions. Implements `Provider`."""

    path = "/chat/completions"
    structures: tuple[Structure, ...] = (Structure.SCHEMA, Structure.JSON, Structure.TEXT)

    def __init__(self, name: str, base_url: str, *, needs_key: bool = True) -> None:
        self.name = name
        self.base_url = base_url
        self.key_variable = "OPENAI_API_KEY" if needs_key else "OLLAMA_API_KEY"
        self.needs_key = needs_key

    def headers(self, key: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, ask: Ask, *, own_address: bool) -> dict[str, Any]:
        messages = [{"role": "user", "content": ask.prompt.user}]
        if ask.prompt.system is not None:
            messages.insert(0, {"role": "system", "content": ask.prompt.system})
        body: dict[str, Any] = {"model": ask.model, "messages": messages}
        if ask.temperature is not None:
            body["temperature"] = ask.temperature
        if ask.max_tokens is not None:
            # OpenAI's newer models take only the newer name, most other servers only the older.
            newer = self.needs_key and not own_address
            body["max_completion_tokens" if newer else "max_tokens"] = ask.max_tokens
        if ask.structure is Structure.SCHEMA:
            wanted = {"name": "conversation", "strict": True, "schema": schema(turn_keys(ask.turns))}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        elif ask.structure is Structure.JSON:
            body["response_format"] = {"type": "json_object"}
        return {**body, **ask.parameters}

    def spent(self, body: Mapping[str, Any]) -> Spent:
        usage = body.get("usage")
        if not isinstance(usage, Mapping):
            return Spent()
        return Spent(whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens")))

    def answer(self, body: Mapping[str, Any]) -> Answer:
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            raise Unreadable("the answer has no choices")
        message, reason = choices[0].get("message"), choices[0].get("finish_reason")
        if not isinstance(message, Mapping):
            raise Unreadable("the answer has no message")
        content, reason = message.get("content"), reason if isinstance(reason, str) else "none"
        text = content if isinstance(content, str) else None
        if message.get("refusal"):
            return Answer(End.REFUSAL, reason, text)
        return Answer(_ENDS.get(reason, End.UNKNOWN), reason, text)
