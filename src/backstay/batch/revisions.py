"""Changes of what is left of a job: revisions of its recipe, and edits of its items."""

import asyncio
from collections.abc import Sequence

from backstay.batch.control import JobControl
from backstay.batch.item_edit import ItemContent, ItemEdit, item_changed_error, refuse_uneditable
from backstay.batch.job import JobAction, check_action
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.progress import TokenCounts
from backstay.batch.recipe_revision import PlanDigest, RecipeRevision, RevisionPlan, RevisionResult
from backstay.errors import PlanOutdated, SettingsError
from backstay.library.id_text import quoted_id

_PAGE_ITEMS = 500


class JobRevisions(JobControl):
    """The jobs of one owner, and the changes of those that are not finished."""

    async def revisions(self, job_id: str) -> Sequence[RecipeRevision]:
        """Return the revisions of a job's recipe, in order; none without a recipe. Raises JobNotFound."""
        return await self._stores.revisions.revisions(self._owner, job_id)

    async def plan_revision(self, job_id: str, recipe: JobRecipe, *, retry_failed: bool = False) -> RevisionPlan:
        """Return what a revision of a job's recipe would change. Changes nothing, and calls no model.

        Args:
            job_id: Name of the job.
            recipe: The new recipe. It applies to all items that are not completed.
            retry_failed: Whether it applies to the failed items too, which are then retried.

        Raises:
            JobNotFound: no job has this name.
            InvalidTransition: the job was cancelled.
            SettingsError: the job has no recipe.
            RecipeError: an item lacks a value that the recipe uses; the message names the first one.
            ProcessorNotAllowed, ApiKeyMissing, ApiKeyNotAllowed: the recipe cannot be used.
        """
        job = await self._stores.jobs.job(self._owner, job_id)
        check_action(job_id, job.state, JobAction.REVISE)
        if job.recipe is None:
            raise SettingsError(
                f"Job {quoted_id(job_id)} has no recipe to revise: its conversations come from {job.processor!r}",
                setting="recipe",
            )
        await self._processor_lookup.from_process(recipe)
        differences = recipe.differences(job.recipe, with_texts=True)
        digest = PlanDigest(job, recipe.frozen(), retry_failed=retry_failed)
        items = failed = tokens_in = tokens_out = 0
        after = -1
        while page := await self._stores.revisions.remaining(
            self._owner, job_id, with_failed=retry_failed, after=after, limit=_PAGE_ITEMS
        ):
            after = page[-1].position
            page_tokens = await asyncio.to_thread(_estimate, recipe, page)
            tokens_in, tokens_out = tokens_in + page_tokens.tokens_in, tokens_out + page_tokens.tokens_out
            failed += sum(content.state == "failed" for content in page)
            items += len(page)
            for content in page:
                digest.add(content.position, content.digest)
        return RevisionPlan(
            job_id=job_id,
            revision=(job.revision or 0) + bool(differences),
            differences=differences,
            items=items - failed,
            failed=failed,
            left_failed=0 if retry_failed else job.counts.failed,
            tokens=TokenCounts(tokens_in, tokens_out),
            has_workers=job.workers > 0,
            digest=digest.hexdigest(),
            retry_failed=retry_failed,
            recipe=recipe.frozen(),
        )

    async def revise_recipe(
        self, job_id: str, recipe: JobRecipe, *, retry_failed: bool = False, plan_digest: str | None = None
    ) -> RevisionResult:
        """Revise the recipe of a job for all items that are not completed. `resume` then follows it.

        Everything is stored in one transaction, after every item was rendered. A recipe that does not differ from the
        current one makes no revision; the failed items are then still returned to pending if `retry_failed` is true.

        Args:
            plan_digest: The `digest` of a plan that was shown. If the job has changed since, nothing is changed.
            job_id: Name of the job; it and the other arguments are those of `plan_revision`.

        Raises:
            JobHasWorkers: a worker is running the job; pause the job first. If it is unknown whether a worker lives, as
                on another host, this is raised only after slightly more than a lease.
            PlanOutdated: the job has changed since the plan was made.

        Raises also like `plan_revision`.
        """
        plan = await self.plan_revision(job_id, recipe, retry_failed=retry_failed)
        if plan_digest is not None and plan_digest != plan.digest:
            raise PlanOutdated(f"Job {quoted_id(job_id)} has changed since the plan was made", job_id=job_id)
        if plan.differences:
            await self._runner.wait_until_idle(job_id, JobAction.REVISE)
            job = await self._stores.revisions.revise(self._owner, plan)
        else:
            if retry_failed:
                await self.retry(job_id)
            job = await self.checkpoint(job_id)
        return RevisionResult(job, plan, is_new=bool(plan.differences))

    async def item(self, job_id: str, item_id: str) -> ItemContent:
        """Return an item of a job with its content. Raises JobNotFound, ItemNotFound."""
        return await self._stores.revisions.item(self._owner, job_id, item_id)

    async def edit_item(
        self, job_id: str, item_id: str, edit: ItemEdit, *, retry: bool = False, digest: bytes | None = None
    ) -> ItemContent:
        """Change topic, persona or parameters of a pending or failed item; return it.

        The item stays the item of its line in the input: running the same input again neither refuses nor undoes it.

        Args:
            job_id: Name of the job.
            item_id: Id of the item.
            edit: What to change.
            retry: Whether to return a failed item to pending in the same transaction.
            digest: The digest of the content that was shown. If it has changed since, nothing is changed.

        Raises:
            JobNotFound, ItemNotFound: the job or the item does not exist.
            InvalidTransition: the job was cancelled, or the item is running, completed or skipped.
            InvalidRow: the new content cannot be stored.
            RecipeError: the edited item lacks a value that the job's recipe uses.
            PlanOutdated: the item, or the job's recipe, has changed meanwhile.
        """
        job = await self._stores.jobs.job(self._owner, job_id)
        check_action(job_id, job.state, JobAction.EDIT)
        before = await self.item(job_id, item_id)
        refuse_uneditable(job_id, before)
        if digest is not None and digest != before.digest:
            raise item_changed_error(job_id, item_id)
        after = edit.apply(before)
        if (recipe := self._processor_lookup.recipe(job)) is not None:
            recipe.check(after.item, f"item {quoted_id(item_id)}")
        return await self._stores.revisions.edit_item(self._owner, job, before, after, retry=retry)


def _estimate(recipe: JobRecipe, page: Sequence[ItemContent]) -> TokenCounts:
    """Render all items of a page, and return the sum of their estimates. Raises RecipeError."""
    estimates = [recipe.estimate(content.item, _where(content)) for content in page]
    return TokenCounts(sum(each.tokens_in for each in estimates), sum(each.tokens_out for each in estimates))


def _where(content: ItemContent) -> str:
    return f"item {quoted_id(content.id)} (line {content.line} of the input)"
