"""`backstay conversations export`: write training files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from backstay.cli import reminders
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output, flush
from backstay.cli.selection_options import (
    Everything,
    Ids,
    IdsFile,
    Job,
    OlderThan,
    Persona,
    Search,
    refuse_unknown_job,
    selection_from,
)
from backstay.cli.text import format_count, printable
from backstay.errors import EmptySelection, SettingsError
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat

Write = Callable[[bytes], object]


def export(
    context: typer.Context,
    ids: Ids = None,
    ids_file: IdsFile = None,
    job: Job = None,
    search: Search = None,
    persona: Persona = None,
    older_than: OlderThan = None,
    everything: Everything = False,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="messages is OpenAI chat JSONL; native has every field.")
    ] = DEFAULT_FORMAT,
    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write, completely or not at all [default: standard output]."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export conversations for training, oldest first. Select them by ids, by conditions, or with --all.

    \b
    Examples:
      backstay conversations export --job topics -o topics.messages.jsonl
      backstay conversations export --all --format sharegpt | zstd > all.jsonl.zst
      backstay conversations export --ids-file good.txt --format csv -o good.csv
    """
    invocation = Invocation.from_context(context)
    path = None if target in (None, "-") else target
    out = Output(invocation, as_json=as_json)
    if as_json and path is None:
        raise SettingsError(
            "--json needs a file to write with -o: the JSON result goes to standard output", setting="output"
        )
    # Outside the event loop, so that Ctrl-C ends the reading of standard input.
    selection = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    ).check()

    async def execute() -> None:
        from backstay.library.formats import load_format

        writer = load_format(form)()
        number = 0
        async with invocation.open() as backstay:
            with _target(path, out, backstay.files) as write:
                write(writer.head())
                async for conversation in backstay.conversations.export(selection):
                    write(writer.chunk(conversation))
                    number += 1
                if not number:
                    await refuse_unknown_job(backstay, selection)
                if path is not None and not number:
                    # Raised inside `_target`: a mistyped name must not replace a good file by an empty one.
                    raise EmptySelection(f"No conversation is selected; {printable(path)} is unchanged", path=path)
            if path is None:
                flush()  # raises if the reader has closed standard output
            _print_result(out, number, form, path)
            await reminders.remind(invocation, out, backstay)

    run_async(execute())


@contextmanager
def _target(path: str | None, out: Output, excluded: Sequence[Path]) -> Iterator[Write]:
    if path is None:
        yield out.stream()
        return
    from backstay.files import write_atomically

    with write_atomically(Path(path), excluded=excluded) as file:
        yield file.write


def _print_result(out: Output, number: int, form: ExportFormat, path: str | None) -> None:
    if out.as_json:
        from backstay.schemas import ExportOut

        out.print_json(ExportOut(exported=number, format=form, path=path))
    else:
        where = f" to {printable(path)}" if path is not None else ""
        out.note(f"{format_count(number, 'conversation')} exported{where}.")
