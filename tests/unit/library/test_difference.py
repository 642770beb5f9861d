"""The difference between two versions of a conversation."""

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.library.conversation import Conversation
from backstay.library.difference import SegmentKind, TurnChange, compare
from backstay.library.turn import ToolCall, Turn

_TURNS = [Turn("user", "Hi"), Turn("assistant", "The quick brown fox"), Turn("user", "Bye")]


def _compare(before, after):
    return compare(Conversation(before), Conversation(after))


def _text(before, after):
    (turn,) = _compare([Turn("user", before)], [Turn("user", after)]).turns
    return [(str(kind), text) for kind, text in turn.text]


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (_TURNS, [("same", 1, 1), ("same", 2, 2), ("same", 3, 3)]),
        (_TURNS[1:], [("removed", 1, None), ("same", 2, 1), ("same", 3, 2)]),
        (_TURNS[:1], [("same", 1, 1), ("removed", 2, None), ("removed", 3, None)]),
        (
            [_TURNS[0], Turn("system", "New"), *_TURNS[1:]],
            [("same", 1, 1), ("added", None, 2), ("same", 2, 3), ("same", 3, 4)],
        ),
        ([_TURNS[2], *_TURNS[:2]], [("moved", 3, 1), ("same", 1, 2), ("same", 2, 3)]),
        (
            [_TURNS[0], replace(_TURNS[1], content="The fox"), _TURNS[2]],
            [("same", 1, 1), ("changed", 2, 2), ("same", 3, 3)],
        ),
    ],
)
def test_difference_by_turn(after, changes):
    """Each turn is the same, changed, moved, added or removed, with its numbers before and after."""
    difference = _compare(_TURNS, after)

    assert [(turn.change, turn.before_number, turn.after_number) for turn in difference.turns] == changes
    assert difference.is_empty is (after == _TURNS)


@pytest.mark.parametrize(
    ("before", "after", "segments"),
    [
        (
            "the quick fox",
            "the slow fox",
            [("same", "the "), ("removed", "quick"), ("added", "slow"), ("same", " fox")],
        ),
        ("one", "one two", [("same", "one"), ("added", " two")]),
        (
            "今日は雨です",
            "今日は晴れです",
            [("same", "今日は"), ("removed", "雨"), ("added", "晴れ"), ("same", "です")],
        ),
        ("a\nb\nc", "a\nc", [("same", "a\n"), ("removed", "b\n"), ("same", "c")]),
    ],
)
def test_difference_by_word(before, after, segments):
    """Within a turn the difference is in whole words, or in characters where a script has no spaces."""
    assert _text(before, after) == segments


@given(st.text("ab \n今é", max_size=30), st.text("ab \n今é", max_size=30))
def test_pieces_make_both_texts(before, after):
    """The pieces without those added are the text before, and without those removed the text after."""
    segments = _text(before, after)

    assert "".join(text for kind, text in segments if kind != SegmentKind.ADDED) == before
    assert "".join(text for kind, text in segments if kind != SegmentKind.REMOVED) == after


def test_fields_that_changed_are_named():
    """Apart from the text, a change of the role or of another field is named."""
    before = [Turn("assistant", "", tool_calls=(ToolCall("1", "look", "{}"),))]
    after = [Turn("user", "", tool_calls=(ToolCall("2", "look", "{}"),), reasoning="Because")]

    (turn,) = _compare(before, after).turns

    assert (turn.change, turn.fields_changed) == (TurnChange.CHANGED, ["role", "reasoning", "tool_calls"])


def test_topic_and_persona():
    """The topic and the persona are compared like texts, and null like an empty one."""
    difference = compare(Conversation(_TURNS, topic="a b"), Conversation(_TURNS, topic="a c", persona="p"))

    assert [str(segment.kind) for segment in difference.topic] == ["same", "removed", "added"]
    assert difference.persona == [(SegmentKind.ADDED, "p")]
    assert not difference.is_empty


def test_long_texts_take_bounded_time():
    """Texts of several megabytes, and thousands of long turns, are compared in seconds, if not by word."""
    chosen = random.Random(1)
    long = " ".join(str(chosen.randrange(50)) for _ in range(700_000))
    many = [Turn("user", " ".join(str(chosen.randrange(3)) for _ in range(400))) for _ in range(2_000)]
    edited = [replace(turn, content=turn.content[::-1]) for turn in many]
    begun = time.process_time()

    difference = _compare([Turn("user", long), *many], [Turn("user", long[::-1]), *edited])

    assert time.process_time() - begun < 20
    assert len(difference.turns) == 2_001
