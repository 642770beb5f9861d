"""`backstay conversations regenerate`: make conversations again, and put each in the place of the old one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import key_permission, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.commands.backup_restore import print_outcome
from backstay.cli.commands.conversation_delete import format_side_effects
from backstay.cli.exit_status import ExitStatus
from backstay.cli.interruption import GRACE_SECONDS
from backstay.cli.invocation import run_async
from backstay.cli.options import AllowKey, BadRowOptions, Concurrency, RateOptions, Yes
from backstay.cli.run_session import SCRIPTED_NOTE, RunContext, supervise
from backstay.cli.selection_options import SelectionOptions, refuse_unknown
from backstay.cli.text import format_count, format_size, printable
from backstay.errors import EmptySelection, SettingsError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.app import Backstay
    from backstay.batch.runner import BatchResult
    from backstay.generate.recipe import Recipe
    from backstay.library.selection import Selection
    from backstay.regeneration.plan import RegenerationPlan, RegenerationStart


@command()
def regenerate(
    session: CommandSession,
    *,
    options: SelectionOptions,
    recipe: Annotated[
        str | None, typer.Option(metavar="FILE", help="Recipe that makes them [default: each job's own].")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="Another model for the recipe: PROVIDER:NAME, or scripted.")
    ] = None,
    allow_key: AllowKey = None,
    concurrency: Concurrency = None,
    rates: RateOptions,
    undo: Annotated[
        str | None, typer.Option(metavar="BACKUP", help="Put back the conversations that this backup holds.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be made again.")] = False,
    yes: Yes = False,
) -> int:
    """Make conversations again from the items of their jobs. Select them by ids, by conditions, or with --all.

    Shows its plan first, and asks on a terminal; elsewhere it needs --yes. After a verified backup, a job such as
    topics-again-1 makes them; `backstay resume` continues it if it is interrupted. Each new conversation takes the
    place of the old one when it is stored. If an attempt fails, or if the old one was edited meanwhile, the old one
    stays (status 3).

    \b
    Examples:
      backstay conversations regenerate --job topics --dry-run
      backstay conversations regenerate 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --model openai:gpt-5
      backstay conversations regenerate --search "as an AI" --recipe stricter.toml --yes
      backstay conversations regenerate --undo backup-1730720400123-abc123
    """
    selection = options.selection()
    if undo is not None:
        if selection.is_narrowed or selection.everything or recipe is not None or model is not None:
            raise SettingsError("--undo takes a backup, and no other selection", setting="undo")
        return run_async(session.run(_undo(session, undo, yes=yes)))
    process = _recipe(recipe, model)
    return make_again(
        session,
        selection.check(),
        process,
        model=model if process is None else None,
        allow_key=allow_key,
        concurrency=concurrency,
        rates=rates,
        dry_run=dry_run,
        yes=yes,
    )


def make_again(
    session: CommandSession,
    selection: "Selection",
    process: "Recipe | None",
    *,
    model: str | None,
    allow_key: str | None,
    concurrency: int | None,
    rates: RateOptions,
    dry_run: bool,
    yes: bool,
) -> int:
    """Plan, confirm, back up and run what makes conversations again; return the exit status."""
    session.invocation.set_rate_limits(rates.rpm, rates.tpm, rates.patience)
    started = key_permission.with_permission(
        lambda: run_async(session.run(_start(session, selection, process, model, dry_run=dry_run, yes=yes))), allow_key
    )
    if isinstance(started, ExitStatus):
        return started

    async def begin(backstay: "Backstay", context: RunContext) -> "BatchResult":
        job = await backstay.batches.checkpoint(job_id)
        if job.processor.partition(":")[0] == "scripted":
            context.progress_view.announcement = SCRIPTED_NOTE
        return await backstay.batches.resume(
            job_id,
            concurrency=concurrency,
            rpm=rates.rpm,
            tpm=rates.tpm,
            on_progress=context.progress_view,
            stop=context.stop,
            grace_seconds=GRACE_SECONDS,
        )

    runs: list[schemas.RunOut] = []
    status = ExitStatus.DONE
    for job_id in started.job_ids:
        status = max(status, supervise(session, begin, name=job_id, bad_rows=BadRowOptions(), collect=runs.append))
        if status not in (ExitStatus.DONE, ExitStatus.WITH_FAILURES):
            break  # what stopped this job would stop the others, which can be resumed, too
    if session.out.as_json:
        undo = session.invocation.command("conversations", "regenerate", "--undo", started.backup_id)
        session.out.print_json(schemas.RegenerationOut(backup_id=started.backup_id, undo=undo, runs=runs))
    return status


def _recipe(file: str | None, model: str | None) -> "Recipe | None":
    if file is None:
        return None
    from backstay.generate.recipe import Recipe

    return Recipe.load(Path(file), {"model": model})


async def _start(
    session: CommandSession,
    selection: "Selection",
    process: "Recipe | None",
    model: str | None,
    *,
    dry_run: bool,
    yes: bool,
) -> "RegenerationStart | ExitStatus":
    """Show the plan, ask, make the backup and create the jobs; return the exit status if there is nothing to run."""
    backstay, out = await session.open(), session.out
    try:
        plan = await backstay.regenerations.plan(selection, process, model=model)
    except EmptySelection:
        await refuse_unknown(backstay, selection)
        nothing = schemas.RegenerationOut(backup_id=None, undo=None, runs=[])
        out.print_result(lambda: nothing, "Nothing to make again.")
        return ExitStatus.DONE
    if dry_run:
        out.print_result(lambda: schemas.RegenerationPlanOut.from_plan(plan), *_format_plan(plan))
        return ExitStatus.USAGE if plan.refusals else ExitStatus.DONE
    return await confirm_and_start(session, plan, yes=yes)


async def confirm_and_start(session: CommandSession, plan: "RegenerationPlan", *, yes: bool) -> "RegenerationStart":
    """Show a plan and ask, unless `yes` is set; make the backup and create the jobs. Raises CannotRegenerate."""
    backstay, out = await session.open(), session.out
    plan.check()
    if not yes:
        for line in _format_plan(plan):
            out.note(line)
        await session.confirm(
            f"Back up {format_count(plan.conversations, 'conversation')}, and make {_them(plan)} again"
        )
        backstay = await session.open()
    with session.backup_progress as view:
        started = await backstay.regenerations.start(plan, on_progress=view)
    out.note(f"{started.backup_id} holds what is replaced.")
    return started


def _format_plan(plan: "RegenerationPlan") -> "Iterator[str]":
    size = format_size(plan.deletion.estimated_bytes)
    yield f"{format_count(plan.conversations, 'conversation')}, about {size}, would be backed up and made again:"
    for job in plan.jobs:
        tokens = job.tokens
        expected = f", about {tokens.tokens_in:,} tokens in and {tokens.tokens_out:,} out" if tokens.tokens_in else ""
        calls = f"{format_count(job.conversations, 'call')} or more"
        yield f"  {printed_id(job.source.id)}: {calls} of {printable(job.processor)}{expected}"
    yield from format_side_effects(plan.deletion)
    if plan.refusals:
        yield "Nothing can be made again, because of these conversations:"
    for refusal in plan.refusals:
        yield f"  {printable(str(refusal))}"


def _them(plan: "RegenerationPlan") -> str:
    return "it" if plan.conversations == 1 else "them"


async def _undo(session: CommandSession, backup_id: str, *, yes: bool) -> ExitStatus:
    if not yes:
        await session.confirm(f"Put back what {backup_id} holds, and back up what replaced it", backup_id=backup_id)
    backstay = await session.open()
    with session.backup_progress as view:
        result = await backstay.regenerations.undo(backup_id, on_progress=view)
    print_outcome(session.invocation, session.out, result)
    return ExitStatus.DONE
