"""How a command that failed says so, and with which status it ends."""

import os
from typing import Any

from backstay.cli.exits import ExitStatus, status_of_error
from backstay.cli.invocation import Invocation
from backstay.cli.logs import TRACEBACK
from backstay.cli.output import to_stderr
from backstay.cli.text import printable
from backstay.errors import BackstayError


def print_refusal(invocation: Invocation, error: BackstayError, *, as_json: bool) -> ExitStatus:
    """Tell an error raised on purpose."""
    _print_error(invocation, error.code, error.message, error.context, as_json=as_json)
    return status_of_error(error)


def print_misuse(invocation: Invocation, error: Exception, *, as_json: bool) -> ExitStatus:
    """Tell a command line that could not be understood."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "backstay"
    reason = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    help_line = f"`{command} --help` shows what there is"
    told = f"{reason} {help_line}" if reason.endswith("?") else f"{reason}; {help_line}"
    _print_error(invocation, "usage", told, {"command": command}, as_json=as_json)
    return ExitStatus.USAGE


def print_fault(invocation: Invocation, error: Exception, *, as_json: bool) -> ExitStatus:
    """Tell a mistake of our own: one line, unless the traceback was asked for."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    message = f"{reason}. This is a fault in Backstay; with {TRACEBACK}=1 it shows where"
    _print_error(invocation, "fault", message, {"exception": type(error).__name__}, as_json=as_json, raised=error)
    if os.environ.get(TRACEBACK) == "1" and not invocation.json_logs:
        import traceback

        to_stderr("".join(traceback.format_exception(error)).rstrip())
    return ExitStatus.ERROR


def _print_error(
    invocation: Invocation,
    code: str,
    message: str,
    details: dict[str, Any],
    *,
    as_json: bool,
    raised: Exception | None = None,
) -> None:
    if as_json or invocation.json_logs:
        from backstay.schemas import ErrorOut

        told = ErrorOut.from_message(code, message, details)
        if invocation.json_logs:
            from backstay.logs import get_logger

            known = told.error
            get_logger("backstay.cli").error(
                "error", code=known.code, error=known.message, context=known.details, exc_info=raised
            )
        if as_json:
            to_stderr(told.to_json().decode())
    else:
        to_stderr(f"Error: {printable(message)}")
