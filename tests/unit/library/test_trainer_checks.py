"""What trainers refuse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay import Conversation, ToolCall, Turn
from backstay.library.trainer_checks import TrainerReport, TrainerWarning, WarningKind, check, format_warnings

_SYSTEM, _USER, _ANSWER = Turn("system", "s"), Turn("user", "q"), Turn("assistant", "a")
_CALL = ToolCall("c1", "weather", '{"place": "Oslo"}')
_OTHER_CALL = ToolCall("c2", "weather", "{}")


def _calls(*calls, **changes):
    return Turn("assistant", "", tool_calls=[replace(call, **changes) for call in calls])


def _result(call_id="c1"):
    return Turn("tool", "rain", tool_call_id=call_id)


@pytest.mark.parametrize(
    "turns",
    [
        [_USER, _ANSWER],
        [_SYSTEM, _USER, _ANSWER, _USER, _ANSWER],
        [Turn("developer", "d"), _USER, _ANSWER],
        [_USER, _calls(_CALL), _result(), _ANSWER],
        [_USER, _calls(_CALL, _OTHER_CALL), _result("c2"), _result("c1"), _ANSWER],
        [_USER, _calls(_CALL), _result(), _calls(_CALL), _result(), _ANSWER],
        [_USER, _calls(_CALL)],
        [_USER, _calls(_CALL), _result(), _USER, _ANSWER],
        [_USER, Turn("assistant", "", parts=[{"type": "audio"}])],
        [_USER, Turn("assistant", "a", metadata={"weight": 0})],
    ],
)
def test_trainers_accept(turns):
    """A conversation that every trainer accepts has no warning; the calls of its last turn need no result."""
    assert list(check(Conversation(turns))) == []


@pytest.mark.parametrize(
    ("kind", "number", "turns"),
    [
        (WarningKind.ENDS_WITH_USER, 3, [_USER, _ANSWER, _USER]),
        (WarningKind.ENDS_WITH_TOOL_RESULT, 3, [_USER, _calls(_CALL), _result()]),
        (WarningKind.NO_ASSISTANT, 1, [_USER]),
        (WarningKind.BEGINS_WITH_ASSISTANT, 1, [_ANSWER, _USER, _ANSWER]),
        (WarningKind.BEGINS_WITH_ASSISTANT, 2, [_SYSTEM, _ANSWER]),
        (WarningKind.SYSTEM_NOT_FIRST, 3, [_USER, _ANSWER, _SYSTEM, _USER, _ANSWER]),
        (WarningKind.SYSTEM_NOT_FIRST, 2, [_SYSTEM, _SYSTEM, _USER, _ANSWER]),
        (WarningKind.SYSTEM_NOT_FIRST, 2, [_USER, Turn("developer", "d"), _ANSWER]),
        (WarningKind.USER_AFTER_USER, 2, [_USER, _USER, _ANSWER]),
        (WarningKind.ASSISTANT_AFTER_ASSISTANT, 3, [_USER, _ANSWER, _ANSWER]),
        (WarningKind.EMPTY_ASSISTANT, 2, [_USER, Turn("assistant", " ", reasoning="hm")]),
        (WarningKind.UNKNOWN_ROLE, 1, [Turn("critic", "x"), _USER, _ANSWER]),
        (WarningKind.RESULT_WITHOUT_CALL, 3, [_USER, _ANSWER, _result(), _ANSWER]),
        (WarningKind.RESULT_WITHOUT_CALL, 4, [_USER, _calls(_CALL), _result(), _result(), _ANSWER]),
        (WarningKind.CALL_WITHOUT_RESULT, 2, [_USER, _calls(_CALL), _ANSWER]),
        (WarningKind.CALL_WITHOUT_RESULT, 2, [_USER, _calls(_CALL), _USER, _ANSWER]),
        (WarningKind.CALL_WITHOUT_RESULT, 2, [_USER, _calls(_CALL, _OTHER_CALL), _result(), _ANSWER]),
        (WarningKind.MISSING_CALL_ID, 2, [_USER, _calls(_CALL, id=None), _result(), _ANSWER]),
        (WarningKind.MISSING_CALL_ID, 3, [_USER, _calls(_CALL), _result(None), _ANSWER]),
        (WarningKind.DUPLICATE_CALL_ID, 2, [_USER, _calls(_CALL, _CALL), _result(), _result(), _ANSWER]),
        (WarningKind.INVALID_ARGUMENTS, 2, [_USER, _calls(_CALL, arguments="[1]"), _result(), _ANSWER]),
        (WarningKind.INVALID_ARGUMENTS, 2, [_USER, _calls(_CALL, arguments=""), _result(), _ANSWER]),
        (WarningKind.INVALID_TOOL_NAME, 2, [_USER, _calls(_CALL, name="weather.now"), _result(), _ANSWER]),
        (WarningKind.INVALID_WEIGHT, 2, [_USER, Turn("assistant", "a", metadata={"weight": 0.5})]),
    ],
)
def test_trainers_refuse(kind, number, turns):
    """A conversation with one fault has one warning, which names the turn."""
    assert list(check(Conversation(turns))) == [TrainerWarning(kind, number)]


def test_a_result_for_another_call_leaves_both_alone():
    """A result with the id of no call is one without a call, and the call that waits is one without a result."""
    turns = [_USER, _calls(_CALL), _result("c9"), _ANSWER]

    assert {(each.kind, each.turn) for each in check(Conversation(turns))} == {
        (WarningKind.RESULT_WITHOUT_CALL, 3),
        (WarningKind.CALL_WITHOUT_RESULT, 2),
    }


def test_every_kind_has_a_phrase():
    """A count of each kind is a clause, in the singular and in the plural."""
    assert WarningKind.ENDS_WITH_USER.format_count(1) == "1 ends with the user"
    assert all(kind.format_count(1) != kind.format_count(1_000).replace("1,000", "1") for kind in WarningKind)


_TURNS = st.sampled_from(
    [
        _SYSTEM,
        _USER,
        _ANSWER,
        _calls(_CALL),
        _result(),
        Turn("assistant", "", reasoning="hm"),
        Turn("assistant", "a", metadata={"weight": 2}),
        Turn("user", "q", name="Ann"),
    ]
)


@given(st.lists(_TURNS, min_size=1, max_size=8))
def test_the_fast_check_finds_what_the_full_one_finds(turns):
    """A report, which passes over plain exchanges, counts a conversation exactly if it has warnings."""
    conversation, report = Conversation(turns), TrainerReport()

    report.add(conversation, line=1)

    warnings = list(check(conversation))
    assert report.refused == bool(warnings)
    assert {each.kind for each in report.counts} == {each.kind for each in warnings}


def test_a_report_counts_conversations_and_keeps_the_first():
    """Kinds are counted once per conversation, with the first one's place, most frequent kind first."""
    report = TrainerReport()

    report.add(Conversation([_USER, _ANSWER], id="good"))
    report.add(Conversation([_USER, _USER, _USER, _ANSWER], id="x"))
    report.add(Conversation([_USER, _ANSWER, _USER], id="y"), line=1_007)
    report.add(Conversation([_USER, _ANSWER, _USER], id="z"))

    assert format_warnings(report.refused, report.counts) == (
        "trainers would refuse 3 conversations: 2 end with the user (first: line 1,007, turn 3), "
        "1 has two user turns in a row (first: conversation x, turn 2)"
    )
