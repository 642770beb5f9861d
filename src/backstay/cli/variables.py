"""A warning about variables that are set and mean nothing, most often because of a typo."""

from collections.abc import Mapping

from backstay.cli.output import to_stderr
from backstay.cli.text import plain
from backstay.environment import nearest_variable, unknown_variables


def warn_of_unknown(environ: Mapping[str, str], *, as_json: bool) -> None:
    """Name each unknown variable on standard error, with the one that may have been meant."""
    for name in unknown_variables(environ):
        near = nearest_variable(name)
        if as_json:
            from backstay.logs import get_logger

            get_logger("backstay.cli").warning("unknown_variable", variable=name, nearest=near)
        else:
            hint = f"; did you mean {near}?" if near is not None else ""
            to_stderr(f"Warning: {plain(name)} is not a setting of Backstay{hint}")
