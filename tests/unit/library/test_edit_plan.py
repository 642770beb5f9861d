"""The changes of rows that carry out an edit."""

from dataclasses import replace

import pytest

from backstay.library.conversation import Conversation
from backstay.library.edit_plan import Edit, plan_turns
from backstay.library.turn import Turn


def _rows(*contents, first=1, step=1):
    return [
        {"sequence": first + step * n, "id": None, "role": "user", "content": content, "metadata": {}, "mood": content}
        for n, content in enumerate(contents)
    ]


def _turns(*contents):
    return [Turn("user", content) for content in contents]


def test_text_is_updated_in_place():
    """A changed text updates one row, and nothing else."""
    plan = plan_turns(_rows("a", "b", "c"), _turns("a", "B", "c"))

    assert [(turn.sequence, turn.content) for turn in plan.updated] == [(2, "B")]
    assert (plan.removed, plan.moved, plan.added) == ([], [], [])


def test_turn_in_between_renumbers_those_after_it():
    """A new turn in between gets a row, and those after it the next numbers."""
    plan = plan_turns(_rows("a", "b"), _turns("a", "new", "b"))

    assert (plan.updated, plan.removed, plan.moved) == ([], [], [(2, 3)])
    assert [(row["sequence"], row["content"]) for row in plan.added] == [(2, "new")]


def test_highest_number_counts_turns_that_stay():
    """The highest number is that of any turn, whether or not it is moved."""
    plan = plan_turns(_rows("a", "b", "c", "d"), _turns("b", "a", "c", "d"))

    assert (plan.moved, plan.highest) == ([(2, 1), (1, 2)], 4)
    assert plan_turns(_rows("a"), _turns("a", "b", "c")).highest == 3


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        (_rows("a", "b", first=0), [0, 1, 2]),
        (_rows("a", "b", first=10, step=10), [10, 20, 21]),
        (_rows("a", "b", first=-1), [-1, 0, 1]),
    ],
)
def test_numbers_of_a_table_are_continued(rows, numbers):
    """Numbers that begin otherwise, or leave some out, stay as they are."""
    plan = plan_turns(rows, _turns("a", "b", "c"))

    assert (plan.moved, plan.updated) == ([], [])
    assert [row["sequence"] for row in plan.added] == numbers[2:]


def test_metadata_that_is_not_edited_stays_as_text():
    """Metadata that are stored in another form than Backstay's stay so when only the text is edited."""
    rows = [{**row, "metadata": '{"b": 1,  "a": 2}'} for row in _rows("a")]

    (updated,) = plan_turns(rows, [Turn("user", "A", metadata={"b": 1, "a": 2})]).updated
    (other,) = plan_turns(rows, [Turn("user", "A", metadata={"b": 1})]).updated

    assert updated.metadata == '{"b": 1,  "a": 2}'
    assert other.metadata == {"b": 1}


def test_turn_that_comes_back_has_its_columns():
    """A turn of a version that comes back has the user's columns as the version has them; a new one has none."""
    version = _rows("a", "b")

    back = plan_turns(_rows("a"), _turns("a", "b"), version)
    new = plan_turns(_rows("a"), _turns("a", "b"))

    assert [row.get("mood") for row in (*back.added, *new.added)] == ["b", None]


def test_recognized_turns_keep_their_ids():
    """A turn without an id that is recognized keeps the id of the row."""
    before = Conversation([Turn("user", "a", id="1"), Turn("user", "b", id="2")])

    after = Edit(turns=[Turn("user", "B"), Turn("user", "a")]).apply(before)

    assert [turn.id for turn in after.turns] == [None, "1"]
    assert [turn.id for turn in Edit(turns=[before.turns[0], Turn("user", "B")]).apply(before).turns] == ["1", "2"]


def test_what_was_stored_invalid_may_stay():
    """A turn that could not be stored today is no obstacle to the edit of another one."""
    before = Conversation([Turn("user", ""), Turn("assistant", "b")])

    after = Edit(turns=[before.turns[0], replace(before.turns[1], content="B")]).apply(before)

    assert [turn.content for turn in after.turns] == ["", "B"]
