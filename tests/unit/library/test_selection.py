"""Which conversations: said once, and never silently all."""

import pytest

from backstay.errors import EmptySelection, SettingsError
from backstay.library.selection import Selection


@pytest.mark.parametrize(
    "selection", [Selection(ids=("a",)), Selection(job_id="topics"), Selection(everything=True), Selection(job_id="")]
)
def test_selection_that_says_something_passes(selection):
    """An id, a job, or all."""
    assert selection.check() is selection


def test_empty_selection_is_refused():
    """All must be said."""
    with pytest.raises(EmptySelection, match="give ids, a job or another condition, or select all"):
        Selection().check()


@pytest.mark.parametrize(
    "given", [{"ids": ("a", "b\udc80")}, {"job_id": "\ud800"}, {"search": "\udfff"}, {"persona": "\udc80"}]
)
def test_half_of_a_surrogate_pair_selects_nothing(given):
    """No conversation can hold it; it is told before a database is asked."""
    with pytest.raises(SettingsError, match="of a selection is not valid Unicode"):
        Selection(**given)
