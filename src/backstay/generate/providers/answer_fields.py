"""Fields of answers, as all providers write them: finish reasons, contents and token counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.generate.providers.provider import FinishReason

# One table for all providers: gateways with OpenAI's API pass on the finish reasons of other providers.
_WORDS = {
    FinishReason.COMPLETE: "stop end_turn stop_sequence eos eos_token stop_token complete completed end_of_turn finish",
    FinishReason.LENGTH: "length max_tokens max_output_tokens max_length max_len model_length token_limit error_limit "
    "model_context_window_exceeded context_length_exceeded",
    FinishReason.FILTER: "content_filter content_filtered safety recitation prohibited_content blocklist spii "
    "image_safety sensitive error_toxic guardrail_intervened",
    FinishReason.REFUSAL: "refusal",
}
_REASONS = {word: end for end, words in _WORDS.items() for word in words.split()}
_TOOL_CALL_WORDS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
_THINKING_TYPES = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text", "reasoning.text", "summary_text"}
)
_TEXT_FIELDS = ("thinking", "reasoning", "thought", "text", "content", "summary")


def finish_reason(reason: object, *, is_structure: bool) -> FinishReason:
    """Return the finish reason for a provider's word; `is_structure` if the requested tool was called.

    An unknown word may mean an incomplete answer.
    """
    if isinstance(reason, str) and (end := _REASONS.get(reason)) is not None:
        return end
    if reason is None or reason == "":
        return FinishReason.NOT_GIVEN
    if not isinstance(reason, str):
        return FinishReason.UNKNOWN
    word = reason.strip().lower().replace("-", "_").removeprefix("finish_reason_")
    if word in _TOOL_CALL_WORDS:
        return FinishReason.COMPLETE if is_structure else FinishReason.UNKNOWN
    return _REASONS.get(word, FinishReason.UNKNOWN)


def split_content(content: Any) -> tuple[list[str], list[str]]:
    """Return the texts of a content, and separately the model's reasoning."""
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[str] = []
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping):
            if str(block.get("type")) in _THINKING_TYPES or block.get("thought") is True:
                thoughts += _read_thoughts(block)
            elif isinstance(block.get("text"), str):
                texts.append(block["text"])
    return texts, thoughts


def _read_thoughts(block: Mapping[str, Any]) -> list[str]:
    value = next((block[name] for name in _TEXT_FIELDS if block.get(name) and block[name] is not True), None)
    if isinstance(value, list):
        texts = [inner.get("text") for inner in value if isinstance(inner, Mapping)]
        value = "".join(text for text in texts if isinstance(text, str))
    return [value] if isinstance(value, str) else []


def read_token_count(value: object) -> int | None:
    """Return a token count, which some servers write as text or as a float; None for anything else."""
    if type(value) is int and 0 <= value <= 10**9:
        return value
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**9 or value % 1:
        return None
    return int(value)


def join_paragraphs(texts: Sequence[str]) -> str | None:
    """Join texts as paragraphs; return None if all are blank."""
    return "\n\n".join(text for text in texts if text.strip()) or None
