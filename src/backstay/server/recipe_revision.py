"""Revisions of recipes that requests ask for. What may be followed is decided as for a new job, or for a resume."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.batch.job import Job
from backstay.batch.recipe_revision import RevisionPlan, RevisionResult
from backstay.batch.service import Batches
from backstay.generate.recipe import STORED_RECIPE, Recipe
from backstay.server.problems import Problem
from backstay.server.requested_processor import requested_processor
from backstay.server.state import AppState


@dataclass(frozen=True, slots=True)
class RevisionRequest:
    """A request for another recipe of a job."""

    name: str | None = None
    """The name of a recipe in the server's settings."""
    fields: Mapping[str, Any] | None = None
    """All fields of a recipe that is in no settings, which only a server on the user's own machine follows."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ from that recipe or, without one, from the job's; those that are None stay."""
    retry_failed: bool = False

    async def plan(self, state: AppState, owner: str, job_id: str) -> RevisionPlan:
        """Return what the revision would change. Raises Problem, and like `Batches.plan_revision`."""
        batches, recipe = await self._resolve(state, owner, job_id)
        return await batches.plan_revision(job_id, recipe, retry_failed=self.retry_failed)

    async def carry_out(self, state: AppState, owner: str, job_id: str, plan_digest: str | None) -> RevisionResult:
        """Revise the recipe. Raises Problem, and like `Batches.revise_recipe`."""
        batches, recipe = await self._resolve(state, owner, job_id)
        return await batches.revise_recipe(job_id, recipe, retry_failed=self.retry_failed, plan_digest=plan_digest)

    async def _resolve(self, state: AppState, owner: str, job_id: str) -> tuple[Batches, Recipe]:
        job = await state.backstay.for_owner(owner).batches.checkpoint(job_id)
        recipe = self._recipe(state, job)
        return state.backstay.for_owner(owner, state.permission.allowed_with(recipe)).batches, recipe

    def _recipe(self, state: AppState, job: Job) -> Recipe:
        changes = {name: value for name, value in self.changes.items() if value is not None}
        if self.name is not None and self.fields is not None:
            raise _invalid_request("Give either recipe or fields")
        if self.name is not None:
            named = requested_processor(state.allowed, recipe=self.name, processor=None)
            if not changes and isinstance(named, Recipe):
                return named
            base: Mapping[str, Any] = named.frozen() if isinstance(named, Recipe) else {}
        elif self.fields is not None:
            base = self.fields
        elif changes:
            base = job.recipe or {}
        else:
            raise _invalid_request("Give a recipe, its fields, or fields to change")
        # A request may name a host or a key's variable, so all fields need the permission of a recipe from outside.
        fields = {**base, **changes}
        return Recipe.from_fields(fields, STORED_RECIPE if self.fields is None else "the recipe", outside=fields)


def _invalid_request(message: str) -> Problem:
    return Problem(422, "invalid_request", message, fields=[{"field": "recipe", "message": message}])
