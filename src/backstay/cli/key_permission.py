"""Asking the user whether a recipe may send a key where it says."""

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


def allowing(work: Callable[[], T], allow_key: str | None) -> T:
    """Do something that may need a key to be allowed, and do it again once it is.

    Raises:
        ApiKeyNotAllowed: the option does not allow it, and there is no terminal to ask at.
        typer.Abort: the answer was no.
    """
    try:
        return work()
    except ApiKeyNotAllowed as error:
        _settle(error, allow_key)
    return work()


def remember_given(recipe: "Recipe", environ: Mapping[str, str]) -> None:
    """Remember where a key goes by the user's own --base-url, so that `resume` need not ask about the job."""
    from backstay.generate.key_permission import KEY_FIELDS, AllowedKeys, key_use, user_file

    use = key_use(recipe.endpoint, KEY_FIELDS, environ)
    if use is not None:
        # It is no more than a question spared.
        with suppress(OutputUnwritable):
            AllowedKeys(file=user_file(os.environ)).remember(use)


def _settle(error: ApiKeyNotAllowed, allow_key: str | None) -> None:
    from backstay.generate.key_permission import AllowedKeys, KeyUse, host_in, user_file

    use = KeyUse(str(error.context["host"]), str(error.context["variable"]))
    if allow_key is None or host_in(allow_key) != use.host:
        if not (is_terminal(0) and is_terminal(2)):
            raise error
        what = f"{error.context['whose']} sends the key in {use.variable} to {use.host}. Allow it?"
        typer.confirm(printable(what), abort=True, err=True)
    AllowedKeys(file=user_file(os.environ)).remember(use)
