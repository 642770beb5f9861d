"""`backstay migrate`: bring a database to the schema that this version knows, and take over from the original."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.exits import ExitStatus
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.legacy.report import LegacyReport, PartReport
    from backstay.storage.sql.migration_result import MigrationResult


def migrate(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only say what would be done.")] = False,
    from_original: Annotated[
        bool,
        typer.Option("--from-original", help="Then take over what batch_checkpoints and backup_exports hold."),
    ] = False,
    source: Annotated[str, typer.Option(metavar="SCHEMA", help="The schema that these tables are in.")] = "public",
    owner: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Whose become jobs, and backups of nobody [default: as for every command]."),
    ] = None,
    as_json: AsJson = False,
) -> ExitStatus:
    """Make our tables in a PostgreSQL database, or bring those that are there up to date.

    Each migration is made whole or not at all; several at once, or again after an interruption, do no harm. A SQLite
    file needs this command only where there is to be an empty one: it is migrated when it is opened.

    With --from-original, each unfinished checkpoint becomes a paused job, which goes on once it is run with all its
    items; each live backup, whose file must be here, becomes a backup of ours. The original's tables and files stay as
    they are, and what is here already is left alone.

    \b
    Examples:
      BACKSTAY_DATABASE_URL=postgresql://me@db.example/app backstay migrate --check
      backstay migrate
      BACKUP_DIRECTORY=/var/backups backstay migrate --from-original --check
    """
    invocation = Invocation.from_context(context)
    invocation.owner = owner if owner is not None else invocation.owner
    out = Output(invocation, as_json=as_json)
    if from_original:
        return _from_original(invocation, out, source, check=check)
    done = run_async(invocation.open().migrate(check=check))
    if as_json:
        from backstay.schemas import MigrationOut

        out.answer(MigrationOut.from_result(done, is_check=check))
    _say_migrated(invocation, out, done, "migrate", check=check)
    return ExitStatus.DONE


def _say_migrated(invocation: Invocation, out: Output, done: "MigrationResult", *command: str, check: bool) -> None:
    if not done.applied:
        out.line(f"The database is up to date (schema {done.after}).")
    elif check:
        out.line(
            f"{format_count(len(done.applied), 'migration')} would be applied: schema {done.before} to {done.after}."
        )
        out.note(f"Apply with: {invocation.command(*command)}")
    else:
        out.line(f"{format_count(len(done.applied), 'migration')} applied: schema {done.before} to {done.after}.")


def _from_original(invocation: Invocation, out: Output, source: str, *, check: bool) -> ExitStatus:
    done = run_async(invocation.open().migrate_from_original(source, check=check))
    report = done.report
    if out.as_json:
        from backstay.schemas import LegacyImportOut, MigrationOut

        out.answer(LegacyImportOut.from_report(report, MigrationOut.from_result(done.migrated, is_check=check)))
    _say_migrated(invocation, out, done.migrated, "migrate", "--from-original", "--source", source, check=check)
    _say_jobs(out, report)
    _say_backups(out, report)
    if report.jobs and not check:
        out.note(f"Continue with each by a run with all its items: {invocation.command('run')} FILE --job JOB")
    return ExitStatus.WITH_FAILURES if report.left else ExitStatus.DONE


def _say_jobs(out: Output, report: "LegacyReport") -> None:
    for job in report.jobs:
        out.line(
            f"  {printed_id(job.id)}: {job.completed:,} completed, {job.failed:,} failed, of {printable(job.owner)}"
        )
    _conclude(out, report, "unfinished job", len(report.jobs), report.of_jobs, "finished")


def _say_backups(out: Output, report: "LegacyReport") -> None:
    for backup in report.backups:
        until = f"until {backup.expires_at:%Y-%m-%d %H:%M}Z" if backup.expires_at is not None else "pinned"
        held = format_count(backup.conversations, "conversation")
        out.line(f"  {printable(backup.id)}: {held}, {until}, of {printable(backup.owner)}")
    _conclude(out, report, "live backup", len(report.backups), report.of_backups, "expired")


def _conclude(out: Output, report: "LegacyReport", noun: str, taken: int, part: "PartReport", over: str) -> None:
    told = [f"{format_count(taken, noun)} {'would be ' if report.is_check else ''}taken over"]
    told += [f"{part.there:,} here already"] if part.there else []
    told += [f"{part.over:,} {over}"] if part.over else []
    told += [f"{len(part.left):,} left"] if part.left else []
    out.line(f"{', '.join(told)}.")
    for left in part.left:
        out.line(f"  {printable(left.id)} was left: {printable(left.reason)}")
