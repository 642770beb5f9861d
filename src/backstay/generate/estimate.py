"""Estimates of token counts, used until a provider reports them. Pure."""

from backstay.generate.prompt import Prompt

_BYTES_PER_TOKEN = 4
_TOKENS_PER_TURN = 100
_OVERHEAD_TOKENS = 10


def estimate_tokens_in(prompt: Prompt) -> int:
    """Estimate the tokens of a prompt as a quarter of its bytes in UTF-8."""
    size = len(prompt.user.encode()) + len((prompt.system or "").encode())
    return _OVERHEAD_TOKENS + -(-size // _BYTES_PER_TOKEN)


def estimate_tokens_out(turns: int, max_tokens: int | None) -> int:
    """Estimate the tokens of an answer before any was received."""
    expected = _TOKENS_PER_TURN * turns
    return min(expected, max_tokens) if max_tokens is not None else expected
