"""What an earlier version left under the name this project had before: refused by name, and never read.

Nothing was published under it, so nothing is carried over. It is refused, not ignored: a batch that quietly began in a
new, empty library would pay for its items a second time.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from backstay.errors import SettingsError

NAME = "holdfast"
BEFORE = f"Backstay was called {NAME.capitalize()} before"
APPLICATION_ID = int.from_bytes(NAME.capitalize()[:4].encode(), "big")
"""What the header of a SQLite file of that time says."""

_OURS = "BACKSTAY_"
_FORMER = f"{NAME.upper()}_"


def refuse_variables(environ: Mapping[str, str], variables: Iterable[str]) -> None:
    """Refuse an environment in which one of our variables is set under its former name.

    Args:
        environ: The environment.
        variables: Their names of today; those that are not ours alone are passed over.

    Raises:
        SettingsError: names the variable, and the one to set instead.
    """
    for variable in variables:
        former = _FORMER + variable.removeprefix(_OURS)
        if variable.startswith(_OURS) and environ.get(former):
            raise SettingsError(
                f"{former} is not read: {BEFORE}. Set {variable} instead, and unset {former}",
                setting=former,
            )


def refuse_library(folder: Path) -> None:
    """Refuse a folder that has a library of the former name in it.

    Raises:
        SettingsError: names the library, and what to do.
    """
    library = folder / f".{NAME}"
    # os.access answers for a folder of another user, too, where `Path.exists` raises.
    if os.access(library / f"{NAME}.db", os.F_OK):
        raise SettingsError(
            f"{library} is a library that this version does not read: {BEFORE}. Move it away to begin a new one here, "
            "or name another database with --database or BACKSTAY_DATABASE_URL",
            path=str(library),
        )
