"""`backstay conversations export`: training files out of what is kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
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

Write = Callable[[bytes], object]


class FormatName(StrEnum):
    """The formats of `backstay.library.formats`, known without loading them."""

    MESSAGES = "messages"
    NATIVE = "native"
    SHAREGPT = "sharegpt"
    CSV = "csv"


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
        FormatName, typer.Option("--format", help="messages is OpenAI chat JSONL; native has everything known.")
    ] = FormatName.MESSAGES,
    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write, whole or not at all [default: standard output]."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write conversations for training, oldest first. Say which: ids, conditions, or --all.

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
            "With --json say where to write with -o: standard output is for the answer", setting="output"
        )
    # Not within the event loop: Ctrl-C must end the reading of standard input.
    chosen = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    ).check()

    async def do() -> None:
        from backstay.library.formats import FORMATS

        shape = FORMATS[form]()
        number = 0
        async with invocation.open() as backstay:
            with _target(path, out, backstay.files) as write:
                write(shape.head())
                async for conversation in backstay.conversations.export(chosen):
                    write(shape.chunk(conversation))
                    number += 1
                if not number:
                    await refuse_unknown_job(backstay, chosen)
                if path is not None and not number:
                    # Within: a mistyped name must not leave an empty file where a good one was.
                    raise EmptySelection(f"No conversation is selected; {printable(path)} is left as it was", path=path)
            if path is None:
                flush()  # whoever reads may have left, and is to be told of as other programs do
            _report(out, number, form, path)
            await reminders.remind(invocation, out, backstay)

    run_async(do())


@contextmanager
def _target(path: str | None, out: Output, spared: Sequence[Path]) -> Iterator[Write]:
    if path is None:
        yield out.stream()
        return
    from backstay.files import write_atomically

    with write_atomically(Path(path), spared=spared) as file:
        yield file.write


def _report(out: Output, number: int, form: FormatName, path: str | None) -> None:
    if out.as_json:
        from backstay.schemas import ExportOut

        out.answer(ExportOut(exported=number, format=form, path=path))
    else:
        where = f" to {printable(path)}" if path is not None else ""
        out.note(f"{format_count(number, 'conversation')} exported{where}.")
