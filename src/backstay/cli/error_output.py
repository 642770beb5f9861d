"""The error message and exit status of a command that failed."""

import os
from typing import Any

from backstay.cli.exit_status import ExitStatus, status_of_error
from backstay.cli.invocation import Invocation
from backstay.cli.logs import TRACEBACK_VARIABLE
from backstay.cli.output import to_stderr
from backstay.cli.remedies import full_message
from backstay.cli.text import printable
from backstay.errors import BackstayError
from backstay.remedy import Remedy


def print_error(invocation: Invocation, error: BackstayError, *, as_json: bool) -> ExitStatus:
    """Print an error of Backstay's own; return its exit status."""
    message = full_message(invocation, error)
    _print_message(invocation, error.code, message, error.context, as_json=as_json, remedy=error.remedy)
    return status_of_error(error)


def print_usage_error(invocation: Invocation, error: Exception, *, as_json: bool) -> ExitStatus:
    """Print a usage error; return its exit status."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "backstay"
    if error.__cause__ is not None:
        _replace_wording(error, error.__cause__)
    reason = error.format_message().rstrip(".")  # type: ignore[attr-defined]  # `main` checks it
    see = " See" if reason.endswith("?") else "; see"
    message = _misplaced_option_message(error, context) or f"{reason}{see} `{command} --help`"
    _print_message(invocation, "usage", message, {"command": command}, as_json=as_json)
    return ExitStatus.USAGE


def _misplaced_option_message(error: Any, context: Any) -> str | None:
    """Return the message for a global option that is given after the command; None for any other error."""
    option = getattr(error, "option_name", None)
    root = context.find_root() if context is not None else None
    if root in (None, context) or option not in [name for each in root.command.params for name in each.opts]:
        return None
    command, words = context.command_path.split(" ", 1)
    return f"{option} goes before the command: `{command} {option} … {words}`"


def _replace_wording(error: Any, cause: BaseException) -> None:
    """Replace pydantic's wording of an invalid option, which newer versions of Typer pass on, by our own."""
    from pydantic import ValidationError

    from backstay.validation_reasons import reason_of

    if isinstance(cause, ValidationError):
        error.message = reason_of(cause.errors()[0])


def print_unexpected(invocation: Invocation, error: Exception, *, as_json: bool) -> ExitStatus:
    """Print an unexpected error: one line, and its traceback if the environment asks for it."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    message = f"{reason}. This is a bug in Backstay; set {TRACEBACK_VARIABLE}=1 to see the traceback"
    _print_message(
        invocation, "internal_error", message, {"exception": type(error).__name__}, as_json=as_json, raised=error
    )
    if os.environ.get(TRACEBACK_VARIABLE) == "1" and not invocation.json_logs:
        import traceback

        to_stderr("".join(traceback.format_exception(error)).rstrip())
    return ExitStatus.ERROR


def _print_message(
    invocation: Invocation,
    code: str,
    message: str,
    details: dict[str, Any],
    *,
    as_json: bool,
    remedy: Remedy | None = None,
    raised: Exception | None = None,
) -> None:
    if as_json or invocation.json_logs:
        from backstay.schemas import ErrorOut

        answer = ErrorOut.from_message(code, message, details, remedy)
        if invocation.json_logs:
            from backstay.logs import get_logger

            logged = answer.error
            get_logger("backstay.cli").error(
                "command_failed", code=logged.code, error=logged.message, context=logged.details, exc_info=raised
            )
        if as_json:
            to_stderr(answer.to_json().decode())
    else:
        to_stderr(f"Error: {printable(message)}")
