"""`backstay init`: write a first recipe and topics."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.text import printable


@command()
def init(
    session: CommandSession,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]",
            help="Folder to write to; created if missing [default: this folder].",
            show_default=False,
        ),
    ] = Path(),
) -> None:
    """Write a commented recipe, and a few topics for it.

    Does not overwrite files.

    \b
    Examples:
      backstay init
      backstay run topics.csv --recipe recipe.toml --dry-run
    """
    from backstay.generate import starter

    paths = starter.write(folder)
    session.out.print_result(
        lambda: schemas.InitOut(files=[str(path) for path in paths]), *(f"{printable(path)} written." for path in paths)
    )
    topics, recipe = str(folder / "topics.csv"), str(folder / "recipe.toml")
    preview = session.invocation.command("run", topics, "--recipe", recipe, "--dry-run")
    session.out.note(f"Preview the prompts with: {preview}")
