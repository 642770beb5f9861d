"""Which conversations: said once, and never silently all."""

import pytest

from holdfast.errors import EmptySelection
from holdfast.library.selection import Selection


@pytest.mark.parametrize(
    "selection", [Selection(ids=("a",)), Selection(job_id="topics"), Selection(everything=True), Selection(job_id="")]
)
def test_selection_that_says_something_passes(selection):
    """An id, a job, or all."""
    assert selection.check() is selection


def test_empty_selection_is_refused():
    """All must be said."""
    with pytest.raises(EmptySelection, match="give ids, a job or another condition, or say all"):
        Selection().check()
