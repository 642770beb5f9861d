"""Jobs: their states, the table of legal actions, and their stored properties."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from backstay.batch.call_limits import CallLimits
from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.errors import InvalidTransition, JobHasWorkers
from backstay.library.id_text import quoted_id
from backstay.remedy import Remedy


class JobState(StrEnum):
    """The state of a job. `interrupted` is never stored: it means stored as `running` without a live worker."""

    CREATING = "creating"
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    INTERRUPTED = "interrupted"


UNFINISHED = (JobState.PENDING, JobState.RUNNING, JobState.PAUSED)
FINISHED = (JobState.COMPLETED, JobState.COMPLETED_WITH_FAILURES)


class JobAction(StrEnum):
    """An action on a job as a whole, or on many of its items."""

    RESUME = "resume"
    PAUSE = "pause"
    CANCEL = "cancel"
    RETRY = "retry"
    SKIP = "skip"
    ADD = "add items"
    REVISE = "revise its recipe"
    EDIT = "edit an item"


# action → (states in which it is allowed, state it leads to; None if it changes only items)
TRANSITIONS: Mapping[JobAction, tuple[tuple[JobState, ...], JobState | None]] = {
    JobAction.RESUME: (UNFINISHED, JobState.RUNNING),
    JobAction.PAUSE: ((JobState.PENDING, JobState.RUNNING), JobState.PAUSED),
    JobAction.CANCEL: (UNFINISHED, JobState.CANCELLED),
    JobAction.RETRY: ((*UNFINISHED, *FINISHED), JobState.PENDING),
    JobAction.SKIP: ((*UNFINISHED, *FINISHED), None),
    JobAction.ADD: ((*UNFINISHED, *FINISHED), JobState.PENDING),
    JobAction.REVISE: ((*UNFINISHED, *FINISHED), None),
    JobAction.EDIT: ((*UNFINISHED, *FINISHED), None),
}
# By the state that does not allow the action; for other states, SHOW_JOB.
_REMEDIES = {JobState.CANCELLED: Remedy.DISCARD_JOB, JobState.PAUSED: Remedy.RESUME_JOB}


def check_action(job_id: str, state: JobState, action: JobAction) -> JobState:
    """Return the state that `action` leads to. An unfinished job keeps its state when items are added or retried.

    Raises:
        InvalidTransition: the state of the job does not allow the action.
    """
    allowed, target = TRANSITIONS[action]
    if state not in allowed:
        state_text = str(state).replace("_", " ")
        raise InvalidTransition(
            f"Cannot {action}: job {quoted_id(job_id)} is {state_text}",
            remedy=_REMEDIES.get(state, Remedy.SHOW_JOB),
            job_id=job_id,
            state=str(state),
        )
    if target is None or (action in (JobAction.RETRY, JobAction.ADD) and state in UNFINISHED):
        return state
    return target


def has_workers_error(job_id: str, action: JobAction | None = None) -> JobHasWorkers:
    """Return the error that a worker prevents an action; without one, the discarding of the job."""
    if action is None:
        return JobHasWorkers(f"A worker is running job {quoted_id(job_id)}, so it cannot be discarded", job_id=job_id)
    return JobHasWorkers(
        f"Cannot {action}: a worker is running job {quoted_id(job_id)}", remedy=Remedy.PAUSE_JOB, job_id=job_id
    )


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings of a job. Its limits can be changed, everything else is frozen."""

    max_attempts: int = 3
    timeout_seconds: float = 600.0
    limits: CallLimits = field(default_factory=CallLimits)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "JobSettings":
        return cls(values["max_attempts"], values["timeout_seconds"], CallLimits(**values.get("limits", {})))

    def to_dict(self) -> dict[str, Any]:
        limits = self.limits.to_dict()
        frozen = {"max_attempts": self.max_attempts, "timeout_seconds": self.timeout_seconds}
        return {**frozen, "limits": limits} if limits else frozen


@dataclass(frozen=True, slots=True)
class RegeneratedJob:
    """What a job that makes conversations again works on."""

    id: str
    """The job that made the conversations."""
    backup_id: str
    """The verified backup of those that are still to be replaced."""


MAX_EVIDENCE_ATTEMPTS = 20
"""Maximum attempts stored as evidence of a pause."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The reason why a job is paused."""

    code: str
    message: str
    evidence: tuple[tuple[int, int], ...] = ()
    """The attempts that led to the pause, newest first, each as the item's position and the attempt's number."""


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job. Its counts include the work of all its workers."""

    key: int
    """Its number in this database, in the order of creation. Users identify a job by its `id`."""
    id: str
    owner: str
    state: JobState
    processor: str
    """`scripted`, `module:function`, the model of a recipe, or `caller` for a callable of the creating program."""
    recipe: FrozenRecipe | None
    """The current revision of the recipe; None for other processors."""
    revision: int | None
    """The number of that revision, from 1."""
    settings: JobSettings
    counts: ItemCounts
    tokens: TokenCounts
    workers: int
    """Number of workers that hold a lease. Some may be dead, but not detected yet."""
    provider_wait: ProviderWait | None
    """What its workers currently wait for, such as a provider's limit."""
    pause: Pause | None
    cleaned: bool
    """Whether attempts were deleted and inputs compressed, after all items were completed without failures."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    regenerates: RegeneratedJob | None = None
    """The job whose conversations this one makes again; None for an ordinary job."""

    @property
    def is_incomplete(self) -> bool:
        return self.state in (*UNFINISHED, JobState.INTERRUPTED)
