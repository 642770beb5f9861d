"""`backstay doctor`: find problems, and name their remedies."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.exits import ExitStatus
from backstay.cli.invocation import Invocation
from backstay.cli.options import AsJson
from backstay.cli.output import Output, is_terminal
from backstay.cli.remedies import phrase, with_options
from backstay.cli.text import printable
from backstay.remedy import Remedy

if TYPE_CHECKING:
    from backstay.doctor import Check

_STYLES = {"ok": "\x1b[32m", "warning": "\x1b[33m", "problem": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def doctor(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Search the whole database and every backup for damage, whatever their size.")
    ] = False,
    as_json: AsJson = False,
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

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    checks = list(examine(database_url=invocation.database, owner=invocation.owner, environ=os.environ, deep=deep))
    try:
        from backstay.server.doctor_checks import examine_server
    except ModuleNotFoundError as error:
        checks.append(Check("serve", CheckLevel.OK, f"not available: {error.name} is not installed"))
    else:
        checks += examine_server(os.environ)
    remedies = [_remedy(invocation, check) for check in checks]
    is_ok = all(check.level is not CheckLevel.PROBLEM for check in checks)
    if as_json:
        from backstay.schemas import CheckOut, DoctorOut

        outs = [
            CheckOut(name=check.name, level=check.level, message=check.message, remedy=remedy)
            for check, remedy in zip(checks, remedies, strict=True)
        ]
        out.print_json(DoctorOut(ok=is_ok, checks=outs))
    for check, remedy in zip(checks, remedies, strict=True):
        _print(out, check, remedy)
    return ExitStatus.DONE if is_ok else ExitStatus.ERROR


def _remedy(invocation: Invocation, check: "Check") -> str | None:
    if isinstance(check.remedy, Remedy):
        return phrase(invocation, check.remedy, check.context)
    return with_options(invocation, check.remedy) if check.remedy is not None else None


def _print(out: Output, check: "Check", remedy: str | None) -> None:
    level = f"{check.level:<8}"
    if is_terminal(1) and "NO_COLOR" not in os.environ:
        level = f"{_STYLES[check.level]}{level}{_PLAIN}"
    out.line(f"{level} {check.name:<12} {printable(check.message)}")
    if remedy is not None:
        out.line(f"{'':<21} → {printable(remedy)}")
