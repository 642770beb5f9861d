"""How each provider is asked, and how its answers are read."""

import pytest

from backstay.generate.prompt import Prompt
from backstay.generate.providers import PROVIDERS
from backstay.generate.providers.provider import Ask, End, Spent, Structure, Unreadable

_OPENAI, _ANTHROPIC, _OLLAMA = PROVIDERS["openai"], PROVIDERS["anthropic"], PROVIDERS["ollama"]


def _ask(structure: Structure = Structure.SCHEMA, **parameters: object) -> Ask:
    return Ask("m", Prompt("Be brief.", "Write."), 2, structure, 0.5, 99, parameters)


def test_openai_is_asked():
    """Messages, schema, the name of the bound that each server takes; the key in its header alone."""
    body = _OPENAI.body(_ask(seed=1), own_address=False)

    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write."}]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["user_1", "assistant_1"]
    assert (body["max_completion_tokens"], body["temperature"], body["seed"]) == (99, 0.5, 1)
    assert _OPENAI.body(_ask(), own_address=True)["max_tokens"] == 99
    assert _OLLAMA.body(_ask(), own_address=False)["max_tokens"] == 99
    assert _OPENAI.body(_ask(Structure.JSON), own_address=False)["response_format"] == {"type": "json_object"}
    assert "response_format" not in _OPENAI.body(_ask(Structure.TEXT), own_address=False)
    assert _OPENAI.headers("k") == {"Authorization": "Bearer k"}
    assert _OLLAMA.headers(None) == {}


def test_anthropic_is_asked():
    """A tool that has to be called, a bound that has to be there, the version and the key in headers."""
    body = _ANTHROPIC.body(_ask(top_k=3), own_address=False)

    assert (body["system"], body["max_tokens"], body["top_k"]) == ("Be brief.", 99, 3)
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][0]["name"]}
    assert body["tools"][0]["input_schema"]["required"] == ["user_1", "assistant_1"]
    assert "tools" not in _ANTHROPIC.body(_ask(Structure.TEXT), own_address=False)
    assert _ANTHROPIC.body(Ask("m", Prompt(None, "x"), 2, Structure.TEXT, None, None, {}), own_address=False) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "x"}],
    }
    assert _ANTHROPIC.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}


@pytest.mark.parametrize(
    ("reason", "refusal", "end"),
    [
        ("stop", None, End.COMPLETE),
        ("length", None, End.LENGTH),
        ("content_filter", None, End.FILTER),
        ("stop", "I cannot", End.REFUSAL),
        (None, None, End.UNKNOWN),
        ("tool_calls", None, End.UNKNOWN),
        (7, None, End.UNKNOWN),
    ],
)
def test_openai_answers(reason, refusal, end):
    """Why it stopped, in one word for all providers."""
    body = {"choices": [{"message": {"content": "x", "refusal": refusal}, "finish_reason": reason}]}

    assert _OPENAI.answer(body).end is end


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("tool_use", End.COMPLETE),
        ("end_turn", End.COMPLETE),
        ("max_tokens", End.LENGTH),
        ("refusal", End.REFUSAL),
        ("pause_turn", End.UNKNOWN),
        (None, End.UNKNOWN),
    ],
)
def test_anthropic_answers(reason, end):
    """Likewise; what the tool was called with is the answer, text is what is left without one."""
    blocks = [{"type": "text", "text": "Here."}, {"type": "tool_use", "name": "x", "input": {"user_1": "a"}}]

    answer = _ANTHROPIC.answer({"content": blocks, "stop_reason": reason})

    assert (answer.end, answer.text, answer.data) == (end, "Here.", {"user_1": "a"})


@pytest.mark.parametrize("provider", [_OPENAI, _ANTHROPIC])
@pytest.mark.parametrize(
    "body",
    [{}, {"choices": []}, {"choices": ["x"]}, {"choices": [{"message": 1}]}, {"content": None}, {"choices": None}],
)
def test_other_shapes_are_unreadable(provider, body):
    """No key error, no type error: it is said what is missing."""
    with pytest.raises(Unreadable):
        provider.answer(body)


def test_tokens_are_read_whatever_they_are():
    """What is no number counts as nothing; what was read from a cache was sent, too."""
    assert _OPENAI.spent({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}) == Spent(3, 4)
    cached = {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": 2}
    assert _ANTHROPIC.spent({"usage": cached}) == Spent(16, 2)
    for usage in (None, [], {"prompt_tokens": "3", "input_tokens": -1}, {"prompt_tokens": True, "output_tokens": 1.5}):
        assert _OPENAI.spent({"usage": usage}) == _ANTHROPIC.spent({"usage": usage}) == Spent()
