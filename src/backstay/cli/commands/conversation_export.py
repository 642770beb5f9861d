"""`backstay conversations export`."""

from typing import Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import OutputOptions
from backstay.cli.selection_options import SelectionOptions, refuse_unknown_job
from backstay.cli.text import format_count, printable
from backstay.errors import EmptySelection
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat


@command()
async def export(
    session: CommandSession,
    *,
    options: SelectionOptions,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="messages is OpenAI chat JSONL; native has every field.")
    ] = DEFAULT_FORMAT,
    output: OutputOptions,
) -> None:
    """Export conversations for training, oldest first. Select them by ids, by conditions, or with --all.

    \b
    Examples:
      backstay conversations export --job topics -o topics.messages.jsonl
      backstay conversations export --all --format sharegpt | zstd > all.jsonl.zst
      backstay conversations export --ids-file good.txt --format csv -o good.csv
    """
    from backstay.library.formats import load_format

    out = session.out
    path = output.path(as_json=out.as_json)
    selection = options.selection().check()
    writer = load_format(form)()
    number = 0
    backstay = await session.open()
    with out.target(path, excluded=backstay.files) as write:
        write(writer.head())
        async for conversation in backstay.conversations.export(selection):
            write(writer.chunk(conversation))
            number += 1
        if not number:
            await refuse_unknown_job(backstay, selection)
        if path is not None and not number:
            # Raised before the file is complete, so that a mistyped name does not replace a good file by an empty one.
            raise EmptySelection(f"No conversation is selected; {printable(path)} is unchanged", path=path)
    if out.as_json:
        out.print_json(schemas.ExportOut(exported=number, format=form, path=path))
    else:
        where = f" to {printable(path)}" if path is not None else ""
        out.note(f"{format_count(number, 'conversation')} exported{where}.")
    await session.remind()
