"""Parsing of a model's answer into turns, or a reason for failure."""

import json
import time

import pytest
from json_repair import repair_json

from backstay.generate import answer_parser
from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.prompt import Prompt
from backstay.generate.providers.provider import FinishReason, ModelAnswer

_KEYED = {"user_1": "Hello.", "assistant_1": "Good day."}
_LIST = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Good day."}]


def _answer(text: str | None = None, *, data: object = None, end: FinishReason = FinishReason.COMPLETE) -> ModelAnswer:
    return ModelAnswer(end, "stop", text, data)


def _refused(answer: ModelAnswer, turns: int = 2) -> UnusableAnswer:
    with pytest.raises(UnusableAnswer) as raised:
        parse_conversation(answer, turns)
    return raised.value


@pytest.mark.parametrize(
    "answer",
    [
        _answer(json.dumps(_KEYED)),
        _answer(data=_KEYED),
        _answer(json.dumps(_LIST)),
        _answer(json.dumps({"turns": _LIST})),
        _answer(json.dumps({"title": "x", "messages": _LIST})),
        _answer(f"Certainly! Here it is:\n```json\n{json.dumps(_KEYED, indent=2)}\n```\nAnything else?"),
        _answer("I use {braces} and [brackets] first. " + json.dumps(_KEYED)),
        _answer('<think>{"plan": 1}</think>' + json.dumps(_KEYED)),
        _answer(json.dumps([{"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Good day."}])),
    ],
)
def test_turns_are_found(answer):
    """Turns are read from structured output or from JSON anywhere in the text, with the model's roles and texts."""
    assert [(turn.role, turn.content) for turn in parse_conversation(answer, 2).turns] == [
        ("user", "Hello."),
        ("assistant", "Good day."),
    ]


@pytest.mark.parametrize(
    ("end", "code", "may_retry"),
    [
        (FinishReason.LENGTH, "length", False),
        (FinishReason.REFUSAL, "refusal", False),
        (FinishReason.FILTER, "content_filter", False),
        (FinishReason.UNKNOWN, "incomplete_answer", True),
    ],
)
def test_an_answer_that_did_not_end_well_is_none(end, code, may_retry):
    """An answer with a bad finish reason is unusable even if its text looks complete."""
    error = _refused(_answer(json.dumps(_KEYED), end=end))

    assert (error.code, error.may_retry) == (code, may_retry)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"user_1": "Hello."}, "assistant_1 is missing"),
        ({**_KEYED, "user_2": "More."}, "3 turns, and 2"),
        ({"user_1": "Hello.", "assistant_1": ""}, "turn 2 is empty"),
        ({"user_1": "Hello.", "assistant_1": " \n"}, "turn 2 is empty"),
        ({"user_1": "Hello.", "assistant_1": None}, "not text"),
        ({"user_1": "Hello.", "assistant_1": "a\x00b"}, "NUL"),
        ({"user_1": "Hello.", "assistant_1": "\ud800"}, "Unicode"),
        (list(reversed(_LIST)), "turn 1 is the assistant's"),
        ([*_LIST, _LIST[1]], "turn 3 is the assistant's"),
        (_LIST[:1], "1 turns, and 2"),
        ([{"role": "system", "content": "x"}, *_LIST], "role other than"),
        (["Hello."], "not an object"),
        ({"answer": 42}, "without turns"),
        ([], "0 turns"),
    ],
)
def test_another_shape_is_told_without_a_quotation(value, says):
    """Wrong roles, counts or texts are reported without quoting the answer, and may be retried."""
    error = _refused(_answer(json.dumps(value)))

    assert error.code == "wrong_shape"
    assert says in error.message
    assert "Hello" not in error.message
    assert error.may_retry


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_answer"),
        (None, "empty_answer"),
        ("I would rather not.", "unreadable_answer"),
        (json.dumps(_KEYED)[:-1], "unreadable_answer"),
        ("[" * 100_000, "unreadable_answer"),
        ("{" * 100_000, "unreadable_answer"),
        ('{"a":' * 100_000, "unreadable_answer"),
    ],
)
def test_a_text_without_whole_json(text, code):
    """Empty text, prose, truncated JSON and extreme nesting are reported as unreadable."""
    assert _refused(_answer(text)).code == code


def test_no_cut_of_an_answer_is_a_conversation():
    """A sample answer truncated at any character yields turns at its full length only."""
    text = json.dumps({"user_1": 'She said "go".', "assistant_1": "Done: {} []", "user_2": "é", "assistant_2": "\\"})

    whole = [at for at in range(len(text) + 1) if _is_whole(text[:at], 4)]

    assert whole == [len(text)]


_BROKEN = [
    "{'user_1': 'He said: go.', 'assistant_1': 'Done: {} [], \"so\".'}",
    '{"user_1": "Say "go", please", "assistant_1": "Done. {x}",}',
    '{"conversation": {"user_1": "Hi", "assistant_1": "Use [x] or {y}: \\\'z\\\'",}}',
    '[{"role": "user", "content": "Hi {x}"} {"role": "assistant", "content": "Ho [y]"}]',
]


@pytest.mark.parametrize("text", _BROKEN)
def test_no_cut_of_a_broken_answer_is_a_conversation(text):
    """An answer with wrong punctuation is repaired at its full length only."""
    assert [at for at in range(len(text) + 1) if _is_whole(text[:at], 2)] == [len(text)]


def test_control_repair_alone_takes_a_cut_answer(monkeypatch):
    """If unclosed values are repaired too, the same sweep yields conversations from truncated answers."""
    monkeypatch.setattr(answer_parser, "repair_values", lambda text: [repair_json(text, return_objects=True)])
    monkeypatch.setattr(answer_parser, "is_open", lambda *_: False)

    assert [at for at in range(len(_BROKEN[0])) if _is_whole(_BROKEN[0][:at], 2)]


_FINALS = [
    json.dumps({"user_1": 'Say "go".', "assistant_1": "Done: {} []"}),
    json.dumps({"turns": _LIST}, indent=2),
    json.dumps(_LIST),
    _BROKEN[0],
]


@pytest.mark.parametrize("final", _FINALS)
def test_no_draft_before_a_cut_answer_is_a_conversation(final):
    """A complete draft before a truncated answer is never used."""
    draft = json.dumps({"user_1": "Draft.", "assistant_1": "Draft."})

    accepted = [at for at in range(1, len(final)) if _is_whole(f"{draft}\nBetter:\n{final[:at]}", 2)]

    assert accepted == []


def test_control_a_draft_is_whole(monkeypatch):
    """If the text after a draft is not checked, the draft is used at every truncation."""
    monkeypatch.setattr(answer_parser, "is_open", lambda *_: False)

    assert _is_whole(f"{json.dumps(_KEYED)}\nBetter:\n{_FINALS[0][:-5]}", 2)


def test_a_repair_loses_no_letter(monkeypatch):
    """A repair that loses part of an answer is discarded."""
    text = '{"user_1": "Hi", "assistant_1": "Ho",}'
    assert _is_whole(text, 2)

    monkeypatch.setattr("json_repair.repair_json", lambda *_, **__: {"user_1": "Hi", "assistant_1": "H"})

    assert not _is_whole(text, 2)


def test_an_example_of_the_prompt_is_no_answer():
    """An answer that repeats an example in any layout is unusable; one that shares a single turn with it is not."""
    prompt = Prompt(None, f"Like this: {json.dumps(_KEYED, indent=4)}")
    other = {**_KEYED, "assistant_1": "Good night."}

    with pytest.raises(UnusableAnswer, match="repeats the example"):
        parse_conversation(_answer(json.dumps(_LIST)), 2, prompt)
    assert parse_conversation(_answer(json.dumps(other)), 2, prompt).turns[1].content == "Good night."
    assert parse_conversation(_answer(json.dumps(_KEYED)), 2, Prompt(None, "Hello.")).turns[0].content == "Hello."


def test_what_the_model_thought_is_kept_in_a_form_that_can_be_stored():
    """Reasoning from a separate field and from the text is stored together, without unpaired surrogates."""
    answer = ModelAnswer(
        FinishReason.COMPLETE, "stop", f"<think>Two.</think>{json.dumps(_KEYED)}", None, "One\ud800", "s\x00"
    )

    assert parse_conversation(answer, 2).metadata == {"reasoning": "One?\n\nTwo.", "reasoning_signature": "s"}


@pytest.mark.parametrize(
    "text",
    [
        '["' + '"x' * 30_000 + '"]',
        "[" * 300 + "1," * 1_000_000,
        '{"user": "a"}' * 200_000,
        "[1] " * 500_000,
        "<think>" * 300_000,
        "</think>" * 300_000,
        '{"a ' * 500_000,
        "<think>" + "{}" * 500_000,
        json.dumps(_KEYED) + "{'user_1': " * 500_000 + "}" * 500_000,
        json.dumps(_KEYED) + "{'user_1' " * 20 + "[]" * 500_000 + "}" * 20,
        "<a:think " * 500_000,
        "<|channel|>final" * 500_000,
    ],
    ids=lambda text: text[:10],
)
def test_hostile_texts_take_little_time(text):
    """Megabytes of text designed to be slow to parse are rejected within seconds of CPU time."""
    before = time.process_time()

    assert not _is_whole(text, 2)

    assert time.process_time() - before < 10


def _is_whole(text: str, turns: int) -> bool:
    try:
        parse_conversation(_answer(text), turns)
    except UnusableAnswer:
        return False
    return True
