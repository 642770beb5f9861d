"""The storage that batches need. Every method takes or carries an owner and sees only that owner's rows.

There are four protocols: `IntakeStore` adds items, `WorkStore` changes their states while workers run, `JobStore` acts
on jobs as a whole, and `RevisionStore` changes what is left of them. A method does everything in one transaction or
nothing. A method whose name ends in `_step` does a bounded part and returns whether more is left.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backstay.batch.call_limits import CallLimits
from backstay.batch.deleted_results import DeletedResultStore
from backstay.batch.item import ClaimedItem, FailedItem, FailureEvent, ItemSummary, NewItem
from backstay.batch.item_edit import ItemContent
from backstay.batch.items_difference import ItemsDifference
from backstay.batch.job import Job, JobAction, JobSettings, JobState, Pause
from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.outcome import Verdict
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.batch.recipe_revision import RecipeRevision, RevisionPlan


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The identity of a worker, stored in its row so that others can check whether it lives."""

    host: str
    boot_id: str
    pid: int
    lock_path: str
    lock_device: int
    lock_inode: int


@dataclass(frozen=True, slots=True)
class ReplacementBackup:
    """The verified backup without which a job replaces no conversation."""

    id: str
    is_file_complete: Callable[[], bool]
    """Returns whether its file is still there. Called within a transaction."""
    renew: "Callable[[], Awaitable[ReplacementBackup]]"
    """Returns a usable backup of what is still to be replaced: this one, or a new one if it cannot be used."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to hold items of one job. `token` fences it: it is created for this lease and never reused."""

    owner: str
    job_key: int
    job_id: str
    token: int
    revision: int | None = None
    """The revision of the recipe that this worker follows; None if it follows none. It cannot change meanwhile."""
    is_replacing: bool = False
    """Whether the job makes conversations again, so that each new one replaces an old one."""
    backup: ReplacementBackup | None = None
    """What the commits of such a job check before they replace anything."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker's row, as other workers read it."""

    token: int
    beat: int
    identity: WorkerIdentity


@dataclass(frozen=True, slots=True)
class StagedJob:
    """A job that is being created under its creator's token, invisible until it is published."""

    owner: str
    job_key: int
    token: int


@dataclass(frozen=True, slots=True)
class ItemIdentity:
    """The properties by which an input's item is compared with a stored one."""

    position: int
    id: str
    digest: bytes
    original_digest: bytes | None
    """The digest of the input's item, if the stored one was edited since."""


@dataclass(frozen=True, slots=True)
class CommitReport:
    """The result of a commit, and the state of the job that its transaction saw."""

    claimed: Sequence[ClaimedItem]
    state: JobState
    counts: ItemCounts
    tokens: TokenCounts
    next_due_seconds: float | None
    """If nothing was claimed: seconds until a pending item that may run alongside others is due."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The items that a worker can accept."""

    free_slots: int = 0
    may_claim_suspect: bool = False
    """Nothing is in flight, so a suspect may be claimed if no other item is due."""
    suspect_interruptions: int = 2
    """How many interruptions make an item a suspect."""


@dataclass(frozen=True, slots=True)
class AcquireResult:
    """The result of acquiring a lease on a job."""

    lease: Lease | None
    """None if nothing is left to do, or if the job was left paused or cancelled."""
    job: Job


class IntakeStore(Protocol):
    """The store for adding items to jobs."""

    async def stage(self, owner: str, identity: WorkerIdentity) -> StagedJob:
        """Create an invisible job under its creator's token."""

    async def stage_items(self, staged: StagedJob, items: Sequence[NewItem]) -> int:
        """Store items after those already staged; return how many were left out, as they repeat an id and its content.

        Raises LeaseLost, and DuplicateItem, which names both lines, if two items have one id and different contents.
        """

    async def stage_copies(self, staged: StagedJob, job_id: str, upto: int) -> None:
        """Copy the first `upto` items of another job of the same owner into the staged one."""

    async def publish(
        self,
        staged: StagedJob,
        job_id: str,
        processor: str,
        settings: JobSettings,
        recipe: FrozenRecipe | None = None,
        *,
        accept_missing: bool = False,
    ) -> bool:
        """Name the staged job and make it visible; if the name is taken, change nothing and return False.

        If a job of that name was imported, its settled items become completed or failed. Raises ItemsDiffer if some
        of them are not staged; with `accept_missing`, the missing ones are dropped instead.
        """

    async def difference(self, staged: StagedJob, job_id: str) -> ItemsDifference:
        """Compare the staged items with those of a job by id and digest."""

    async def accept_new(self, staged: StagedJob, job_id: str) -> int:
        """Append the staged items whose ids the job lacks, and return their number. Raises InvalidTransition."""

    async def drop_step(self, owner: str, job_key: int, *, limit: int = 5_000) -> bool:
        """Remove some rows of a staged or discarded job; return True while more are left."""

    async def identities(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemIdentity]:
        """Return identities of a job's items after position `after`, in order."""

    async def orphaned_staging(self, owner: str) -> Sequence[tuple[int, WorkerRow | None]]:
        """Return the keys of staged and discarded jobs, each with its creator's row if there still is one."""


class WorkStore(Protocol):
    """The store for workers. A method that takes a Lease or StagedJob raises LeaseLost if its token is outdated."""

    async def acquire_lease(
        self,
        owner: str,
        job_id: str,
        identity: WorkerIdentity,
        *,
        after_lease_loss: bool,
        revision: int | None = None,
    ) -> AcquireResult:
        """Acquire a lease: pending, running or paused → running.

        Raises JobNotFound, InvalidTransition; RecipeRevised if `revision`, which the worker follows, is not the current
        one.

        With `after_lease_loss`, a job that was paused or cancelled in the meantime is left unchanged, without a lease.
        """

    async def commit(self, lease: Lease, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        """Write verdicts and claim new items in one transaction, while the lease's token is current.

        Conversations, turns, item states, attempts and counters are written together. A claim also records the
        attempt. Settles the job if no item is left. Raises LeaseLost, OutcomeRefused (nothing is written; the caller
        retries the verdicts one by one), BackupUnusable (nothing is written; the lease needs another backup),
        StorageError.

        If the job makes conversations again, each new one takes the place of the old one and belongs to its job and
        item; the old one is deleted if it is as it was backed up. Otherwise this raises ReplacementRefused, which the
        caller treats like OutcomeRefused.
        """

    async def requeue(self, lease: Lease, positions: Sequence[int], pause: Pause) -> None:
        """Pause the job with reason and evidence, unless it was cancelled, and requeue the failed items at `positions`.

        Items that have not failed keep their state. The tries of all items that are pending afterwards are reset.
        """

    async def note_waiting(self, lease: Lease, waiting: ProviderWait | None) -> None:
        """Record what the worker's calls wait for; None if they no longer wait. Raises LeaseLost."""

    async def release(self, lease: Lease) -> None:
        """End a lease: return its items to pending and add its counters to the job. Idempotent."""

    async def workers(self, owner: str, job_id: str) -> Sequence[WorkerRow]:
        """Return the workers that hold a lease on the job."""

    async def reclaim(self, owner: str, worker: WorkerRow, *, crash_limit: int) -> bool:
        """End another worker's lease if its beat is still the one seen, and return its items to pending.

        Their attempts end as interrupted and count neither as tries nor as failures. Exception: an item interrupted
        while running alone for the `crash_limit`-th time fails as crashed_worker. Returns False if the worker has
        sent a beat since or is gone.
        """

    def beat(self, lease: Lease) -> None:
        """Record that the worker lives. Blocks; called from the heartbeat thread. Raises LeaseLost."""

    def mark_stopping(self, lease: Lease) -> None:
        """Record that the worker was asked to stop, so that its items do not count as interrupted. Blocks."""


class JobStore(Protocol):
    """The store for jobs as a whole."""

    async def job(self, owner: str, job_id: str) -> Job:
        """Return a job. Raises JobNotFound."""

    async def jobs(self, owner: str, *, incomplete: bool, limit: int, before: int | None = None) -> Sequence[Job]:
        """Return jobs, newest first; with `before`, only those of a smaller key."""

    async def apply_action(self, owner: str, job_id: str, action: JobAction, pause: Pause | None = None) -> Job:
        """Pause or cancel a job. Raises JobNotFound, InvalidTransition."""

    async def set_limits(self, owner: str, job_id: str, limits: CallLimits) -> None:
        """Store those limits of a job that are set in `limits`; keep the others. Raises JobNotFound."""

    async def retry(self, owner: str, job_id: str, item_ids: Sequence[str] | None) -> int:
        """Requeue failed items (all, or those named) with their tries reset; return how many.

        Raises JobNotFound, ItemNotFound, InvalidTransition (the job's state, or a named item that has not failed).
        """

    async def skip(self, owner: str, job_id: str, item_ids: Sequence[str]) -> int:
        """Skip pending and failed items on the user's request, either all named ones or none; return how many.

        Each is recorded as an attempt. The job is settled if no item is left. Raises JobNotFound, ItemNotFound,
        InvalidTransition (the job's state, or a named item that is neither pending nor failed).
        """

    async def items(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemSummary]:
        """Return items after position `after`, in order. Raises JobNotFound."""

    async def failures(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailedItem]:
        """Return failed items after position `after`, in order. Raises JobNotFound."""

    async def failure_codes(self, owner: str, job_id: str) -> Mapping[str, bool]:
        """Return the codes of failed items, each with whether a raw answer is stored for one. Raises JobNotFound."""

    async def pause_evidence(self, owner: str, job_id: str) -> Sequence[FailedItem]:
        """Return the stored attempts that led to the job's pause, newest first.

        Empty unless the job paused itself. Raises JobNotFound.
        """

    async def last_failure(self, owner: str, job_id: str) -> int:
        """Return the sequence number of the latest failure of a job; 0 if there was none. Raises JobNotFound."""

    async def failures_since(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailureEvent]:
        """Return failures with a sequence number above `after`, in order; none is ever missed. Raises JobNotFound."""

    async def clean_step(self, owner: str, job_id: str, *, limit: int = 5_000) -> bool:
        """Remove some attempts of a job completed without failures, or compress inputs; return whether more is left."""

    async def finished_jobs_with_leases(self, owner: str) -> Sequence[str]:
        """Return the ids of jobs with no items left on which a worker, perhaps a dead one, still holds a lease."""

    async def jobs_to_clean(self, owner: str) -> Sequence[str]:
        """Return the ids of jobs completed without failures whose checkpoint is not yet fully cleaned."""

    async def discard(self, owner: str, job_id: str) -> int | None:
        """Free the job's name and hide it; return its key for `drop_step`. Raises JobNotFound, JobHasWorkers.

        An imported job that still waits for its items is removed at once, and None is returned.
        """


class RevisionStore(Protocol):
    """The store for changes of what is left of a job: revisions of its recipe, and edits of its items."""

    async def revisions(self, owner: str, job_id: str) -> Sequence[RecipeRevision]:
        """Return the revisions of a job's recipe, in order; none without a recipe. Raises JobNotFound."""

    async def remaining(
        self, owner: str, job_id: str, *, with_failed: bool, after: int, limit: int
    ) -> Sequence[ItemContent]:
        """Return the items after position `after` that are not settled, or failed, in order. Raises JobNotFound."""

    async def revise(self, owner: str, plan: RevisionPlan) -> Job:
        """Store the planned revision, requeue the failed items that it includes, and return the job.

        Raises JobNotFound, InvalidTransition; JobHasWorkers if a worker holds a lease; PlanOutdated if the recipe, or
        the items to which the plan applies, have changed since.
        """

    async def item(self, owner: str, job_id: str, item_id: str) -> ItemContent:
        """Return an item with its content. Raises JobNotFound, ItemNotFound."""

    async def edit_item(
        self, owner: str, job: Job, before: ItemContent, after: ItemContent, *, retry: bool
    ) -> ItemContent:
        """Store the edited content of a pending or failed item, requeue it if `retry` is true and it failed; return it.

        Raises JobNotFound, InvalidTransition (the state of the job or the item); PlanOutdated if the item or the job's
        recipe has changed since they were read.
        """


@dataclass(frozen=True, slots=True)
class BatchStores:
    """The stores of one database."""

    intake: IntakeStore
    work: WorkStore
    jobs: JobStore
    revisions: RevisionStore
    deleted_results: DeletedResultStore
