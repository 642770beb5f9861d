"""Confirmation of a command that cannot be undone."""

from typing import Any

import typer

from backstay.cli.output import is_terminal
from backstay.errors import ConfirmationNeeded


def confirm(question: str, **context: Any) -> None:
    """Ask on the terminal, and return if the answer is yes. Not within an event loop, so that Ctrl-C ends the prompt.

    Raises:
        ConfirmationNeeded: there is no terminal to ask on.
        typer.Abort: the answer was no.
    """
    if not (is_terminal(0) and is_terminal(2)):
        raise ConfirmationNeeded(f"{question}? There is no terminal to confirm on; confirm with --yes", **context)
    typer.confirm(f"{question}?", abort=True, err=True)
