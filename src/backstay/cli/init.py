"""`backstay init`: the files that one begins with."""

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
            metavar="[FOLDER]", help="Where to; made when it is missing [default: this folder].", show_default=False
        ),
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a recipe with comments, and a few topics that fit it.

    Files that are there are left alone.

    \b
    Example:
      backstay init
      backstay run topics.csv --recipe recipe.toml --dry-run
    """
    from backstay.generate import starter

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    paths = starter.write(folder)
    if as_json:
        from backstay.schemas import InitOut

        out.answer(InitOut(files=[str(path) for path in paths]))
    for path in paths:
        out.line(f"{printable(path)} written.")
    topics, recipe = str(folder / "topics.csv"), str(folder / "recipe.toml")
    out.note(f"See what would be asked: {invocation.command('run', topics, '--recipe', recipe, '--dry-run')}")
