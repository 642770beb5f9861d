"""Warnings about variables that are set but have no effect."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from backstay.cli.output import Output, to_stderr
from backstay.cli.text import printable
from backstay.unused_variables import NAME_SUPABASE, nearest_variable, supabase_unused, unknown_variables

if TYPE_CHECKING:
    from backstay.settings import Settings


def warn_of_unknown(environ: Mapping[str, str], *, as_json: bool) -> None:
    """Warn on standard error about each unknown variable, with the nearest known one."""
    for name in unknown_variables(environ):
        near = nearest_variable(name)
        if as_json:
            from backstay.logs import get_logger

            get_logger("backstay.cli").warning("variable_unknown", variable=name, nearest=near)
        else:
            hint = f"; did you mean {near}?" if near is not None else ""
            to_stderr(f"Warning: {printable(name)} is not a setting of Backstay{hint}")


def warn_of_supabase(settings: "Settings", environ: Mapping[str, str], out: Output) -> None:
    """Warn on standard error that the library is a local file, if a Supabase project was probably meant."""
    if settings.database_url is None and (reason := supabase_unused(environ, settings.here, settings.database)):
        out.note(f"Warning: {printable(reason)}; {NAME_SUPABASE}.", always=True)
