"""`holdfast run`: a file of items becomes a job, and the job is worked on."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.interruption import GRACE_SECONDS
from holdfast.cli.invocation import Invocation
from holdfast.cli.options import AsJson, Concurrency, IdColumn, Limit, PersonaColumn, TopicColumn
from holdfast.cli.output import Output
from holdfast.cli.running import SCRIPTED, Live, supervise
from holdfast.errors import JobNameNeeded, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holdfast.app import Holdfast
    from holdfast.batch.result import BatchResult

_WRITER = "scripted"
_CHOICE = "--model scripted (the built-in writer, no model is called) or --processor module:function"


def run(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or JSON array; - for standard input.")],
    job: Annotated[
        str | None, typer.Option(metavar="ID", help="Name of the job [default: the file's name without its ending].")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="Built-in writer: scripted, or scripted:SECONDS.")
    ] = None,
    processor: Annotated[
        str | None,
        typer.Option(metavar="MOD:FUNC", help="Python function, sync or async, that makes an item's conversation."),
    ] = None,
    concurrency: Concurrency = 16,
    id_column: IdColumn = None,
    topic_column: TopicColumn = None,
    persona_column: PersonaColumn = None,
    max_attempts: Annotated[int, typer.Option(metavar="N", help="Tries of an item whose failure may pass.")] = 3,
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds that one try may take.")] = 600.0,
    limit: Limit = None,
    accept_new_items: Annotated[
        bool, typer.Option("--accept-new-items", help="Add the items that an existing job lacks.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Process every item of a file once.

    However often it is started and interrupted: the first time makes a job, the same command again goes on with it and
    never repeats a finished item. Ctrl-C stops gracefully, a second Ctrl-C at once; either way `holdfast resume` goes
    on. The database is made when there is none.

    \b
    Examples:
      holdfast run topics.csv --model scripted
      holdfast run topics.csv --processor my_package.generate:conversation --concurrency 32
      holdfast run people.jsonl --job interviews --topic-column question --model scripted
      generate-topics | holdfast run - --job nightly --processor mine:generate
    """
    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)
    process = _processor(model, processor)
    name = job if job is not None else _name_of(file)
    _check_readable(file)
    _check_processor(process)

    def begin(hold: "Holdfast", live: Live) -> "Awaitable[BatchResult]":
        from holdfast.batch.intake import Columns

        return hold.batches.run(
            name,
            file,
            process,
            concurrency=concurrency,
            max_attempts=max_attempts,
            timeout=timeout,
            limit=limit,
            columns=Columns(id_column, topic_column, persona_column),
            accept_new_items=accept_new_items,
            on_progress=live.watcher,
            stop=live.stop,
            grace_seconds=GRACE_SECONDS,
        )

    if model is not None:
        out.note(SCRIPTED)
    return supervise(invocation, out, begin, name=name, create=True)


def _processor(model: str | None, processor: str | None) -> str:
    if model is not None and processor is not None:
        raise SettingsError(f"Give one of both: {_CHOICE}", setting="model")
    if processor is not None:
        return processor
    if model is None:
        raise SettingsError(f"Say what makes the conversations: {_CHOICE}", setting="model")
    if model.partition(":")[0] != _WRITER:
        raise SettingsError(
            f"There is no writer {model!r}; there are: scripted, scripted:SECONDS. "
            "For a model of yours write a function, and name it with --processor module:function",
            setting="model",
        )
    return model


def _name_of(file: str) -> str:
    if file == "-":
        raise JobNameNeeded("Standard input has no name; say one with --job")
    return Path(file).stem


def _check_processor(name: str) -> None:
    """Look for the processor before a database is made, for the same reason."""
    from holdfast.generate.sources import NamedProcessors

    NamedProcessors().resolve(name)


def _check_readable(file: str) -> None:
    """Look at the first item before a database is made: a mistyped name must not leave one behind.

    What can be read only once, such as a pipe, is left alone.
    """
    from holdfast.readers import read_rows

    path = Path(file)
    if file != "-" and (path.is_file() or not path.exists()):
        with closing(read_rows(path)) as rows:
            next(rows)
