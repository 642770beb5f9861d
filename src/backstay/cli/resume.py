"""`backstay resume`: go on with a job."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.exits import Status
from backstay.cli.interruption import GRACE_SECONDS
from backstay.cli.invocation import Invocation
from backstay.cli.options import AsJson, Concurrency, IdColumn, Limit, PersonaColumn, Rpm, TopicColumn, Tpm
from backstay.cli.output import Output
from backstay.cli.running import SCRIPTED, Live, supervise
from backstay.errors import NothingToRun

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.batch.result import BatchResult


def resume(
    context: typer.Context,
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="Name of the job; not needed when one is unfinished.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed items again, too.")] = False,
    accept_new_items: Annotated[
        str | None, typer.Option(metavar="FILE", help="Add the items of FILE that the job lacks.")
    ] = None,
    concurrency: Concurrency = 16,
    rpm: Rpm = None,
    tpm: Tpm = None,
    limit: Limit = None,
    id_column: IdColumn = None,
    topic_column: TopicColumn = None,
    persona_column: PersonaColumn = None,
    as_json: AsJson = False,
) -> int:
    """Go on with an unfinished job.

    It may have been interrupted, paused, stopped by a limit, or never begun.

    Finished items are not processed again, and failed ones stay failed unless --retry-failed is given. Started twice at
    once, both share the work.

    \b
    Examples:
      backstay resume
      backstay resume topics --retry-failed
      backstay resume topics --accept-new-items more-topics.csv
    """
    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)
    invocation.rpm, invocation.tpm = rpm, tpm

    async def begin(backstay: "Backstay", live: Live) -> "BatchResult":
        from backstay.batch.intake import Columns

        await _say_if_scripted(out, backstay, job)
        return await backstay.batches.resume(
            job,
            concurrency=concurrency,
            limit=limit,
            retry_failed=retry_failed,
            accept_new_items=accept_new_items,
            columns=Columns(id_column, topic_column, persona_column),
            on_progress=live.watcher,
            stop=live.stop,
            grace_seconds=GRACE_SECONDS,
        )

    try:
        return supervise(invocation, out, begin, name=job or "resume")
    except NothingToRun:
        return _say_nothing(out)


async def _say_if_scripted(out: Output, backstay: "Backstay", name: str | None) -> None:
    jobs = [await backstay.batches.checkpoint(name)] if name is not None else await backstay.batches.incomplete(limit=2)
    if len(jobs) == 1 and jobs[0].processor.partition(":")[0] == "scripted":
        out.note(SCRIPTED)


def _say_nothing(out: Output) -> Status:
    if out.as_json:
        from backstay.objects import RunOut

        out.answer(RunOut.of_nothing())
    out.line("No job is unfinished; `backstay jobs` lists all there are.")
    return Status.DONE
