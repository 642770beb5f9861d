"""What batches ask of a database. Every method takes or carries an owner and sees that owner's rows only.

Three protocols, one a phase of an item's life: `IntakeStore` brings items in, `WorkStore` moves them while workers
work, `JobStore` is everything done to a job as a whole. A method either does all it says in one transaction or
nothing; those that end in `_step` do a bounded part and say whether more is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backstay.batch.checkpoint import ItemCounts, ProviderWait, TokenCounts
from backstay.batch.item import ClaimedItem, FailedItem, FailureEvent, ItemSummary, NewItem, SettledItem
from backstay.batch.job import ItemsDifference, Job, JobAction, JobSettings, JobState, Pause, RunLimits
from backstay.batch.outcome import Verdict
from backstay.batch.recipe import FrozenRecipe


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a worker is, written in its row so that others can tell whether it lives."""

    host: str
    boot_id: str
    pid: int
    lock_path: str
    lock_device: int
    lock_inode: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to hold items of one job. `token` fences: it is minted for this lease and never again."""

    owner: str
    job_key: int
    job_id: str
    token: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """Another worker, as its row shows it."""

    token: int
    beat: int
    identity: WorkerIdentity


@dataclass(frozen=True, slots=True)
class StagedJob:
    """A job being created: invisible, under its creator's token, until it is published."""

    owner: str
    job_key: int
    token: int


@dataclass(frozen=True, slots=True)
class ItemIdentity:
    """What tells whether an input's item is the stored one."""

    position: int
    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class CommitReport:
    """What a commit did, and what its transaction saw."""

    claimed: Sequence[ClaimedItem]
    state: JobState
    counts: ItemCounts
    tokens: TokenCounts
    has_pending_suspects: bool
    """Items are pending that only a worker with nothing else in flight may claim."""
    next_due_seconds: float | None
    """When nothing was claimed: seconds until the next pending item that may run beside others is due."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker has room for."""

    free_slots: int = 0
    may_claim_suspect: bool = False
    """Nothing is in flight, so a suspect may be claimed when there is nothing else."""
    max_interruptions: int = 2
    """From so many interruptions on, an item is a suspect."""


@dataclass(frozen=True, slots=True)
class EnterResult:
    """A worker's start on a job."""

    lease: Lease | None
    """None when nothing is left to do."""
    job: Job


class IntakeStore(Protocol):
    """Brings items in."""

    async def stage(self, owner: str, identity: WorkerIdentity) -> StagedJob:
        """Make an invisible job with its creator's token."""
        ...

    async def stage_items(self, staged: StagedJob, items: Sequence[NewItem]) -> int:
        """Store drafts after those already staged; return how many were only repetitions (same id, same content).

        Raises DuplicateItem (one id, two contents) naming both places, and LeaseLost.
        """
        ...

    async def stage_copies(self, staged: StagedJob, job_id: str, upto: int) -> None:
        """Copy the first `upto` items of another job of the same owner into the staged one."""
        ...

    async def publish(
        self,
        staged: StagedJob,
        job_id: str,
        processor: str,
        settings: JobSettings,
        recipe: FrozenRecipe | None = None,
    ) -> bool:
        """Give the staged job its name and make it visible; False, and nothing done, when the name is taken."""
        ...

    async def stage_settled(self, staged: StagedJob, items: Sequence[SettledItem]) -> int:
        """Store items that another program has settled, and return how many of them had an id that was there already.

        Of two with the same id the first counts. Raises LeaseLost.
        """
        ...

    async def publish_settled(self, staged: StagedJob, job_id: str, settings: JobSettings, pause: Pause) -> bool:
        """Likewise as `publish`, for a job of settled items only: it is paused, and `take_up` brings the others."""
        ...

    async def difference(self, staged: StagedJob, job_id: str) -> ItemsDifference:
        """Compare the staged items with a job's by id and digest; one whose content the job does not know is new."""
        ...

    async def accept_new(self, staged: StagedJob, job_id: str) -> int:
        """Append the staged items whose ids the job lacks to it, and return their number. Raises InvalidTransition.

        Items of which the job knows the id only are given what the staged ones of the same id were given.
        """
        ...

    async def attach_items(
        self,
        staged: StagedJob,
        job_id: str,
        processor: str,
        settings: JobSettings,
        recipe: FrozenRecipe | None = None,
    ) -> int | None:
        """Give a job that lacks its items the staged ones, and what makes their conversations: paused → pending.

        Does what `accept_new` does; None, and nothing done, when the job does not lack them any more. Raises
        InvalidTransition.
        """
        ...

    async def drop_step(self, owner: str, job_key: int, *, limit: int = 5_000) -> bool:
        """Remove a part of a staged or discarded job; True while more is left."""
        ...

    async def identities(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemIdentity]:
        """Return items of a job in order of position, after the given one."""
        ...

    async def orphaned_staging(self, owner: str) -> Sequence[tuple[int, WorkerRow | None]]:
        """Return the staged and discarded jobs left behind, each with its creator's row, if there still is one."""
        ...


class WorkStore(Protocol):
    """Moves items while workers work. Whatever carries a Lease or Staged raises LeaseLost when its token is void."""

    async def acquire_lease(
        self, owner: str, job_id: str, identity: WorkerIdentity, *, after_lease_loss: bool
    ) -> EnterResult:
        """Take a lease: pending, running or paused → running. Raises JobNotFound, InvalidTransition.

        A run that enters `again`, after it lost its lease, leaves a job alone that was paused or cancelled meanwhile.
        """
        ...

    async def commit(self, lease: Lease, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        """Write verdicts and claim new items in one transaction, while the lease's token is current.

        Conversations, turns, item states, attempts and counters go in together. Items that are claimed have their
        attempt recorded by it. Settles the job when nothing is left. Raises LeaseLost, OutcomeRefused (nothing written:
        the caller replays the verdicts one by one), StorageError.
        """
        ...

    async def requeue(self, lease: Lease, positions: Sequence[int], pause: Pause) -> None:
        """Pause the job, unless it was cancelled, with reason and evidence, and put the given items back to pending.

        Those that have not failed stay in their state; the tries of all that are then pending are forgotten.
        """
        ...

    async def note_waiting(self, lease: Lease, waiting: ProviderWait | None) -> None:
        """Note what the worker's calls wait for; None when they no longer do. Raises LeaseLost."""
        ...

    async def release(self, lease: Lease) -> None:
        """End a lease: give back the items still held, fold its counters into the job. Twice is safe."""
        ...

    async def workers(self, owner: str, job_id: str) -> Sequence[WorkerRow]:
        """Return the workers that hold a lease on the job."""
        ...

    async def reclaim(self, owner: str, worker: WorkerRow, *, crash_limit: int) -> bool:
        """End another worker's lease if its beat is still the one seen, and return its items to pending.

        Their attempts end as interrupted and count neither as tries nor as failures, unless an item was running
        alone for the `crash_limit`-th time: it fails as crashed_worker. False when the worker moved or is gone.
        """
        ...

    def beat(self, lease: Lease) -> None:
        """Show that the worker lives. Blocks; called from the heart's own thread. Raises LeaseLost."""
        ...

    def mark_stopping(self, lease: Lease) -> None:
        """Note that the worker was told to stop: what it holds then was not interrupted. Blocks."""
        ...


class JobStore(Protocol):
    """Jobs as a whole."""

    async def job(self, owner: str, job_id: str) -> Job:
        """Return a job. Raises JobNotFound."""
        ...

    async def jobs(self, owner: str, *, incomplete: bool, limit: int, before: int | None = None) -> Sequence[Job]:
        """Return jobs, the latest first, from before the given key on."""
        ...

    async def apply_action(self, owner: str, job_id: str, move: JobAction, pause: Pause | None = None) -> Job:
        """Pause or cancel. Raises JobNotFound, InvalidTransition."""
        ...

    async def set_limits(self, owner: str, job_id: str, limits: RunLimits) -> None:
        """Store the given limits of a job; the others stay. Raises JobNotFound."""
        ...

    async def retry(self, owner: str, job_id: str, item_ids: Sequence[str] | None) -> int:
        """Put failed items (all, or those named) back to pending with a fresh count of tries; return how many.

        Those of which only the id is known stay as they are. Raises JobNotFound, ItemNotFound, ItemsNeeded,
        InvalidTransition
        (the job's state, a named item that has not failed, or of which only the id is known).
        """
        ...

    async def skip(self, owner: str, job_id: str, item_ids: Sequence[str]) -> int:
        """Settle pending and failed items as skipped by the user, all of those named or none; return how many.

        Each is recorded as an attempt. The job settles when nothing is left. Raises JobNotFound, ItemNotFound,
        ItemsNeeded, InvalidTransition (the job's state, or a named item that is neither pending nor failed).
        """
        ...

    async def items(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemSummary]:
        """Return items in order of position, after the given one. Raises JobNotFound."""
        ...

    async def failures(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailedItem]:
        """Return failed items in order of position, after the given one. Raises JobNotFound."""
        ...

    async def failure_codes(self, owner: str, job_id: str) -> Mapping[str, bool]:
        """Return the codes of failed items, each with whether an answer was kept of one. Raises JobNotFound."""
        ...

    async def pause_evidence(self, owner: str, job_id: str) -> Sequence[FailedItem]:
        """Return the attempts that led to the job's pause, the newest first, without those that are no longer kept.

        None unless the job is paused, and paused by itself. Raises JobNotFound.
        """
        ...

    async def last_failure(self, owner: str, job_id: str) -> int:
        """Return the sequence of the latest failing in a job; 0 when there was none. Raises JobNotFound."""
        ...

    async def failures_since(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailureEvent]:
        """Return what failed after a failing that was seen, in order; none is ever seen late. Raises JobNotFound."""
        ...

    async def clean_step(self, owner: str, job_id: str, *, limit: int = 5_000) -> bool:
        """Remove a part of what a job completed without failures no longer needs; True while more is left."""
        ...

    async def finished_jobs_with_leases(self, owner: str) -> Sequence[str]:
        """Return the jobs on which nothing is left to do, but on which a worker, perhaps a dead one, holds a lease."""
        ...

    async def jobs_to_clean(self, owner: str) -> Sequence[str]:
        """Return the jobs completed without failures whose cleaning has not come to its end."""
        ...

    async def discard(self, owner: str, job_id: str) -> int:
        """Free the job's name and hide it; return its key for `drop_step`. Raises JobNotFound, JobHasWorkers."""
        ...


@dataclass(frozen=True, slots=True)
class BatchStores:
    """The three together, as a database gives them."""

    intake: IntakeStore
    work: WorkStore
    jobs: JobStore
