"""From a stream of items to a job, or to the certainty that the job there is has just these items.

A job is always staged first, invisible, and gets its name in one step at the end. So a creation that is cut off
leaves nothing, and of two that run at once the first to finish makes the job and the other compares with it.
"""

from dataclasses import dataclass

from backstay.batch import liveness
from backstay.batch.intake import Chunks
from backstay.batch.item import NewItem
from backstay.batch.job import ItemsDifference, Job, JobSettings
from backstay.batch.processor import CALLER
from backstay.batch.recipe import JobRecipe
from backstay.batch.store import BatchStores, StagedJob, WorkerIdentity
from backstay.errors import ItemsDiffer, JobDiffers, JobNotFound
from backstay.library.id_text import quoted_id, typed_id


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The job that a user asked for."""

    job_id: str
    processor: str
    settings: JobSettings
    accept_new_items: bool = False
    recipe: JobRecipe | None = None


@dataclass(frozen=True, slots=True)
class CreateResult:
    """What came of it."""

    is_new: bool
    added: int = 0
    repeated: int = 0
    """Rows of the input that were the same as an earlier one, id included."""


class JobCreator:
    """Creates one job from one pass over its items."""

    def __init__(self, *, stores: BatchStores, owner: str, identity: WorkerIdentity) -> None:
        self._stores = stores
        self._owner = owner
        self._card = identity
        self.is_cleaned_up = True
        """Nothing that was staged is left behind."""

    async def create(self, wanted: JobRequest, chunks: Chunks) -> CreateResult:
        """Create the job, or check that the one of this name has these items (and add new ones where accepted).

        Raises:
            InputError: an item is unusable. Nothing is left behind.
            JobDiffers, ItemsDiffer: a job of this name has another processor or other items.
        """
        existing = await self._find(wanted)
        matched, rest = 0, None
        if existing is not None:
            matched, rest = await self._match(existing, chunks)
            if rest is None and matched == existing.counts.planned:
                return CreateResult(is_new=False)
        self.is_cleaned_up = False
        staged = await self._stores.intake.stage(self._owner, self._card)
        try:
            return await self._create_staged(wanted, staged, existing, matched, rest, chunks)
        finally:
            await drop(self._stores, self._owner, staged.job_key)
            self.is_cleaned_up = True

    async def _create_staged(
        self,
        wanted: JobRequest,
        staged: StagedJob,
        existing: Job | None,
        matched: int,
        rest: list[NewItem] | None,
        chunks: Chunks,
    ) -> CreateResult:
        intake = self._stores.intake
        repeated = 0
        if existing is not None and matched:
            await intake.stage_copies(staged, wanted.job_id, matched)
        if rest:
            repeated += await intake.stage_items(staged, rest)
        async for chunk in chunks:
            repeated += await intake.stage_items(staged, chunk)
        if existing is None:
            frozen = wanted.recipe.frozen() if wanted.recipe is not None else None
            if await intake.publish(staged, wanted.job_id, wanted.processor, wanted.settings, frozen):
                return CreateResult(is_new=True, repeated=repeated)
            existing = await self._find(wanted)  # someone else was faster
        difference = await intake.difference(staged, wanted.job_id)
        if existing is not None and existing.lacks_items:
            added = await self._attach_items(wanted, staged, difference)
            if added is not None:
                return CreateResult(is_new=False, added=added, repeated=repeated)
            await self._find(wanted)  # someone else was faster
            difference = await intake.difference(staged, wanted.job_id)
        if wanted.accept_new_items and not difference.changed:
            return CreateResult(is_new=False, added=await intake.accept_new(staged, wanted.job_id), repeated=repeated)
        if not difference.is_empty:
            raise _items_differ(wanted, difference)
        return CreateResult(is_new=False, repeated=repeated)

    async def _attach_items(self, wanted: JobRequest, staged: StagedJob, difference: ItemsDifference) -> int | None:
        """Bring all its items to a job that was taken over. Raises ItemsDiffer where some that it knows are not there.

        Then the ids are not those that the other program gave, and everything would be done a second time.
        """
        if difference.missing and not wanted.accept_new_items:
            raise _items_missing(wanted, difference)
        frozen = wanted.recipe.frozen() if wanted.recipe is not None else None
        return await self._stores.intake.attach_items(staged, wanted.job_id, wanted.processor, wanted.settings, frozen)

    async def _find(self, wanted: JobRequest) -> Job | None:
        try:
            job = await self._stores.jobs.job(self._owner, wanted.job_id)
        except JobNotFound:
            return None
        if job.lacks_items:
            return job  # it has no processor to differ from
        if job.processor != wanted.processor and not (wanted.recipe is not None and job.recipe is not None):
            raise JobDiffers(
                f"Job {quoted_id(wanted.job_id)} exists and is made by {job.processor!r}, not by {wanted.processor!r}; "
                f"choose another name with --job, or free this one with `backstay discard {typed_id(wanted.job_id)}`",
                job_id=wanted.job_id,
                stored=job.processor,
                given=wanted.processor,
            )
        differences = wanted.recipe.differences(job.recipe) if wanted.recipe and job.recipe is not None else ()
        if differences:
            moved = any(difference.startswith("base_url:") for difference in differences)
            elsewhere = ", and with --base-url at another address" if moved else ""
            raise JobDiffers(
                f"Job {quoted_id(wanted.job_id)} exists with another recipe: {'; '.join(differences)}. "
                f"`backstay resume {typed_id(wanted.job_id)}` goes on with the one it has{elsewhere}; "
                "choose another name with --job for the new one",
                job_id=wanted.job_id,
                differences=list(differences),
            )
        return job

    async def _match(self, job: Job, chunks: Chunks) -> tuple[int, list[NewItem] | None]:
        """Walk input and stored items side by side; return how many match, and the drafts from the first that does not.

        This is the whole check for an unchanged input: one read of the items, nothing written.
        """
        matched, after = 0, -1
        async for chunk in chunks:
            stored = await self._stores.intake.identities(self._owner, job.id, after=after, limit=len(chunk))
            for index, draft in enumerate(chunk):
                if index >= len(stored) or not _same(draft, stored[index].id, stored[index].digest):
                    return matched + index, chunk[index:]
            matched += len(chunk)
            after = stored[-1].position
        return matched, None


def _same(draft: NewItem, stored_id: str, stored_digest: bytes) -> bool:
    if draft.digest != stored_digest:
        return False
    if draft.id is not None:
        return draft.id == stored_id
    return stored_id == draft.base_id or stored_id.startswith(f"{draft.base_id}-")


def _items_differ(wanted: JobRequest, difference: ItemsDifference) -> ItemsDiffer:
    job_id, by_a_program = wanted.job_id, wanted.processor == CALLER
    if not difference.new or difference.changed:
        remedy = "give these a job of another name" if by_a_program else "choose another name with --job"
    elif by_a_program:
        remedy = "to add the new ones, run it with accept_new_items=True; else give these a job of another name"
    else:
        remedy = f"to add the new ones: `backstay resume {typed_id(job_id)} --accept-new-items FILE`"
    return ItemsDiffer(
        f"Job {quoted_id(job_id)} exists with other items: {difference}; {remedy}",
        job_id=job_id,
        new=difference.new,
        missing=difference.missing,
        changed=difference.changed,
    )


def _items_missing(wanted: JobRequest, difference: ItemsDifference) -> ItemsDiffer:
    job_id = wanted.job_id
    accept = "accept_new_items=True" if wanted.processor == CALLER else "--accept-new-items"
    return ItemsDiffer(
        f"Job {quoted_id(job_id)} was taken over, and items that were settled before are not among these: "
        f"{difference.only_missing}. Give all of them, under the ids that they had; {accept} goes on without these",
        job_id=job_id,
        missing=difference.missing,
    )


async def drop(stores: BatchStores, owner: str, job_key: int) -> None:
    """Remove a staged or discarded job in bounded steps; one that was published meanwhile is not touched."""
    while await stores.intake.drop_step(owner, job_key):
        pass


async def drop_leftovers(stores: BatchStores, owner: str) -> None:
    """Remove what creations and discards that were cut off left behind."""
    for job_key, creator in await stores.intake.orphaned_staging(owner):
        if creator is None or liveness.is_proven_dead(creator.identity):
            await drop(stores, owner, job_key)
            if creator is not None:
                liveness.remove_lock_file(creator.identity)
