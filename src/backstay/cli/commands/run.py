"""`backstay run`: create a job from a file of items, and process them."""

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.bad_row_policy import BadRowPolicy
from backstay.cli import dry_run as preview
from backstay.cli import key_permission
from backstay.cli.command import CommandSession, command
from backstay.cli.endpoint_line import describe_endpoint
from backstay.cli.exit_status import ExitStatus
from backstay.cli.interruption import GRACE_SECONDS
from backstay.cli.invocation import run_async
from backstay.cli.options import BadRowOptions, ColumnOptions, Concurrency, Limit, RateOptions, ReadingOptions
from backstay.cli.processor_options import ProcessorOptions, check_usable
from backstay.cli.run_session import SCRIPTED_NOTE, RunContext, supervise
from backstay.cli.variable_warnings import warn_of_supabase
from backstay.errors import InputError, JobNameNeeded, SettingsError
from backstay.library.id_text import parse_printed_id
from backstay.limits import MAX_SECONDS, MIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from backstay.app import Backstay
    from backstay.batch.item_columns import ColumnMapping
    from backstay.batch.job_recipe import JobRecipe
    from backstay.batch.runner import BatchResult
    from backstay.cli.output import Output
    from backstay.readers.read_options import ReadOptions


@command()
def run(
    session: CommandSession,
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV, TSV, JSONL, JSON, Parquet or text, a folder of them or a pattern; - for standard input.",
        ),
    ],
    job: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Name of the job [default: the file's name without its ending].", parser=parse_printed_id
        ),
    ] = None,
    options: ProcessorOptions,
    concurrency: Concurrency = None,
    columns: ColumnOptions,
    bad_rows: BadRowOptions,
    reading: ReadingOptions,
    max_attempts: Annotated[
        int, typer.Option(metavar="N", help="Maximum attempts per item, if its error is temporary.")
    ] = 3,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=MIN_SECONDS, max=MAX_SECONDS, help="Maximum seconds per attempt.")
    ] = 600.0,
    rates: RateOptions,
    limit: Limit = None,
    dry_run: Annotated[
        int | None,
        typer.Option(metavar="[N]", min=1, help="Print the first N prompts [3] and a token estimate; call no model."),
    ] = None,
    accept_new_items: Annotated[
        bool, typer.Option("--accept-new-items", help="Add items that the existing job does not have.")
    ] = False,
) -> int:
    """Process every item of a file once.

    The first run creates a job; the same command again continues it and never repeats a finished item. Ctrl-C stops
    gracefully, a second Ctrl-C at once; `backstay resume` continues after either. Creates the database if it is
    missing.

    \b
    Examples:
      backstay run topics.csv --model scripted
      backstay run topics.csv --recipe recipe.toml --dry-run
      backstay run topics.csv --recipe recipe.toml --concurrency 64 --rpm 500
      backstay run topics.csv --model llama3 --base-url http://localhost:8000/v1 --turns 6
      backstay run topics.csv --processor my_package.generate:conversation --concurrency 32
      backstay run people.jsonl --job interviews --topic-column question --model scripted
      backstay run themen.csv --encoding cp1252 --delimiter ";" --model scripted
      backstay run "data/train-*.jsonl.gz" --job train --model scripted
      generate-topics | backstay run - --job nightly --processor mine:generate
    """
    from backstay.generate.key_source import KeySources

    invocation, out, read = session.invocation, session.out, reading.options()
    processor = options.resolve(rates)
    if not isinstance(processor, str) and processor.caution is not None:
        out.note(f"{processor.caution}.", always=True)
    if dry_run is not None:
        if isinstance(processor, str):
            raise SettingsError("--dry-run needs a recipe: only a recipe has prompts to show", setting="dry_run")
        preview.show(
            out,
            processor,
            file,
            dry_run,
            columns.mapping(),
            bad_rows.policy(),
            read,
            invocation.settings(),
            options.allow_key,
        )
        return ExitStatus.DONE
    job_id = job if job is not None else _default_job_name(file)
    recipe = processor if not isinstance(processor, str) else None
    _check_readable(file, bad_rows.policy(), columns.mapping(), recipe, read, out)
    invocation.set_rate_limits(rates.rpm, rates.tpm, rates.patience)
    settings = invocation.settings()
    warn_of_supabase(settings, os.environ, out)
    invocation.keys = keys = KeySources.from_settings(settings)
    key_permission.with_permission(lambda: check_usable(processor, keys, settings.allowed_keys), options.allow_key)
    if not isinstance(processor, str):
        if options.base_url is not None:
            key_permission.remember_own_endpoint(processor, keys.environment)
        out.note(f"{describe_endpoint(processor, keys)}.")

    def begin(backstay: "Backstay", context: RunContext) -> "Awaitable[BatchResult]":
        context.progress_view.announcement = SCRIPTED_NOTE if options.is_scripted else None
        return backstay.batches.run(
            job_id,
            file,
            processor,
            concurrency=concurrency,
            rpm=rates.rpm,
            tpm=rates.tpm,
            max_attempts=max_attempts,
            timeout_seconds=timeout,
            limit=limit,
            columns=columns.mapping(),
            on_bad_row=bad_rows.on_bad_row,
            quarantine=bad_rows.quarantine,
            accept_new_items=accept_new_items,
            read=read,
            on_note=out.input_note,
            on_progress=context.progress_view,
            stop=context.stop,
            grace_seconds=GRACE_SECONDS,
        )

    return supervise(session, begin, name=job_id, bad_rows=bad_rows, create=True)


def _default_job_name(file: str) -> str:
    from backstay.readers.file_kind import FileKind

    if file == "-":
        raise JobNameNeeded("Standard input has no name; name the job with --job")
    path = Path(file)
    if path.is_dir():
        return path.resolve().name
    if glob.has_magic(file) and not path.exists():
        raise JobNameNeeded("A pattern has no name; name the job with --job")
    return FileKind.from_name(path.name).stem_of(path.name)


def _check_readable(
    file: str,
    policy: BadRowPolicy,
    columns: "ColumnMapping",
    recipe: "JobRecipe | None",
    read: "ReadOptions",
    out: "Output",
) -> None:
    """Read the first item before a database is created, so that a mistyped file name, or a folder, creates none.

    Skip input that can be read only once, such as a pipe.
    """
    from backstay.batch.intake import read_first_item
    from backstay.readers.bad_rows import BadRows

    path = Path(file)
    if file != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        first_rows = BadRows(BadRowPolicy.FAIL if policy is BadRowPolicy.FAIL else BadRowPolicy.SKIP)
        try:
            read_first_item(path, columns, bad_rows=first_rows, read=read, on_note=out.input_note)
        except InputError:
            if first_rows.has_refused:
                run_async(_read_all(path, columns, recipe, read))  # raises the error with the count of bad rows
            raise


async def _read_all(path: Path, columns: "ColumnMapping", recipe: "JobRecipe | None", read: "ReadOptions") -> None:
    from backstay.batch.intake import read_items

    async for _ in read_items(path, columns, recipe=recipe, read=read):
        pass
