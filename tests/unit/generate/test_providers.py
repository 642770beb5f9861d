"""Requests of each provider, and parsing of its answers."""

from dataclasses import replace
from typing import get_args
from urllib.parse import urlsplit

import pytest

from backstay.batch.item import Item
from backstay.generate.prompt import Prompt, PromptTemplates
from backstay.generate.providers import PROVIDERS
from backstay.generate.providers.provider import FinishReason, ModelRequest, Structure, TokenUsage, UnreadableResponse
from backstay.generate.recipe import Recipe

_OPENAI, _ANTHROPIC, _OLLAMA = PROVIDERS["openai"], PROVIDERS["anthropic"], PROVIDERS["ollama"]
_ALL = tuple(PROVIDERS.values())


def _ask(structure: Structure = Structure.SCHEMA, **parameters: object) -> ModelRequest:
    return ModelRequest("m", Prompt("Be brief.", "Write."), 2, structure, 0.5, 99, parameters)


def test_openai_is_asked():
    """An OpenAI request has messages, a schema and the server's token parameter, and the key in its header only."""
    body = _OPENAI.body(_ask(seed=1))

    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write."}]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["user_1", "assistant_1"]
    assert (body["max_completion_tokens"], body["temperature"], body["seed"]) == (99, 0.5, 1)
    assert _OLLAMA.body(_ask())["max_tokens"] == 99
    assert _OPENAI.body(_ask(Structure.JSON))["response_format"] == {"type": "json_object"}
    assert "response_format" not in _OPENAI.body(_ask(Structure.TEXT))
    assert _OPENAI.headers("k") == {"Authorization": "Bearer k"}
    assert _OLLAMA.headers(None) == {}


def test_anthropic_is_asked():
    """An Anthropic request has a mandatory tool call and token limit, and the version and the key in headers."""
    body = _ANTHROPIC.body(_ask(top_k=3))

    assert (body["system"], body["max_tokens"], body["top_k"]) == ("Be brief.", 99, 3)
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][0]["name"]}
    assert body["tools"][0]["input_schema"]["required"] == ["user_1", "assistant_1"]
    assert "tools" not in _ANTHROPIC.body(_ask(Structure.TEXT))
    assert _ANTHROPIC.body(ModelRequest("m", Prompt(None, "x"), 2, Structure.TEXT, None, None, {})) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "x"}],
    }
    assert _ANTHROPIC.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}


def test_a_recipe_may_name_every_structure():
    """The field `structured` of a recipe accepts each structure that a provider can be asked for, and `auto`."""
    assert get_args(Recipe.model_fields["structured"].annotation) == ("auto", *Structure)


def test_a_stream_is_asked_for():
    """A streaming request asks for usage if needed, and a plain request has no streaming fields."""
    request = replace(_ask(), stream=True)

    openai, mistral = _OPENAI.body(request), PROVIDERS["mistral"].body(request)
    assert (openai["stream"], openai["stream_options"]) == (True, {"include_usage": True})
    assert (mistral["stream"], "stream_options" in mistral) == (True, False)
    assert _ANTHROPIC.body(request)["stream"] is True
    for provider in _ALL:
        assert "stream" not in provider.body(_ask())


def test_the_key_goes_into_the_header_that_is_named():
    """A configured key header carries the bare key and replaces the usual header."""
    assert replace(_OPENAI, key_header="api-key").headers("k") == {"api-key": "k"}
    assert replace(_ANTHROPIC, key_header="X-Gate").headers("k") == {"anthropic-version": "2023-06-01", "X-Gate": "k"}
    assert replace(_ANTHROPIC, version="2026-10-21").headers(None) == {"anthropic-version": "2026-10-21"}


def test_each_hosted_provider_has_a_host_and_a_key_of_its_own():
    """Each hosted provider has its own host and key variable, so that no key is sent to another's host."""
    variables = [provider.key_variable for provider in _ALL]
    assert len(set(variables)) == len(variables)
    hosts = {provider.name: urlsplit(provider.base_url or "https://n.openai.azure.com").hostname for provider in _ALL}
    for name, host in hosts.items():
        assert [other.name for other in _ALL if other.owns(str(host))] == [name]


@pytest.mark.parametrize(
    ("reason", "refusal", "end"),
    [
        ("stop", None, FinishReason.COMPLETE),
        ("length", None, FinishReason.LENGTH),
        ("content_filter", None, FinishReason.FILTER),
        ("stop", "I cannot", FinishReason.REFUSAL),
        (None, None, FinishReason.NOT_GIVEN),
        ("", None, FinishReason.NOT_GIVEN),
        ("STOP", None, FinishReason.COMPLETE),
        ("content-filter", None, FinishReason.FILTER),
        ("tool_calls", None, FinishReason.UNKNOWN),
        (7, None, FinishReason.UNKNOWN),
    ],
)
def test_openai_answers(reason, refusal, end):
    """The finish reasons of OpenAI's API map to one enum for all providers."""
    body = {"choices": [{"message": {"content": "x", "refusal": refusal}, "finish_reason": reason}]}

    assert _OPENAI.parse_answer(body).end is end


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("tool_use", FinishReason.COMPLETE),
        ("end_turn", FinishReason.COMPLETE),
        ("max_tokens", FinishReason.LENGTH),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.UNKNOWN),
        (None, FinishReason.NOT_GIVEN),
    ],
)
def test_anthropic_answers(reason, end):
    """An Anthropic answer is the input of its tool call or, without one, its text."""
    blocks = [{"type": "text", "text": "Here."}, {"type": "tool_use", "name": "x", "input": {"user_1": "a"}}]

    answer = _ANTHROPIC.parse_answer({"content": blocks, "stop_reason": reason})

    assert (answer.end, answer.text, answer.data) == (end, "Here.", {"user_1": "a"})


@pytest.mark.parametrize("provider", [_OPENAI, _ANTHROPIC])
@pytest.mark.parametrize(
    "body",
    [{}, {"choices": []}, {"choices": ["x"]}, {"choices": [{"message": 1}]}, {"content": None}, {"choices": None}],
)
def test_other_shapes_are_unreadable(provider, body):
    """A body of another shape raises UnreadableResponse, which says what is missing."""
    with pytest.raises(UnreadableResponse):
        provider.parse_answer(body)


def test_tokens_are_read_whatever_they_are():
    """Token counts may be texts or floats, cached input counts as input, and invalid counts are unknown."""
    assert _OPENAI.usage({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}) == TokenUsage(3, 4)
    assert _OPENAI.usage({"usage": {"prompt_tokens": "12", "completion_tokens": 3.0}}) == TokenUsage(12, 3)
    assert _OPENAI.usage({"usage": {"prompt_tokens": 12, "completion_tokens": None}}) == TokenUsage(12, None)
    cached = {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": None, "output_tokens": 2}
    assert _ANTHROPIC.usage({"usage": cached}) == TokenUsage(11, 2)
    nonsense = ({"prompt_tokens": "many", "input_tokens": -1}, {"prompt_tokens": True, "output_tokens": 1.5})
    for usage in (None, [], "n/a", {"prompt_tokens": 10**10, "output_tokens": "nan"}, *nonsense):
        assert _OPENAI.usage({"usage": usage}) == _ANTHROPIC.usage({"usage": usage}) == TokenUsage(None, None)


def test_the_total_of_tokens_needs_both():
    """The total of tokens is unknown if either count is unknown."""
    assert TokenUsage(3, 4).total == 7
    assert TokenUsage(3, None).total is TokenUsage(None, 4).total is None


def test_a_hint_stands_before_what_the_answer_must_look_like():
    """A hint is inserted before the keys at the end of the prompt, or appended to a prompt without them."""
    prompts = PromptTemplates(system=None, user="Write about {{ topic }}.", roles={}, turns=2, language=None)
    prompt = prompts.render(Item("i", "tides"), "item i")

    lines = prompt.with_hint("assistant_1 is missing").user.splitlines()

    assert lines[-3] == "An earlier answer was rejected: assistant_1 is missing."
    assert [line for line in lines if line != lines[-3]] == prompt.user.splitlines()
    assert Prompt("s", "x").with_hint("y") == Prompt("s", "x\n\nAn earlier answer was rejected: y.")
