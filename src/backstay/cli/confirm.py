"""Asking before something that cannot be taken back."""

import typer

from backstay.cli.output import is_terminal
from backstay.errors import ConfirmationNeeded


def confirm(what: str, **context: str) -> None:
    """Ask on the terminal; return when the user wants it. Not within an event loop: Ctrl-C must end the asking.

    Raises:
        ConfirmationNeeded: nobody can be asked.
        typer.Abort: the answer was no.
    """
    if not (is_terminal(0) and is_terminal(2)):
        raise ConfirmationNeeded(f"{what}? Nobody can be asked here: say --yes if it is wanted", **context)
    typer.confirm(f"{what}?", abort=True, err=True)
