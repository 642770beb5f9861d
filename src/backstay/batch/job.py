"""Jobs: their states, the legal moves as one table, and what is kept of each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from backstay.batch.checkpoint import ItemCounts, ProviderWait, TokenCounts
from backstay.batch.recipe import FrozenRecipe
from backstay.errors import InvalidTransition, ItemsNeeded
from backstay.library.id_text import quoted_id, typed_id

TAKEN_OVER = "taken-over"
"""Stands for the processor of a job that was taken over from another program, until its items come with one."""


class JobState(StrEnum):
    """Where a job is. `interrupted` is never stored: it is a stored `running` without a live worker."""

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
    """What can be done to a job from outside its items."""

    WORK = "resume"
    PAUSE = "pause"
    CANCEL = "cancel"
    RETRY = "retry"
    SKIP = "skip"
    ADD = "add items"


# move → (states it may start from, state it leads to; None where it changes the items and not the job)
MOVES: Mapping[JobAction, tuple[tuple[JobState, ...], JobState | None]] = {
    JobAction.WORK: (UNFINISHED, JobState.RUNNING),
    JobAction.PAUSE: ((JobState.PENDING, JobState.RUNNING), JobState.PAUSED),
    JobAction.CANCEL: (UNFINISHED, JobState.CANCELLED),
    JobAction.RETRY: ((*UNFINISHED, *FINISHED), JobState.PENDING),
    JobAction.SKIP: ((*UNFINISHED, *FINISHED), None),
    JobAction.ADD: ((*UNFINISHED, *FINISHED), JobState.PENDING),
}


def check_action(job_id: str, state: JobState, move: JobAction) -> JobState:
    """Return the state that `move` leads to; a running or paused job stays so when items are put into it.

    Raises:
        InvalidTransition: the job is in a state that does not allow it.
    """
    allowed, target = MOVES[move]
    if state not in allowed:
        shown = str(state).replace("_", " ")
        raise InvalidTransition(
            f"Job {quoted_id(job_id)} is {shown}: {move} is not possible. {_remedy(job_id, state)}",
            job_id=job_id,
            state=str(state),
        )
    if target is None or (move in (JobAction.RETRY, JobAction.ADD) and state in UNFINISHED):
        return state
    return target


def items_needed_error(job_id: str) -> ItemsNeeded:
    """Return the error that says how to go on with a job that was taken over."""
    return ItemsNeeded(
        f"Job {quoted_id(job_id)} was taken over and does not know its items yet; {format_how_to_resume(job_id)}",
        job_id=job_id,
    )


def format_how_to_resume(job_id: str) -> str:
    """Say how a job that was taken over gets its items."""
    command = f"backstay run FILE --job {typed_id(job_id)}"
    return f"run it with all its items, finished ones too, under the ids that they had: `{command}`, or from a program"


def _remedy(job_id: str, state: JobState) -> str:
    if state == JobState.CANCELLED:
        return f"`backstay discard {typed_id(job_id)}` frees its name; its conversations stay"
    if state == JobState.PAUSED:
        return f"`backstay resume {typed_id(job_id)}` continues it"
    return f"`backstay status {typed_id(job_id)}` shows where it stands"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of a job's runs, each with its last given value, or None if it was never given."""

    concurrency: int | None = None
    """Calls in flight at most."""
    rpm: int | None = None
    """Requests a minute at most, where a recipe is followed."""
    tpm: int | None = None
    """Tokens a minute at most, where a recipe is followed."""

    def to_dict(self) -> dict[str, int]:
        """Return the limits that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def updated(self, changes: "RunLimits") -> "RunLimits":
        """Return these limits, updated with the given ones. A given 0 lifts a limit."""
        return RunLimits(**{name: value for name, value in {**self.to_dict(), **changes.to_dict()}.items() if value})


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings of a job: its limits can be changed, everything else is frozen."""

    max_attempts: int = 3
    timeout_seconds: float = 600.0
    limits: RunLimits = RunLimits()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "JobSettings":
        return cls(values["max_attempts"], values["timeout_seconds"], RunLimits(**values.get("limits", {})))

    def to_dict(self) -> dict[str, Any]:
        limits = self.limits.to_dict()
        frozen = {"max_attempts": self.max_attempts, "timeout_seconds": self.timeout_seconds}
        return {**frozen, "limits": limits} if limits else frozen


MAX_EVIDENCE = 20
"""Attempts that are kept as the evidence of a pause."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a job paused."""

    code: str
    message: str
    evidence: tuple[tuple[int, int], ...] = ()
    """The attempts whose answers led to it, the newest first: each the item's position and the attempt's number."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored, its counts the sum of what all its workers did."""

    key: int
    """Its number in this database, in the order of creation; whoever uses it goes by `id`."""
    id: str
    owner: str
    state: JobState
    processor: str
    """`scripted`, `module:function`, the model of a recipe, or `caller` for a callable of the program that made it."""
    recipe: FrozenRecipe | None
    """What the model is asked, as it was when the job was made; None for other processors."""
    settings: JobSettings
    counts: ItemCounts
    tokens: TokenCounts
    workers: int
    """Workers that hold a lease, alive or not yet found dead."""
    provider_wait: ProviderWait | None
    """What its workers wait for just now, for instance a provider's limit."""
    pause: Pause | None
    cleaned: bool
    """The checkpoint was cleaned after a completion without failures: one thin row an item is left."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def is_incomplete(self) -> bool:
        return self.state in (*UNFINISHED, JobState.INTERRUPTED)

    @property
    def lacks_items(self) -> bool:
        """It was taken over, and knows of its items only that some are settled: others are still to come."""
        return self.processor == TAKEN_OVER and self.recipe is None


@dataclass(frozen=True, slots=True)
class ItemsDifference:
    """How the items of an input differ from those of the job that bears its name."""

    new: int = 0
    missing: int = 0
    changed: int = 0
    examples: tuple[str, ...] = field(default=())
    """As `new: …`, `changed: …` and `missing: …`, one of these last at least where something is missing."""

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.missing or self.changed)

    @property
    def only_missing(self) -> "ItemsDifference":
        """Return what is missing of it."""
        return ItemsDifference(
            missing=self.missing, examples=tuple(e for e in self.examples if e.startswith("missing: "))
        )

    def __str__(self) -> str:
        parts = [
            f"{count} {what}"
            for count, what in ((self.new, "new"), (self.missing, "missing"), (self.changed, "changed"))
            if count
        ]
        examples = f" ({'; '.join(self.examples)})" if self.examples else ""
        return ", ".join(parts) + examples
