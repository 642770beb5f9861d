"""Ask the user whether a recipe may send a key to its endpoint."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import typer

from backstay.cli.output import is_terminal
from backstay.cli.text import printable
from backstay.errors import ApiKeyNotAllowed, OutputUnwritable

if TYPE_CHECKING:
    from backstay.generate.recipe import Recipe

T = TypeVar("T")


def with_permission(work: Callable[[], T], allow_key: str | None) -> T:
    """Run `work`; if it needs permission for a key, ask for the permission and run `work` again.

    Raises:
        ApiKeyNotAllowed: `allow_key` does not name the host, and there is no terminal to ask on.
        typer.Abort: the answer was no.
    """
    try:
        return work()
    except ApiKeyNotAllowed as error:
        _ask_and_remember(error, allow_key)
    return work()


def remember_own_endpoint(recipe: "Recipe", environ: Mapping[str, str]) -> None:
    """Record that the key may be sent to the --base-url that the user gave, so that `resume` does not ask."""
    from backstay.generate.key_permission import KEY_FIELDS, AllowedKeys, key_use, user_file

    use = key_use(recipe.endpoint, KEY_FIELDS, environ)
    if use is not None:
        # If it cannot be stored, `resume` asks once.
        with suppress(OutputUnwritable):
            AllowedKeys(file=user_file(environ)).remember(use)


def _ask_and_remember(error: ApiKeyNotAllowed, allow_key: str | None) -> None:
    from backstay.generate.key_permission import AllowedKeys, KeyUse, host_in, user_file

    use = KeyUse(str(error.context["host"]), str(error.context["variable"]))
    if allow_key is None or host_in(allow_key) != use.host:
        if not (is_terminal(0) and is_terminal(2)):
            raise error
        question = f"{error.context['subject']} sends the key in {use.variable} to {use.host}. Allow it?"
        typer.confirm(printable(question), abort=True, err=True)
    AllowedKeys(file=user_file(os.environ)).remember(use)
