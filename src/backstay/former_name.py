"""Refuse variables, settings files and libraries of the project's former name.

Nothing was released under it, so nothing is migrated. They are refused, not ignored: a batch that silently started in a
new, empty library would pay for its items again.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from backstay.errors import SettingsError
from backstay.remedy import Remedy

NAME = "holdfast"
FORMER_PROJECT = f"{NAME.capitalize()} (now Backstay)"
APPLICATION_ID = int.from_bytes(b"Hold", "big")
"""The application_id in the header of a former SQLite file."""

_PREFIX = "BACKSTAY_"
_FORMER_PREFIX = f"{NAME.upper()}_"


def refuse_variables(environ: Mapping[str, str], variables: Iterable[str]) -> None:
    """Refuse an environment in which one of our variables is set under its former name.

    Args:
        environ: The environment.
        variables: The current names; names that do not begin with BACKSTAY_ are ignored.

    Raises:
        SettingsError: names the variable, and the one to set instead.
    """
    for variable in variables:
        former = _FORMER_PREFIX + variable.removeprefix(_PREFIX)
        if variable.startswith(_PREFIX) and environ.get(former):
            raise SettingsError(
                f"{former} is a variable of {FORMER_PROJECT}, and is not read. Set {variable} instead, and unset "
                f"{former}",
                setting=former,
            )


def former_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the names of all variables that are set and begin with the former prefix."""
    return sorted(name for name, value in environ.items() if name.startswith(_FORMER_PREFIX) and value)


def refuse_settings_file(folder: Path, current_name: str) -> None:
    """Refuse a folder that contains a settings file of the former name.

    Raises:
        SettingsError: names the file, and the name to give it.
    """
    file = folder / f"{NAME}.toml"
    if _is_there(file):
        raise SettingsError(
            f"{file} belongs to {FORMER_PROJECT}, and is not read. Rename it to {current_name}", path=str(file)
        )


def refuse_library(folder: Path) -> None:
    """Refuse a folder that contains a library of the former name.

    Raises:
        SettingsError: names the library and the remedy.
    """
    library = folder / f".{NAME}"
    if _is_there(library / f"{NAME}.db"):
        raise SettingsError(
            f"{library} is a library of {FORMER_PROJECT}, which this version cannot read. Move it away to start a new "
            "one here",
            remedy=Remedy.NAME_DATABASE,
            path=str(library),
        )


def _is_there(path: Path) -> bool:
    # `Path.exists` raises in a folder that this user may not read.
    return os.access(path, os.F_OK)
