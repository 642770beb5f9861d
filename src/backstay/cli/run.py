"""`backstay run`: make a job of a file of items, and work on it."""

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import dry_run as preview
from backstay.cli import key_permission
from backstay.cli.endpoint_line import describe
from backstay.cli.exits import ExitStatus
from backstay.cli.interruption import GRACE_SECONDS
from backstay.cli.invocation import Invocation
from backstay.cli.options import (
    AllowKey,
    AsJson,
    Concurrency,
    IdColumn,
    Limit,
    Patience,
    PersonaColumn,
    Rpm,
    TopicColumn,
    Tpm,
)
from backstay.cli.output import Output
from backstay.cli.processor_options import ProcessorOptions
from backstay.cli.run_session import SCRIPTED, RunContext, supervise
from backstay.cli.variables import warn_of_supabase
from backstay.errors import JobNameNeeded, SettingsError
from backstay.library.id_text import id_of_printed
from backstay.limits import MAX_TEMPERATURE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from backstay.app import Backstay
    from backstay.batch.intake import ColumnMapping
    from backstay.batch.result import BatchResult


def run(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or JSON array; - for standard input.")],
    job: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Name of the job [default: the file's name without its ending].", parser=id_of_printed
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="M",
            help="Model: PROVIDER:NAME, any name with --base-url, or scripted. The providers are {providers}.",
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="FILE", help="Recipe, in TOML or YAML; `backstay init` writes one.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL of an OpenAI-compatible endpoint, up to /v1.")
    ] = None,
    allow_key: AllowKey = None,
    turns: Annotated[int | None, typer.Option(metavar="N", help="Turns per conversation [default: 4].")] = None,
    language: Annotated[str | None, typer.Option(metavar="L", help="Language of the conversations.")] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help=f"Sampling temperature (0–{MAX_TEMPERATURE}).")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="Maximum tokens of one answer.")] = None,
    processor: Annotated[
        str | None,
        typer.Option(
            metavar="MOD:FUNC", help="Python function, sync or async, that makes the conversation of an item."
        ),
    ] = None,
    concurrency: Concurrency = None,
    id_column: IdColumn = None,
    topic_column: TopicColumn = None,
    persona_column: PersonaColumn = None,
    max_attempts: Annotated[
        int, typer.Option(metavar="N", help="Maximum attempts per item, if its error is temporary.")
    ] = 3,
    timeout: Annotated[float, typer.Option(metavar="S", help="Maximum seconds per attempt.")] = 600.0,
    rpm: Rpm = None,
    tpm: Tpm = None,
    patience: Patience = None,
    limit: Limit = None,
    dry_run: Annotated[
        int | None,
        typer.Option(metavar="[N]", min=1, help="Print the first N prompts [3] and a token estimate; call no model."),
    ] = None,
    accept_new_items: Annotated[
        bool, typer.Option("--accept-new-items", help="Add items that the existing job does not have.")
    ] = False,
    as_json: AsJson = False,
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
      generate-topics | backstay run - --job nightly --processor mine:generate
    """
    from backstay.generate.key_source import KeySources

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    fields = {
        "base_url": base_url,
        "turns": turns,
        "language": language,
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    options = ProcessorOptions(model, processor, recipe, fields, {"rpm": rpm, "tpm": tpm})
    source = options.resolve()
    if not isinstance(source, str) and source.caution is not None:
        out.note(f"{source.caution}.", always=True)
    columns = _columns(id_column, topic_column, persona_column)
    if dry_run is not None:
        if isinstance(source, str):
            raise SettingsError("--dry-run needs a recipe: only a recipe has prompts to show", setting="dry_run")
        settings = invocation.settings()
        preview.show(out, source, file, dry_run, columns, settings.allowed_keys, KeySources.from_settings(settings))
        return ExitStatus.DONE
    job_id = job if job is not None else _name_of(file)
    _check_readable(file)
    invocation.set_rate_limits(rpm, tpm, patience)
    settings = invocation.settings()
    warn_of_supabase(settings, os.environ, out)
    invocation.keys = keys = KeySources.from_settings(settings)
    key_permission.with_permission(lambda: options.check(source, keys, settings.allowed_keys), allow_key)
    if not isinstance(source, str):
        if base_url is not None:
            key_permission.remember_own_endpoint(source, keys.environment)
        out.note(f"{describe(source, keys)}.")

    def begin(backstay: "Backstay", live: RunContext) -> "Awaitable[BatchResult]":
        live.watcher.announcement = SCRIPTED if options.is_scripted else None
        return backstay.batches.run(
            job_id,
            file,
            source,
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            max_attempts=max_attempts,
            timeout=timeout,
            limit=limit,
            columns=columns,
            accept_new_items=accept_new_items,
            on_progress=live.watcher,
            stop=live.stop,
            grace_seconds=GRACE_SECONDS,
        )

    return supervise(invocation, out, begin, name=job_id, create=True)


def _columns(*names: str | None) -> "ColumnMapping":
    from backstay.batch.intake import ColumnMapping

    return ColumnMapping(*names)


def _name_of(file: str) -> str:
    if file == "-":
        raise JobNameNeeded("Standard input has no name; name the job with --job")
    return Path(file).stem


def _check_readable(file: str) -> None:
    """Read the first item before a database is created: a mistyped file name must not create one.

    Skip input that can be read only once, such as a pipe.
    """
    from backstay.readers import read_rows

    path = Path(file)
    if file != "-" and (path.is_file() or not path.exists()):
        with closing(read_rows(path)) as rows:
            next(rows)
