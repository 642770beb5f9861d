"""The finish reasons of providers."""

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
