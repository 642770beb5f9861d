"""`backstay init`: write a first recipe and topics."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.invocation import Invocation
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.text import printable


def init(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]",
            help="Folder to write to; created if missing [default: this folder].",
            show_default=False,
        ),
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a commented recipe, and a few topics for it.

    Does not overwrite files.

    \b
    Examples:
      backstay init
      backstay run topics.csv --recipe recipe.toml --dry-run
    """
    from backstay.generate import starter

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    paths = starter.write(folder)
    if as_json:
        from backstay.schemas import InitOut

        out.print_json(InitOut(files=[str(path) for path in paths]))
    for path in paths:
        out.line(f"{printable(path)} written.")
    topics, recipe = str(folder / "topics.csv"), str(folder / "recipe.toml")
    out.note(f"Preview the prompts with: {invocation.command('run', topics, '--recipe', recipe, '--dry-run')}")
