"""What can be done to a job in which state."""

from itertools import product

import pytest

from backstay.batch.job import FINISHED, MOVES, UNFINISHED, Job, JobState, Move, check_move
from backstay.batch.job import Difference as ItemDifference
from backstay.errors import IllegalMove

_STORED = [state for state in JobState if state is not JobState.INTERRUPTED]

# Said a second time, by hand: a change of the table must be meant.
_LEGAL = {
    (JobState.PENDING, Move.WORK): JobState.RUNNING,
    (JobState.RUNNING, Move.WORK): JobState.RUNNING,
    (JobState.PAUSED, Move.WORK): JobState.RUNNING,
    (JobState.PENDING, Move.PAUSE): JobState.PAUSED,
    (JobState.RUNNING, Move.PAUSE): JobState.PAUSED,
    (JobState.PENDING, Move.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, Move.CANCEL): JobState.CANCELLED,
    (JobState.PAUSED, Move.CANCEL): JobState.CANCELLED,
    (JobState.PENDING, Move.RETRY): JobState.PENDING,
    (JobState.RUNNING, Move.RETRY): JobState.RUNNING,
    (JobState.PAUSED, Move.RETRY): JobState.PAUSED,
    (JobState.COMPLETED, Move.RETRY): JobState.PENDING,
    (JobState.COMPLETED_WITH_FAILURES, Move.RETRY): JobState.PENDING,
    (JobState.PENDING, Move.SKIP): JobState.PENDING,
    (JobState.RUNNING, Move.SKIP): JobState.RUNNING,
    (JobState.PAUSED, Move.SKIP): JobState.PAUSED,
    (JobState.COMPLETED, Move.SKIP): JobState.COMPLETED,
    (JobState.COMPLETED_WITH_FAILURES, Move.SKIP): JobState.COMPLETED_WITH_FAILURES,
    (JobState.PENDING, Move.ADD): JobState.PENDING,
    (JobState.RUNNING, Move.ADD): JobState.RUNNING,
    (JobState.PAUSED, Move.ADD): JobState.PAUSED,
    (JobState.COMPLETED, Move.ADD): JobState.PENDING,
    (JobState.COMPLETED_WITH_FAILURES, Move.ADD): JobState.PENDING,
}


@pytest.mark.parametrize(("state", "move"), sorted(_LEGAL))
def test_legal_move_leads_to_its_state(state, move):
    """Putting items into a job that is under way, or paused, leaves it so."""
    assert check_move("topics", state, move) is _LEGAL[state, move]


@pytest.mark.parametrize(("state", "move"), sorted(set(product(_STORED, Move)) - set(_LEGAL)))
def test_any_other_move_is_refused(state, move):
    """The refusal names the job, its state, what was asked and the next step."""
    with pytest.raises(IllegalMove) as caught:
        check_move("topics", state, move)

    message = caught.value.message
    assert message.startswith(f"Job 'topics' is {str(state).replace('_', ' ')}: {move} is not possible. `backstay ")
    assert caught.value.context == {"job_id": "topics", "state": str(state)}


def test_every_move_is_in_the_table():
    """A new move enters the table in the same change."""
    assert set(MOVES) == set(Move)


def test_every_stored_state_is_either_finished_or_not():
    """But for those that are neither visible nor to be worked on."""
    assert set(_STORED) == {*UNFINISHED, *FINISHED, JobState.CREATING, JobState.CANCELLED}


@pytest.mark.parametrize("state", list(JobState))
def test_incomplete_jobs_are_those_with_work_left(state, a_job):
    """Pending, running, interrupted and paused ones."""
    job: Job = a_job(state)

    assert job.is_incomplete == (state in (*UNFINISHED, JobState.INTERRUPTED))


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (ItemDifference(), ""),
        (ItemDifference(new=2), "2 new"),
        (ItemDifference(1, 2, 3), "1 new, 2 missing, 3 changed"),
        (ItemDifference(missing=1, examples=("missing: a",)), "1 missing (missing: a)"),
        (ItemDifference(changed=2, examples=("changed: a", "changed: b")), "2 changed (changed: a; changed: b)"),
    ],
)
def test_difference_is_told_in_words(difference, text):
    """As it stands in the refusal of a changed input."""
    assert str(difference) == text
    assert difference.is_empty == (text == "")
