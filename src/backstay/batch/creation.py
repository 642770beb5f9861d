"""Creation of a job from a stream of items, or comparison of the items with those of the existing job.

A job is staged first, where it is invisible, and gets its name in one last step. So an interrupted creation leaves no
job, and of two that run at once the first to finish creates the job and the other compares its items with it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backstay.batch import liveness
from backstay.batch.intake import Chunks
from backstay.batch.item import NewItem
from backstay.batch.items_difference import ItemsDifference
from backstay.batch.job import Job, JobSettings
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.recipe_revision import RecipeRevision
from backstay.batch.store import BatchStores, ItemIdentity, StagedJob
from backstay.errors import ItemsDiffer, JobDiffers, JobNotFound
from backstay.library.id_text import quoted_id
from backstay.readers.bad_rows import BadRowsReport
from backstay.remedy import Remedy


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A request for a job: its name, processor and settings."""

    job_id: str
    processor: str
    settings: JobSettings
    accept_new_items: bool = False
    recipe: JobRecipe | None = None


@dataclass(frozen=True, slots=True)
class CreateResult:
    """The result of creating a job: whether it is new, or what was added to the existing one."""

    is_new: bool
    added: int = 0
    repeated: int = 0
    """Number of input rows that repeat an earlier one, including its id."""
    bad_rows: BadRowsReport = field(default_factory=BadRowsReport)
    """The input rows that were left out because they cannot be used."""


class JobCreator:
    """The creator of one owner's jobs, each in one pass over its items."""

    def __init__(self, *, stores: BatchStores, owner: str, folder: Path) -> None:
        """Keep the stores, and the `folder` of the liveness locks that protect staged items."""
        self._stores = stores
        self._owner = owner
        self._folder = folder

    async def create(self, request: JobRequest, chunks: Chunks) -> CreateResult:
        """Create the job, or check that the existing one has these items (and add new ones if accepted).

        Raises:
            InputError: an item is unusable. Nothing is left behind.
            JobDiffers, ItemsDiffer: the existing job has another processor or other items, or items that were imported
                as settled are missing.
        """
        existing = await self.existing_job(request)
        matched, rest = 0, None
        if existing is not None:
            matched, rest = await self._match(existing, chunks)
            if rest is None and matched == existing.counts.planned:
                return CreateResult(is_new=False)
        async with stage_job(self._stores, self._owner, self._folder) as staged:
            return await self._create_staged(request, staged, existing, matched, rest, chunks)

    async def _create_staged(
        self,
        request: JobRequest,
        staged: StagedJob,
        existing: Job | None,
        matched: int,
        rest: list[NewItem] | None,
        chunks: Chunks,
    ) -> CreateResult:
        intake = self._stores.intake
        repeated = 0
        if matched:
            await intake.stage_copies(staged, request.job_id, matched)
        if rest:
            repeated += await intake.stage_items(staged, rest)
        async for chunk in chunks:
            repeated += await intake.stage_items(staged, chunk)
        if existing is None:
            frozen = request.recipe.frozen() if request.recipe is not None else None
            accept = request.accept_new_items
            if await intake.publish(
                staged, request.job_id, request.processor, request.settings, frozen, accept_missing=accept
            ):
                return CreateResult(is_new=True, repeated=repeated)
            await self.existing_job(request)  # another process created it first
        difference = await intake.difference(staged, request.job_id)
        if request.accept_new_items and not difference.changed:
            return CreateResult(is_new=False, added=await intake.accept_new(staged, request.job_id), repeated=repeated)
        if not difference.is_empty:
            raise _items_differ_error(request, difference)
        return CreateResult(is_new=False, repeated=repeated)

    async def existing_job(self, request: JobRequest) -> Job | None:
        """Return the job that has the requested name, if any. Raises JobDiffers."""
        try:
            job = await self._stores.jobs.job(self._owner, request.job_id)
        except JobNotFound:
            return None
        if job.regenerates is not None:
            raise JobDiffers(
                f"Job {quoted_id(job.id)} exists and makes conversations of job {quoted_id(job.regenerates.id)} again",
                remedy=Remedy.CHOOSE_JOB_NAME,
                job_id=job.id,
            )
        requested, stored = request.recipe, job.recipe
        if requested is None or stored is None:
            if (requested is None) != (stored is None) or request.processor != job.processor:
                raise JobDiffers(
                    f"Job {quoted_id(request.job_id)} exists with {_describe(job)}, not {_describe(request)}",
                    job_id=request.job_id,
                    stored=job.processor,
                    given=request.processor,
                )
            return job
        differences = requested.differences(stored)
        if differences:
            raise _recipe_differs_error(
                job, requested, differences, await self._stores.revisions.revisions(self._owner, job.id)
            )
        return job

    async def _match(self, job: Job, chunks: Chunks) -> tuple[int, list[NewItem] | None]:
        """Compare input and stored items pairwise; return how many match, and the items from the first mismatch on.

        For an unchanged input this is the whole check: one read of the items, and no write.
        """
        matched, after = 0, -1
        async for chunk in chunks:
            stored = await self._stores.intake.identities(self._owner, job.id, after=after, limit=len(chunk))
            for index, item in enumerate(chunk):
                if index >= len(stored) or not _is_same_item(item, stored[index]):
                    return matched + index, chunk[index:]
            matched += len(chunk)
            after = stored[-1].position
        return matched, None


def _is_same_item(item: NewItem, stored: ItemIdentity) -> bool:
    # An item that was edited on purpose stays the same one, whether the input has its former content or the new one.
    if item.digest not in (stored.digest, stored.original_digest):
        return False
    if item.id is not None:
        return item.id == stored.id
    return stored.id == item.base_id or stored.id.startswith(f"{item.base_id}-")


def _describe(job: Job | JobRequest) -> str:
    """Return the processor or the model of a job, and which of the two it is: both may have the same name."""
    return f"the {'processor' if job.recipe is None else 'model'} {job.processor!r}"


def _recipe_differs_error(
    job: Job, requested: JobRecipe, differences: Sequence[str], revisions: Sequence[RecipeRevision]
) -> JobDiffers:
    """Return the error that a job follows another recipe than the requested one, which may be an earlier revision."""
    stored = "another recipe"
    if len(revisions) > 1:
        current = revisions[-1]
        stored = f"revision {current.number} of its recipe, since {current.created_at:%Y-%m-%d %H:%M}Z"
        earlier = [each.number for each in revisions if not requested.differences(each.recipe)]
        stored += f", and this is revision {earlier[-1]}" if earlier else ", and this one is not among its revisions"
    has_other_base_url = any(difference.startswith("base_url:") for difference in differences)
    return JobDiffers(
        f"Job {quoted_id(job.id)} exists with {stored}: {'; '.join(differences)}",
        remedy=Remedy.CHANGE_BASE_URL if has_other_base_url else Remedy.USE_STORED_RECIPE,
        job_id=job.id,
        differences=list(differences),
        revision=job.revision,
    )


def _items_differ_error(request: JobRequest, difference: ItemsDifference) -> ItemsDiffer:
    is_growing = difference.new and not difference.changed
    return ItemsDiffer(
        f"Job {quoted_id(request.job_id)} exists with other items: {difference}",
        remedy=Remedy.ACCEPT_NEW_ITEMS if is_growing else Remedy.CHOOSE_JOB_NAME,
        job_id=request.job_id,
        new=difference.new,
        missing=difference.missing,
        changed=difference.changed,
    )


@asynccontextmanager
async def stage_job(stores: BatchStores, owner: str, folder: Path) -> AsyncIterator[StagedJob]:
    """Stage a job for as long as the context lasts. Unless it is published in it, it is dropped at the end.

    `folder` is that of the liveness locks, one of which protects the staged rows.
    """
    lock = await asyncio.to_thread(liveness.LivenessLock.open, folder)
    is_cleaned_up = False
    try:
        staged = await stores.intake.stage(owner, lock.identity)
        try:
            yield staged
        finally:
            await drop_job(stores, owner, staged.job_key)
            is_cleaned_up = True
    finally:
        # If staged rows are left behind, the file stays: unlocked, it proves that their creator is dead.
        lock.close(remove=is_cleaned_up)


async def drop_job(stores: BatchStores, owner: str, job_key: int) -> None:
    """Remove a staged or discarded job in bounded steps. A job published in the meantime is not touched."""
    while await stores.intake.drop_step(owner, job_key):
        pass


async def drop_leftovers(stores: BatchStores, owner: str) -> None:
    """Remove the leftovers of interrupted creations and discards."""
    for job_key, creator in await stores.intake.orphaned_staging(owner):
        if creator is None or liveness.is_proven_dead(creator.identity):
            await drop_job(stores, owner, job_key)
            if creator is not None:
                liveness.remove_lock_file(creator.identity)
