"""The options of `backstay resume` that revise the job's recipe, and how they are carried out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession
from backstay.cli.options import Yes
from backstay.cli.text import format_count, printable_lines
from backstay.errors import SettingsError
from backstay.library.id_text import printed_id
from backstay.limits import MAX_TEMPERATURE

if TYPE_CHECKING:
    from backstay.batch.job import Job
    from backstay.batch.recipe_revision import RevisionPlan
    from backstay.generate.recipe import Recipe

_FIELDS = ("model", "temperature", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionOptions:
    """Options that revise the recipe of an existing job for what is left."""

    recipe: Annotated[
        str | None, typer.Option(metavar="FILE", help="New recipe for all items that are not completed.")
    ] = None
    model: Annotated[
        str | None, typer.Option(metavar="M", help="New model for them: PROVIDER:NAME, or any name of the endpoint.")
    ] = None
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help=f"New sampling temperature (0–{MAX_TEMPERATURE}).")
    ] = None
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="New maximum tokens of one answer.")] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and for which items; change nothing.")
    ] = False
    yes: Yes = False

    @property
    def are_set(self) -> bool:
        """Whether the recipe is to be revised. Raises SettingsError if only --dry-run or --yes is given."""
        given = self.recipe is not None or any(getattr(self, name) is not None for name in _FIELDS)
        if not given and (self.dry_run or self.yes):
            option = "--dry-run" if self.dry_run else "--yes"
            raise SettingsError(
                f"{option} belongs to a change of the recipe; name one with --recipe, --model, --temperature or "
                "--max-tokens",
                setting=option,
            )
        return given

    def recipe_for(self, job: "Job") -> "Recipe":
        """Return the recipe of the file, or that of the job, with the fields that are set. Raises RecipeError."""
        from backstay.generate.recipe import Recipe

        changes = {name: getattr(self, name) for name in _FIELDS}
        if self.recipe is not None or job.recipe is None:
            return Recipe.load(Path(self.recipe) if self.recipe is not None else None, changes)
        return Recipe.revise(job.recipe, changes)


async def revise(session: CommandSession, job_id: str | None, options: RevisionOptions, *, retry_failed: bool) -> str:
    """Show what the new recipe changes, ask, and revise it; return the job's name. With --dry-run only show it.

    Raises ConfirmationNeeded, and like `Batches.revise_recipe`.
    """
    batches = (await session.open()).batches
    job = await (batches.checkpoint(job_id) if job_id is not None else batches.unfinished_job())
    recipe = options.recipe_for(job)
    plan = await batches.plan_revision(job.id, recipe, retry_failed=retry_failed)
    if options.dry_run:
        session.out.print_result(lambda: schemas.RevisionPlanOut.from_plan(plan), *_plan_lines(plan))
        return job.id
    for line in _plan_lines(plan):
        session.out.note(line)
    if not plan.differences:
        return job.id
    if not options.yes:
        await session.confirm(f"Revise the recipe of {printed_id(job.id)} for what is left", job_id=job.id)
        batches = (await session.open()).batches
    await batches.revise_recipe(job.id, recipe, retry_failed=retry_failed, plan_digest=plan.digest)
    session.out.note(f"{printed_id(job.id)}: revision {plan.revision} of its recipe.")
    return job.id


def _left_failed(plan: "RevisionPlan") -> list[str]:
    count = plan.left_failed
    stay = "stays" if count == 1 else "stay"
    return [f"{format_count(count, 'failed item')} {stay} failed without --retry-failed."] if count else []


def _plan_lines(plan: "RevisionPlan") -> list[str]:
    if not plan.differences:
        return [
            f"Nothing differs from the recipe of {printed_id(plan.job_id)} (revision {plan.revision}).",
            *_left_failed(plan),
        ]
    failed = f" and {format_count(plan.failed, 'failed item')}" if plan.failed else ""
    return [
        f"Revision {plan.revision} of the recipe of {printed_id(plan.job_id)}:",
        *(f"  {line}" for difference in plan.differences for line in printable_lines(difference)),
        f"It applies to {format_count(plan.items, 'item')} that "
        f"{'is' if plan.items == 1 else 'are'} not settled{failed}: {format_count(plan.calls, 'call')}, about "
        f"{plan.tokens.tokens_in:,} tokens in and {plan.tokens.tokens_out:,} out, estimated from lengths.",
        *_left_failed(plan),
    ]
