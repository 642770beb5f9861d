"""The public API of making conversations again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

from backstay.backup.backup import Backup, Listener
from backstay.backup.deleter import DeleteService
from backstay.backup.restore_plan import RestoreResult
from backstay.backup.restorer import Restorer
from backstay.batch.creation import stage_job
from backstay.batch.item import NewItem
from backstay.batch.job import Job
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.processor_lookup import ProcessorLookup, ProcessorSource
from backstay.batch.store import BatchStores, StagedJob
from backstay.errors import EmptySelection, PlanOutdated
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.selection import Selection
from backstay.limits import MAX_ID
from backstay.logs import get_logger
from backstay.regeneration.backups import ReplacementBackups
from backstay.regeneration.plan import ConversationHistory, JobPlan, RegenerationPlan, RegenerationStart
from backstay.regeneration.planner import Planner, WriterChoice
from backstay.regeneration.recipes import RecipeVariants
from backstay.regeneration.store import Candidate, PlannedReplacement, RegenerationStore

_log = get_logger("backstay.regeneration")

_PAGE_CONVERSATIONS = 500


class Regenerations:
    """The making again of one owner's conversations."""

    def __init__(
        self,
        *,
        store: RegenerationStore,
        batches: BatchStores,
        source: ProcessorSource,
        recipes: RecipeVariants,
        deleter: DeleteService,
        backups: ReplacementBackups,
        restorer: Restorer,
        owner: str,
        folder: Path,
    ) -> None:
        """Keep what is passed; `folder` is that of the liveness locks that protect staged items."""
        self._store = store
        self._batches = batches
        self._lookup = ProcessorLookup(source)
        self._recipes = recipes
        self._deleter = deleter
        self._backups = backups
        self._restorer = restorer
        self._owner = owner
        self._folder = folder

    async def plan(
        self, selection: Selection, process: JobRecipe | str | None = None, *, model: str | None = None
    ) -> RegenerationPlan:
        """Return which conversations would be made again, and how. Nothing is changed, and no model called.

        Args:
            selection: The conversations, each made by an item of a job.
            process: The recipe, or the name of a function or of the scripted writer, that makes them again. By default
                each is made again by the recipe or the function of its job.
            model: Without `process`: the model that replaces the one of each job's recipe. A job without a recipe gets
                the default one.

        Raises:
            EmptySelection, ConversationNotFound: nothing is selected, or a selected id does not exist.
            DeleteBlocked: rows of other tables prevent that the conversations are replaced.
            RecipeError, ProcessorUnusable, ProcessorNotAllowed, ApiKeyMissing, ApiKeyNotAllowed: what is to make them
                again cannot be used.
        """
        deletion = await self._deleter.plan(selection)
        planner = Planner(
            jobs=self._batches.jobs,
            lookup=self._lookup,
            recipes=self._recipes,
            owner=self._owner,
            choice=WriterChoice(process, model),
        )
        keys = await self._store.selected_keys(self._owner, selection)
        page: list[int] = []
        for key in keys:
            page.append(key)
            if len(page) == _PAGE_CONVERSATIONS:
                await planner.add(await self._store.candidates(self._owner, page))
                page = []
        await planner.add(await self._store.candidates(self._owner, page))
        return RegenerationPlan(deletion, planner.jobs, planner.refusals)

    async def start(
        self, plan: RegenerationPlan, *, plan_digest: str | None = None, on_progress: Listener | None = None
    ) -> RegenerationStart:
        """Back up the conversations of a plan, and create the jobs that make them again: one for each job.

        `Batches.resume` runs them. As each item is finished, its new conversation replaces the old one in one
        transaction. Until then, or if it fails, the old one stays.

        Args:
            plan: The plan.
            plan_digest: The digest of the plan that was confirmed.
            on_progress: Called with the progress of the backup.

        Raises:
            CannotRegenerate: some of the conversations cannot be made again.
            PlanOutdated: the selection matches other conversations than the plan shows.
            BackupError: the backup failed. Nothing was created if this or an error above is raised.
        """
        plan.check()
        if plan_digest not in (None, plan.digest):
            raise _outdated_error()
        keys = await self._store.selected_keys(self._owner, plan.deletion.selection)
        if not keys:
            raise EmptySelection("No conversation is selected")
        backup = await self._backups.write(keys, plan_digest=plan.digest, on_progress=on_progress)
        job_ids = await self._create_jobs(plan, backup)
        _log.info("regeneration_created", backup=backup.id, conversations=plan.conversations, jobs=len(job_ids))
        return RegenerationStart(backup.id, job_ids)

    async def undo(self, backup_id: str, *, on_progress: Listener | None = None) -> RestoreResult:
        """Put back the conversations in a backup that were replaced, in one transaction; back up the new ones first.

        Conversations whose item failed, or that were replaced again since, stay as they are.

        Raises:
            EmptySelection: no conversation of this backup is replaced at present.
            BackupNotFound, BackupUnusable, BackupUnreachable, BackupDamaged: the backup cannot be used.
            RestoreConflict: an item is being worked on.
        """
        ids = await self._store.replaced_ids(self._owner, backup_id)
        if not ids:
            raise EmptySelection(f"No conversation of {backup_id} is replaced by another one", remedy=None)
        return await self._restorer.restore(
            backup_id, Selection(ids=tuple(ids)), on_conflict=RestoreConflictPolicy.REPLACE, on_progress=on_progress
        )

    async def source_jobs(self, selection: Selection) -> Sequence[Job]:
        """Return the existing jobs that made the selected conversations."""
        ids = await self._store.selected_jobs(self._owner, selection.check())
        return [await self._batches.jobs.job(self._owner, job_id) for job_id in ids]

    async def history(self, conversation_id: str) -> ConversationHistory:
        """Return which conversation this one replaced, and which one replaced it, the last time each."""
        return await self._store.history(self._owner, conversation_id)

    async def _create_jobs(self, plan: RegenerationPlan, backup: Backup) -> list[str]:
        plans = {job.source.id: job for job in plan.jobs}
        async with AsyncExitStack() as stack:
            staged: dict[str, StagedJob] = {}
            for job_id, job in plans.items():
                staged[job_id] = await stack.enter_async_context(stage_job(self._batches, self._owner, self._folder))
                await self._store.record_regeneration(staged[job_id], job.source, backup.id)
            async for job_id, items, replacements in self._pages(plans, backup):
                await self._batches.intake.stage_items(staged[job_id], items)
                await self._store.plan_replacements(staged[job_id], replacements)
            return [await self._publish(staged[job_id], job) for job_id, job in plans.items()]

    async def _pages(
        self, plans: dict[str, JobPlan], backup: Backup
    ) -> AsyncIterator[tuple[str, list[NewItem], list[PlannedReplacement]]]:
        """Yield the items of the conversations in a backup, with what they replace, by job. Raises PlanOutdated."""
        for first in range(0, backup.conversations, _PAGE_CONVERSATIONS):
            held = await self._store.backup_items(backup, first=first, limit=_PAGE_CONVERSATIONS)
            found = await self._store.candidates(self._owner, [item.conversation_key for item in held])
            by_id = {candidate.conversation_id: candidate for candidate in found}
            pages: dict[str, tuple[list[NewItem], list[PlannedReplacement]]] = {}
            for item in held:
                job_id, new_item = _still_planned(by_id.get(item.id), plans)
                items, replacements = pages.setdefault(job_id, ([], []))
                items.append(new_item)
                replacements.append(PlannedReplacement(new_item.base_id, item.id, item.row_version, item.position))
            for job_id, page in pages.items():
                yield job_id, *page

    async def _publish(self, staged: StagedJob, job: JobPlan) -> str:
        """Publish a job under the first free name, and return it."""
        frozen = job.recipe.frozen() if job.recipe is not None else None
        for number in count(1):
            suffix = f"-again-{number}"
            job_id = job.source.id[: MAX_ID - len(suffix)] + suffix
            if await self._batches.intake.publish(staged, job_id, job.processor, job.source.settings, frozen):
                return job_id
        raise AssertionError("unreachable")


def _still_planned(candidate: Candidate | None, plans: dict[str, JobPlan]) -> tuple[str, NewItem]:
    """Return the job and the item of a conversation. Raises PlanOutdated if it can no longer be made again."""
    match candidate:
        case Candidate(job_id=str(job_id), job_key=key, is_result=True, other_job_id=None, item=NewItem() as item):
            if job_id in plans and plans[job_id].source.key == key:
                return job_id, item
    raise _outdated_error()


def _outdated_error() -> PlanOutdated:
    return PlanOutdated(
        "The selected conversations have changed since the plan was made; nothing is made again. Make a new plan"
    )
