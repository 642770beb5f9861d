"""From a model's answer to turns, or to the reason why there are none."""

import json

import pytest

from backstay.generate.parse import Unusable, turns_of
from backstay.generate.providers.provider import Answer, End

_KEYED = {"user_1": "Hello.", "assistant_1": "Good day."}
_LIST = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Good day."}]


def _answer(text: str | None = None, *, data: object = None, end: End = End.COMPLETE) -> Answer:
    return Answer(end, "stop", text, data)


def _refused(answer: Answer, turns: int = 2) -> Unusable:
    with pytest.raises(Unusable) as raised:
        turns_of(answer, turns)
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
    """Structured, or as JSON somewhere in the text: roles and texts are the model's."""
    assert [(turn.role, turn.content) for turn in turns_of(answer, 2)] == [
        ("user", "Hello."),
        ("assistant", "Good day."),
    ]


@pytest.mark.parametrize(
    ("end", "code", "may_pass"),
    [
        (End.LENGTH, "length", False),
        (End.REFUSAL, "refusal", False),
        (End.FILTER, "content_filter", False),
        (End.UNKNOWN, "incomplete_answer", True),
    ],
)
def test_an_answer_that_did_not_end_well_is_none(end, code, may_pass):
    """However whole its text looks."""
    error = _refused(_answer(json.dumps(_KEYED), end=end))

    assert (error.code, error.may_pass) == (code, may_pass)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"user_1": "Hello."}, "assistant_1 is missing"),
        ({**_KEYED, "user_2": "More."}, "3 turns, and 2"),
        ({"user_1": "Hello.", "assistant_1": ""}, "turn 2 is empty"),
        ({"user_1": "Hello.", "assistant_1": " \n"}, "turn 2 is empty"),
        ({"user_1": "Hello.", "assistant_1": None}, "no text"),
        ({"user_1": "Hello.", "assistant_1": "a\x00b"}, "NUL"),
        ({"user_1": "Hello.", "assistant_1": "\ud800"}, "Unicode"),
        (list(reversed(_LIST)), "turn 1 is the assistant's"),
        ([*_LIST, _LIST[1]], "turn 3 is the assistant's"),
        (_LIST[:1], "1 turns, and 2"),
        ([{"role": "system", "content": "x"}, *_LIST], "role other than"),
        (["Hello."], "no object"),
        ({"answer": 42}, "without turns"),
        ([], "0 turns"),
    ],
)
def test_another_shape_is_told_without_a_quotation(value, says):
    """Roles, number and texts are checked one by one; another try may come to something better."""
    error = _refused(_answer(json.dumps(value)))

    assert error.code == "wrong_shape"
    assert says in error.message
    assert "Hello" not in error.message
    assert error.may_pass


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
    """Nothing, prose, half an object, and depths that would break a parser."""
    assert _refused(_answer(text)).code == code


def test_no_cut_of_an_answer_is_a_conversation():
    """A sample answer cut at every character gives turns at its full length only."""
    text = json.dumps({"user_1": 'She said "go".', "assistant_1": "Done: {} []", "user_2": "é", "assistant_2": "\\"})

    whole = [at for at in range(len(text) + 1) if _is_whole(text[:at], 4)]

    assert whole == [len(text)]


def test_control_a_parser_that_mends_takes_a_cut_answer(monkeypatch):
    """The same sweep finds partial answers when half an object is taken for a whole one."""
    from backstay.generate import parse

    def mended(text: str):
        for ending in ("", '"}', "}"):
            try:
                yield json.loads(text + ending)
            except ValueError:
                continue

    monkeypatch.setattr(parse, "_json_in", mended)
    text = json.dumps({"user_1": "Hello there.", "assistant_1": "Good day to you."})

    assert [at for at in range(len(text)) if _is_whole(text[:at], 2)]


def _is_whole(text: str, turns: int) -> bool:
    try:
        turns_of(_answer(text), turns)
    except Unusable:
        return False
    return True
