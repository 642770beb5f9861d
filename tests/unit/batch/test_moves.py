"""The table of legal actions on jobs."""

from itertools import product

import pytest

from backstay.batch.items_difference import ItemsDifference as ItemDifference
from backstay.batch.job import FINISHED, TRANSITIONS, UNFINISHED, Job, JobAction, JobState, check_action
from backstay.errors import InvalidTransition
from backstay.remedy import Remedy

_STORED = [state for state in JobState if state is not JobState.INTERRUPTED]

# Said a second time, by hand: a change of the table must be meant.
_LEGAL = {
    (JobState.PENDING, JobAction.RESUME): JobState.RUNNING,
    (JobState.RUNNING, JobAction.RESUME): JobState.RUNNING,
    (JobState.PAUSED, JobAction.RESUME): JobState.RUNNING,
    (JobState.PENDING, JobAction.PAUSE): JobState.PAUSED,
    (JobState.RUNNING, JobAction.PAUSE): JobState.PAUSED,
    (JobState.PENDING, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.PAUSED, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.PENDING, JobAction.RETRY): JobState.PENDING,
    (JobState.RUNNING, JobAction.RETRY): JobState.RUNNING,
    (JobState.PAUSED, JobAction.RETRY): JobState.PAUSED,
    (JobState.COMPLETED, JobAction.RETRY): JobState.PENDING,
    (JobState.COMPLETED_WITH_FAILURES, JobAction.RETRY): JobState.PENDING,
    (JobState.PENDING, JobAction.SKIP): JobState.PENDING,
    (JobState.RUNNING, JobAction.SKIP): JobState.RUNNING,
    (JobState.PAUSED, JobAction.SKIP): JobState.PAUSED,
    (JobState.COMPLETED, JobAction.SKIP): JobState.COMPLETED,
    (JobState.COMPLETED_WITH_FAILURES, JobAction.SKIP): JobState.COMPLETED_WITH_FAILURES,
    (JobState.PENDING, JobAction.ADD): JobState.PENDING,
    (JobState.RUNNING, JobAction.ADD): JobState.RUNNING,
    (JobState.PAUSED, JobAction.ADD): JobState.PAUSED,
    (JobState.COMPLETED, JobAction.ADD): JobState.PENDING,
    (JobState.COMPLETED_WITH_FAILURES, JobAction.ADD): JobState.PENDING,
    **{(state, action): state for state in (*UNFINISHED, *FINISHED) for action in (JobAction.REVISE, JobAction.EDIT)},
}


@pytest.mark.parametrize(("state", "move"), sorted(_LEGAL))
def test_legal_move_leads_to_its_state(state, move):
    """A legal action leads to its state, and an unfinished job keeps its state when items are added or retried."""
    assert check_action("topics", state, move) is _LEGAL[state, move]


@pytest.mark.parametrize(("state", "move"), sorted(set(product(_STORED, JobAction)) - set(_LEGAL)))
def test_any_other_move_is_refused(state, move):
    """Any other action is refused with the job, its state, the action and the next step."""
    with pytest.raises(InvalidTransition) as caught:
        check_action("topics", state, move)

    message = caught.value.message
    assert message.startswith(f"Cannot {move}: job 'topics' is {str(state).replace('_', ' ')}")
    assert caught.value.remedy in (Remedy.RESUME_JOB, Remedy.DISCARD_JOB, Remedy.SHOW_JOB)
    assert caught.value.context == {"job_id": "topics", "state": str(state)}


def test_every_move_is_in_the_table():
    """Every action has an entry in the table."""
    assert set(TRANSITIONS) == set(JobAction)


def test_every_stored_state_is_either_finished_or_not():
    """Every stored state but `creating` and `cancelled` is either finished or unfinished."""
    assert set(_STORED) == {*UNFINISHED, *FINISHED, JobState.CREATING, JobState.CANCELLED}


@pytest.mark.parametrize("state", list(JobState))
def test_incomplete_jobs_are_those_with_work_left(state, a_job):
    """A job is incomplete if it is pending, running, interrupted or paused."""
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
def test_difference_is_formatted(difference, text):
    """A difference of items is formatted as it appears in the error about a changed input."""
    assert str(difference) == text
    assert difference.is_empty == (text == "")
