"""Making conversations again for a request: what may make them, and the start of the jobs in the background."""

from dataclasses import dataclass, replace

from backstay.app import Services
from backstay.batch.job import Job
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.processor_lookup import processor_name
from backstay.generate.recipe_variants import ModelVariants
from backstay.library.selection import Selection
from backstay.regeneration.plan import RegenerationPlan, RegenerationStart
from backstay.server.problems import Problem
from backstay.server.requested_processor import requested_processor
from backstay.server.state import AppState


@dataclass(frozen=True, slots=True)
class RegenerationChoice:
    """What a request names to make conversations again. Without any, the recipe or function of each job does."""

    recipe: str | None = None
    """The name of a recipe in the settings."""
    processor: str | None = None
    """The name of a processor in the settings."""
    model: str | None = None
    """The model that replaces the one of each job's recipe."""
    confirm: str | None = None
    """The function that the jobs may call although the settings do not name it."""


class RequestedRegeneration:
    """The making again of a selection of conversations of one owner, as far as the server's settings allow."""

    def __init__(self, state: AppState, services: Services, selection: Selection, choice: RegenerationChoice) -> None:
        self._state = state
        self._services = services
        self._selection = selection
        self._choice = choice

    async def plan(self) -> RegenerationPlan:
        """Return the plan. Raises like `Regenerations.plan`; ConfirmationNeeded, Problem."""
        return (await self._planned())[0]

    async def start(self, digest: str) -> RegenerationStart:
        """Make the backup, create the jobs and start working on them.

        Jobs that exceed the limit of concurrent jobs are created, and wait to be resumed.

        Raises like `plan` and `Regenerations.start`.
        """
        plan, services = await self._planned()
        started = await services.regenerations.start(plan, plan_digest=digest)
        for job_id in started.job_ids:
            try:
                await self._state.supervisor.resume(services.owner, job_id, confirm=self._choice.confirm)
            except Problem as problem:
                if problem.status_code != 429:
                    raise
        return started

    async def _planned(self) -> tuple[RegenerationPlan, Services]:
        choice, process = self._choice, self._process()
        services = await self._permitted() if process is None else self._services
        model = choice.model if process is None else None
        return await services.regenerations.plan(self._selection, process, model=model), services

    def _process(self) -> JobRecipe | str | None:
        choice = self._choice
        if choice.recipe is None and choice.processor is None:
            return None
        if choice.model is not None:
            message = "Give either model, or a recipe or processor"
            raise Problem(422, "invalid_request", message, fields=[{"field": "model", "message": message}])
        return requested_processor(self._state.allowed, recipe=choice.recipe, processor=choice.processor)

    async def _permitted(self) -> Services:
        """Return services that may run what the selected jobs name, if this server may resume those jobs."""
        allowed = self._state.allowed
        for job in await self._services.regenerations.source_jobs(self._selection):
            for_job = self._state.permission.allowed_for(self._with_model(job), self._choice.confirm)
            added = {f" {job.id}": recipe for name, recipe in for_job.recipes.items() if name == ""}
            allowed = replace(
                allowed,
                processors=(*allowed.processors, *for_job.processors),
                recipes={**allowed.recipes, **added},
            )
        return self._state.backstay.for_owner(self._services.owner, allowed)

    def _with_model(self, job: Job) -> Job:
        """Return a job with the recipe, or the processor, by which its conversations would be made again."""
        if self._choice.model is None:
            return job
        variant = ModelVariants().with_model(job.recipe, self._choice.model)
        frozen = None if isinstance(variant, str) else variant.frozen()
        return replace(job, recipe=frozen, processor=processor_name(variant))
