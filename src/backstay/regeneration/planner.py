"""The planner of making again: it reads each selected conversation, its item and its input."""

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.batch.item import NewItem, to_item
from backstay.batch.job import Job
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.processor_lookup import ProcessorLookup, processor_name
from backstay.batch.progress import TokenCounts
from backstay.batch.store import JobStore
from backstay.errors import ProcessorNotPortable, ProcessorUnusable, RecipeError
from backstay.library.id_text import quoted_id
from backstay.regeneration.plan import JobPlan, Refusal, RefusalReason
from backstay.regeneration.recipes import RecipeVariants
from backstay.regeneration.store import Candidate


@dataclass(frozen=True, slots=True)
class WriterChoice:
    """What makes the conversations again. Without both, each job's own recipe or function does."""

    process: JobRecipe | str | None = None
    """A recipe, or the name of a function or of the scripted writer."""
    model: str | None = None
    """The model that replaces the one of each job's recipe."""


class Planner:
    """The planner of one selection, which it is given in pages."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        lookup: ProcessorLookup,
        recipes: RecipeVariants,
        owner: str,
        choice: WriterChoice,
    ) -> None:
        self._jobs = jobs
        self._lookup = lookup
        self._recipes = recipes
        self._owner = owner
        self._choice = choice
        self._plans: dict[str, JobPlan | None] = {}
        self._refusals: dict[RefusalReason, Refusal] = {}

    @property
    def jobs(self) -> Sequence[JobPlan]:
        """The jobs whose conversations can be made again."""
        return [plan for plan in self._plans.values() if plan is not None]

    @property
    def refusals(self) -> Sequence[Refusal]:
        return list(self._refusals.values())

    async def add(self, candidates: Sequence[Candidate]) -> None:
        """Plan conversations. Raises what a new job with the same recipe raises, such as ApiKeyMissing."""
        for candidate in candidates:
            await self._add(candidate)

    async def _add(self, candidate: Candidate) -> None:
        job = _name(candidate.job_id)
        match candidate:
            case Candidate(job_id=None) | Candidate(item_id=None):
                self._refuse(candidate, RefusalReason.NO_JOB)
            case Candidate(job_key=None):
                self._refuse(candidate, RefusalReason.JOB_DISCARDED, job)
            case Candidate(is_result=False):
                self._refuse(candidate, RefusalReason.NOT_ITS_RESULT, job)
            case Candidate(other_job_id=str(other)):
                self._refuse(candidate, RefusalReason.UNDER_WAY, _name(other))
            case Candidate(item=None):
                self._refuse(candidate, RefusalReason.INPUT_GONE, job)
            case Candidate(job_id=str(job_id), item=NewItem() as item):
                await self._add_item(candidate, job_id, item)

    async def _add_item(self, candidate: Candidate, job_id: str, item: NewItem) -> None:
        if job_id not in self._plans:
            self._plans[job_id] = await self._plan_job(job_id)
        plan = self._plans[job_id]
        if plan is None:
            self._refuse(candidate, RefusalReason.PROCESSOR, _name(job_id))
            return
        plan.conversations += 1
        if plan.recipe is None:
            return
        where = f"item {quoted_id(item.base_id)} of {_name(job_id)}"
        try:
            tokens = plan.recipe.estimate(to_item(item), where)
        except RecipeError as error:
            self._refuse(candidate, RefusalReason.RECIPE, error.message)
            return
        before = plan.tokens
        plan.tokens = TokenCounts(before.tokens_in + tokens.tokens_in, before.tokens_out + tokens.tokens_out)

    async def _plan_job(self, job_id: str) -> JobPlan | None:
        """Return the plan of a job without conversations; None if what made them is not here."""
        job = await self._jobs.job(self._owner, job_id)
        process = self._process(job)
        try:
            if process is None:
                await self._lookup.from_job(job)
            else:
                await self._lookup.from_process(process)
        except (ProcessorNotPortable, ProcessorUnusable):
            if self._choice.process is not None:
                raise
            return None
        recipe = self._lookup.recipe(job) if process is None else None if isinstance(process, str) else process
        return JobPlan(job, recipe, processor_name(process) if process is not None else job.processor)

    def _process(self, job: Job) -> JobRecipe | str | None:
        """Return what was chosen; None for the job's own recipe or function."""
        choice = self._choice
        if choice.model is not None and choice.process is None:
            return self._recipes.with_model(job.recipe, choice.model)
        return choice.process

    def _refuse(self, candidate: Candidate, reason: RefusalReason, detail: str | None = None) -> None:
        self._refusals.setdefault(reason, Refusal(reason)).add(candidate.conversation_id, detail)


def _name(job_id: str | None) -> str:
    return f"job {quoted_id(job_id or '')}"
