"""The selection of conversations, which never silently means all."""

import pytest

from backstay.errors import EmptySelection, SettingsError
from backstay.library.selection import Selection


@pytest.mark.parametrize(
    "selection", [Selection(ids=("a",)), Selection(job_id="topics"), Selection(everything=True), Selection(job_id="")]
)
def test_selection_with_a_condition_passes(selection):
    """A selection by id, by job or of everything passes the check."""
    assert selection.check() is selection


def test_edited_conversations_match_by_their_versions():
    """In a backup, a conversation is selected as edited if its line has versions."""
    row = {"id": "a", "job_id": None, "persona": None, "topic": None, "conversation_turns": []}
    matches = Selection(edited=True).check().matcher()

    assert matches({**row, "curation": {"versions": [{}]}})
    assert not any(map(matches, [row, {**row, "curation": None}, {**row, "curation": {"versions": []}}]))


def test_empty_selection_is_refused():
    """A selection without a condition is refused, so that all must be selected explicitly."""
    with pytest.raises(EmptySelection, match="give ids, a job or another condition, or select all"):
        Selection().check()


@pytest.mark.parametrize(
    "conditions", [{"ids": ("a", "b\udc80")}, {"job_id": "\ud800"}, {"search": "\udfff"}, {"persona": "\udc80"}]
)
def test_half_of_a_surrogate_pair_selects_nothing(conditions):
    """A selection with half of a surrogate pair is refused before the database is queried."""
    with pytest.raises(SettingsError, match="of a selection is not valid Unicode"):
        Selection(**conditions)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"status": "good"}, "The status must be one of unreviewed, kept, rejected"),
        ({"rating_below": 1}, "The rating_below must be a whole number from 2 to 5"),
        ({"rating_from": 6}, "The rating_from must be a whole number from 1 to 5"),
        ({"rating_from": True}, "The rating_from must be a whole number from 1 to 5"),
        ({"tags": ("a\x00",)}, "has a line break or a control character"),
        ({"unrated": True, "rating_below": 3}, "Unrated conversations have no rating"),
        ({"tags": ("a",), "untagged": True}, "Untagged conversations have no tags"),
    ],
)
def test_wrong_conditions_on_reviews_are_refused(conditions, message):
    """A condition that no review can meet is refused by name."""
    with pytest.raises(SettingsError, match=message):
        Selection(**conditions)


def test_conditions_on_reviews_narrow_a_selection():
    """Each condition on reviews is enough for a selection."""
    for conditions in ({"status": "unreviewed"}, {"rating_below": 5}, {"tags": ("a",)}, {"untagged": True}):
        assert Selection(**conditions).check().is_narrowed
