"""`backstay resume`: continue a job."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import key_permission, reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.endpoint_line import describe_endpoint
from backstay.cli.exit_status import ExitStatus
from backstay.cli.interruption import GRACE_SECONDS
from backstay.cli.invocation import run_async
from backstay.cli.options import (
    AllowKey,
    BadRowOptions,
    ColumnOptions,
    Concurrency,
    Limit,
    RateOptions,
    ReadingOptions,
)
from backstay.cli.output import Output
from backstay.cli.recipe_revision import RevisionOptions, revise
from backstay.cli.remedies import full_message
from backstay.cli.run_session import SCRIPTED_NOTE, RunContext, supervise
from backstay.errors import JobNotFound, NothingToRun, SettingsError
from backstay.library.id_text import parse_printed_id
from backstay.other_owners import OwnedKind

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.runner import BatchResult


@command()
def resume(
    session: CommandSession,
    *,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB", help="Name of the job; needed if several are unfinished.", parser=parse_printed_id
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also retry failed items.")] = False,
    accept_new_items: Annotated[
        str | None, typer.Option(metavar="FILE", help="Add items of FILE that the job does not have.")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Base URL of the endpoint for this run only, instead of the recipe's."),
    ] = None,
    allow_key: AllowKey = None,
    concurrency: Concurrency = None,
    rates: RateOptions,
    limit: Limit = None,
    columns: ColumnOptions,
    bad_rows: BadRowOptions,
    reading: ReadingOptions,
    revision: RevisionOptions,
) -> int:
    """Continue an unfinished job.

    The job may have been interrupted, paused, stopped by a limit, or never started.

    The job stores --concurrency, --rpm and --tpm; without them the last values apply.

    Finished items are not processed again, and failed ones stay failed without --retry-failed. Two processes that
    resume the same job share its work.

    With --recipe, --model, --temperature or --max-tokens the job gets a new revision of its recipe, which applies to
    all items that are not completed. What differs is shown first. Asks on a terminal; elsewhere it needs --yes.

    If the model's server has moved, name its new address with --base-url. The job does not store it, so every later
    run needs it, too.

    \b
    Examples:
      backstay resume
      backstay resume topics --retry-failed
      backstay resume topics --accept-new-items more-topics.csv
      backstay resume topics --base-url http://localhost:8001/v1
      backstay resume topics --recipe recipe.toml --dry-run
      backstay resume topics --model openai:gpt-4o --retry-failed --yes
    """
    bad_rows.policy()  # checks the options before anything is opened
    revises = revision.are_set
    if revises and accept_new_items is not None:
        raise SettingsError(
            "A recipe cannot be revised together with --accept-new-items; revise it first, then add the items",
            setting="accept_new_items",
        )
    out, read = session.out, reading.options()
    session.invocation.set_rate_limits(rates.rpm, rates.tpm, rates.patience)
    session.invocation.base_url = base_url

    try:
        if revises:
            work = partial(_revise, session, job, revision, retry_failed=retry_failed)
            job = key_permission.with_permission(work, allow_key)
    except NothingToRun as error:
        return _report_nothing(session, error)
    if revision.dry_run:
        return ExitStatus.DONE

    async def begin(backstay: "Backstay", context: RunContext) -> "BatchResult":
        try:
            adds_work = retry_failed or accept_new_items is not None
            await _announce_processor(out, context, backstay, job, base_url, adds_work=adds_work)
            return await backstay.batches.resume(
                job,
                concurrency=concurrency,
                rpm=rates.rpm,
                tpm=rates.tpm,
                limit=limit,
                retry_failed=retry_failed,
                accept_new_items=accept_new_items,
                base_url=base_url,
                columns=columns.mapping(),
                on_bad_row=bad_rows.on_bad_row,
                quarantine=bad_rows.quarantine,
                read=read,
                on_note=out.input_note,
                on_progress=context.progress_view,
                stop=context.stop,
                grace_seconds=GRACE_SECONDS,
            )
        except (NothingToRun, JobNotFound) as error:
            noun = OwnedKind.UNFINISHED_JOB if isinstance(error, NothingToRun) else OwnedKind.JOB
            await reminders.mention_other_owners(out, backstay, noun)
            raise

    try:
        return key_permission.with_permission(
            lambda: supervise(session, begin, name=job or "resume", bad_rows=bad_rows, is_resumed=True), allow_key
        )
    except NothingToRun as error:
        return _report_nothing(session, error)


def _revise(session: CommandSession, job: str | None, options: RevisionOptions, *, retry_failed: bool) -> str:
    return run_async(session.run(revise(session, job, options, retry_failed=retry_failed)))


def _report_nothing(session: CommandSession, error: NothingToRun) -> ExitStatus:
    session.out.print_result(schemas.RunOut.from_nothing, f"{full_message(session.invocation, error)}.")
    return ExitStatus.DONE


async def _announce_processor(
    out: Output, context: RunContext, backstay: "Backstay", name: str | None, base_url: str | None, *, adds_work: bool
) -> None:
    jobs = [await backstay.batches.checkpoint(name)] if name is not None else await backstay.batches.incomplete(limit=2)
    if len(jobs) != 1:
        return
    (job,) = jobs
    if job.recipe is None and job.processor.partition(":")[0] == "scripted":
        context.progress_view.announcement = SCRIPTED_NOTE
    elif job.recipe is not None and (job.is_incomplete or adds_work):
        from backstay.generate.key_source import KeySources
        from backstay.generate.processor_loader import ProcessorLoader

        keys = KeySources.from_settings(backstay.settings)
        out.note(f"{describe_endpoint(ProcessorLoader().recipe(job.recipe, base_url=base_url), keys)}.")
