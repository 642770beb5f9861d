"""What trainers refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay import Conversation, Turn
from backstay.library.formats import load_format
from backstay.library.trainer_checks import (
    TrainerReport,
    TrainerWarning,
    WarningKind,
    check,
    check_alternation,
    check_parts,
    format_warnings,
)
from backstay.library.turn import text_of_parts
from support.data.refused_conversations import ACCEPTED, ANSWER, REFUSED, SYSTEM, USER, calls, result


@pytest.mark.parametrize("turns", ACCEPTED)
def test_trainers_accept(turns):
    """A conversation that every trainer accepts has no warning; the calls of its last turn need no result."""
    assert list(check(Conversation(turns))) == []


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: f"{refused.kind} {refused.number}")
def test_trainers_refuse(refused):
    """A conversation with one fault has one warning, which names the turn, and a report counts it."""
    report = TrainerReport()

    report.add(refused.conversation)

    assert list(check(refused.conversation)) == [TrainerWarning(refused.kind, refused.number)]
    assert [(each.kind, each.first.turn) for each in report.counts] == [(refused.kind, refused.number)]


@pytest.mark.parametrize("arguments", ["", "null", '{"a"'])
def test_arguments_are_a_json_object(arguments):
    """Arguments that are empty, another value or broken JSON are no JSON object."""
    assert [each.kind for each in check(Conversation([USER, calls(arguments=arguments)]))] == ["invalid_arguments"]


def test_a_result_for_another_call_leaves_both_alone():
    """A result with the id of no call is one without a call, and the call that waits is one without a result."""
    turns = [USER, calls(), result("c9"), ANSWER]

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
        SYSTEM,
        USER,
        ANSWER,
        calls(),
        result(),
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

    report.add(Conversation([USER, ANSWER], id="good"))
    report.add(Conversation([USER, USER, USER, ANSWER], id="x"))
    report.add(Conversation([USER, ANSWER, USER], id="y"), line=1_007)
    report.add(Conversation([USER, ANSWER, USER], id="z"))

    assert format_warnings(report.refused, report.counts) == (
        "trainers would refuse 3 conversations: 2 end with the user (first: line 1,007, turn 3), "
        "1 has two user turns in a row (first: conversation 'x', turn 2)"
    )


@pytest.mark.parametrize(
    ("turns", "number"),
    [
        ([USER, ANSWER, USER, calls(), result(), ANSWER], None),
        ([SYSTEM, USER, ANSWER], None),
        ([USER, calls(), result(), result(), ANSWER], 4),
        ([USER, calls(), result(), USER, ANSWER], 4),
        ([Turn("developer", "x"), USER, ANSWER], 1),
    ],
)
def test_sharegpt_needs_an_answer_to_every_turn(turns, number):
    """In ShareGPT, LLaMA-Factory expects the assistant after each turn of the user or a tool."""
    expected = [] if number is None else [TrainerWarning(WarningKind.NOT_ALTERNATING, number)]

    assert list(check_alternation(turns)) == expected
    assert WarningKind.NOT_ALTERNATING not in [each.kind for each in check(Conversation(turns))]


@pytest.mark.parametrize(
    ("part", "is_warned"),
    [
        ({"type": "text", "text": "u"}, False),
        ({"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}, False),
        ({"type": "image"}, False),
        ({"type": "image", "source": {"type": "url", "url": "https://pictures.invalid/a.png"}}, True),
        ({"type": "redacted_thinking", "data": "x"}, True),
        ({"type": "web_search_tool_result", "content": []}, True),
    ],
)
def test_openai_does_not_have_blocks_of_anthropic(part, is_warned):
    """Formats of OpenAI's API warn about parts that only Anthropic's API has, and about no others."""
    parts = [{"type": "text", "text": "u"}, part]
    turns = [Turn("user", text_of_parts(parts), parts=parts), ANSWER]
    report = TrainerReport(checks=[check_parts])

    report.add(Conversation(turns))

    assert [(each.kind, each.first.turn) for each in report.counts] == [(WarningKind.ANTHROPIC_PARTS, 1)] * is_warned


def test_formats_have_the_checks_of_their_trainers():
    """A format warns only about what its own trainers refuse."""
    checks = {name: list(load_format(name).trainer_checks) for name in ("messages", "sharegpt", "anthropic")}

    assert checks == {"messages": [check_parts], "sharegpt": [check_alternation], "anthropic": []}
