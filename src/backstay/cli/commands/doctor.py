"""`backstay doctor`: find problems, and name their remedies."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.exit_status import ExitStatus
from backstay.cli.invocation import Invocation
from backstay.cli.output import is_terminal
from backstay.cli.remedies import phrase
from backstay.cli.text import printable
from backstay.optional_packages import is_own_module
from backstay.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.doctor import Check

_STYLES = {"ok": "\x1b[32m", "warning": "\x1b[33m", "problem": "\x1b[31m"}
_RESET_STYLE = "\x1b[0m"


@command()
def doctor(
    session: CommandSession,
    deep: Annotated[
        bool, typer.Option("--deep", help="Search the whole database and every backup for damage, whatever their size.")
    ] = False,
) -> ExitStatus:
    """Check the installation, the settings and the database for problems.

    Checks versions, settings, the keys and recipes they name, the database, its disk and its backups. Changes nothing,
    and runs no command of the settings; only --deep records a backup as damaged if its file is.

    Exits with status 0 if there is no problem (warnings do not count), else with 1.

    \b
    Examples:
      backstay doctor
      backstay doctor --deep --json
    """
    from backstay.doctor import Check, CheckLevel, examine

    invocation = session.invocation
    checks = list(examine(database_url=invocation.database, owner=invocation.owner, environ=os.environ, deep=deep))
    try:
        from backstay.server.doctor_checks import examine_server, examine_token
    except ModuleNotFoundError as error:
        if is_own_module(error):
            raise
        checks.append(Check("serve", CheckLevel.OK, f"not available: {error.name} is not installed"))
    else:
        checks += examine_server(os.environ)
        checks += examine_token(os.environ, database_url=invocation.database)
    checks = [replace(check, remedy=_phrase_remedy(invocation, check)) for check in checks]
    is_ok = all(check.level is not CheckLevel.PROBLEM for check in checks)
    lines = [line for check in checks for line in _format_lines(check)]
    session.out.print_result(
        lambda: schemas.DoctorOut(ok=is_ok, checks=[schemas.CheckOut.model_validate(check) for check in checks]), *lines
    )
    return ExitStatus.DONE if is_ok else ExitStatus.ERROR


def _phrase_remedy(invocation: Invocation, check: "Check") -> str | None:
    if isinstance(check.remedy, Remedy):
        return phrase(invocation, check.remedy, check.context)
    return check.remedy


def _format_lines(check: "Check") -> "Iterator[str]":
    level = f"{check.level:<8}"
    if is_terminal(1) and "NO_COLOR" not in os.environ:
        level = f"{_STYLES[check.level]}{level}{_RESET_STYLE}"
    yield f"{level} {check.name:<12} {printable(check.message)}"
    if check.remedy is not None:
        yield f"{'':<21} → {printable(check.remedy)}"
