"""`backstay doctor`: what may be wrong, and what to do about it."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.exits import ExitStatus
from backstay.cli.invocation import Invocation
from backstay.cli.options import AsJson
from backstay.cli.output import Output, is_terminal
from backstay.cli.text import printable

if TYPE_CHECKING:
    from backstay.doctor import Check

_STYLES = {"ok": "\x1b[32m", "warning": "\x1b[33m", "problem": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def doctor(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Search the whole database, and each backup, for damage, however large.")
    ] = False,
    as_json: AsJson = False,
) -> ExitStatus:
    """Look for what may be wrong.

    Checks versions, settings, the keys and recipes that they name, the database and what surrounds it; changes nothing,
    makes nothing, and runs no command of the settings. With --deep, a backup that is found damaged is
    recorded as damaged.

    Ends with 0 when there is no problem (a warning is none), else with 1.

    \b
    Examples:
      backstay doctor
      backstay doctor --deep --json
    """
    from backstay.doctor import Check, CheckLevel, examine

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    checks = list(examine(database_url=invocation.database, owner=invocation.owner, environ=os.environ, deep=deep))
    try:
        from backstay.server.examination import examine_server
    except ModuleNotFoundError as error:
        checks.append(Check("serve", CheckLevel.OK, f"cannot be used without {error.name}, which is not installed"))
    else:
        checks += examine_server(os.environ)
    sound = all(check.level is not CheckLevel.PROBLEM for check in checks)
    if as_json:
        from backstay.schemas import CheckOut, DoctorOut

        shown = [
            CheckOut(name=check.name, level=check.level, message=check.message, remedy=check.remedy) for check in checks
        ]
        out.answer(DoctorOut(ok=sound, checks=shown))
    for check in checks:
        _print(out, check)
    return ExitStatus.DONE if sound else ExitStatus.ERROR


def _print(out: Output, check: "Check") -> None:
    level = f"{check.level:<8}"
    if is_terminal(1) and "NO_COLOR" not in os.environ:
        level = f"{_STYLES[check.level]}{level}{_PLAIN}"
    out.line(f"{level} {check.name:<12} {printable(check.message)}")
    if check.remedy is not None:
        out.line(f"{'':<21} → {printable(check.remedy)}")
