"""`backstay migrate`: migrate a database to the current schema, and import from the original."""

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
    check: Annotated[bool, typer.Option("--check", help="Only report what would be done.")] = False,
    from_original: Annotated[
        bool,
        typer.Option("--from-original", help="Then import batch_checkpoints and backup_exports."),
    ] = False,
    source: Annotated[str, typer.Option(metavar="SCHEMA", help="Schema of these tables.")] = "public",
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER",
            help="Owner of imported jobs, and of backups without a user [default: as for every command].",
        ),
    ] = None,
    as_json: AsJson = False,
) -> ExitStatus:
    """Create the tables in a PostgreSQL database, or migrate them to the current schema.

    Each migration is applied completely or not at all. Running it several times, or in several processes, does no harm.
    A SQLite file is migrated when it is opened; there, this command only creates an empty database.

    With --from-original, each unfinished checkpoint is imported, and waits for a run with all its items, which
    continues it; each live backup, whose file must be on this machine, becomes a backup of Backstay. The original's
    tables and files do not change, and jobs and backups that were imported before are skipped.

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
    result = run_async(invocation.open().migrate(check=check))
    if as_json:
        from backstay.schemas import MigrationOut

        out.print_json(MigrationOut.from_result(result, is_check=check))
    _print_migration(invocation, out, result, "migrate", check=check)
    return ExitStatus.DONE


def _print_migration(
    invocation: Invocation, out: Output, result: "MigrationResult", *command: str, check: bool
) -> None:
    if not result.applied:
        out.line(f"The database is up to date (schema {result.after}).")
    elif check:
        number = format_count(len(result.applied), "migration")
        out.line(f"{number} would be applied: schema {result.before} to {result.after}.")
        out.note(f"Apply with: {invocation.command(*command)}")
    else:
        out.line(f"{format_count(len(result.applied), 'migration')} applied: schema {result.before} to {result.after}.")


def _from_original(invocation: Invocation, out: Output, source: str, *, check: bool) -> ExitStatus:
    result = run_async(invocation.open().migrate_from_original(source, check=check))
    report = result.report
    if out.as_json:
        from backstay.schemas import LegacyImportOut, MigrationOut

        out.print_json(LegacyImportOut.from_report(report, MigrationOut.from_result(result.migrated, is_check=check)))
    _print_migration(invocation, out, result.migrated, "migrate", "--from-original", "--source", source, check=check)
    _print_jobs(out, report)
    _print_backups(out, report)
    if report.jobs and not check:
        out.note(f"Continue each of them by a run with all its items: {invocation.command('run')} FILE --job JOB")
    return ExitStatus.WITH_FAILURES if report.left else ExitStatus.DONE


def _print_jobs(out: Output, report: "LegacyReport") -> None:
    for job in report.jobs:
        out.line(
            f"  {printed_id(job.id)}: {job.completed:,} completed, {job.failed:,} failed, of {printable(job.owner)}"
        )
    _print_totals(out, report, "unfinished job", len(report.jobs), report.of_jobs, "finished")


def _print_backups(out: Output, report: "LegacyReport") -> None:
    for backup in report.backups:
        until = f"until {backup.expires_at:%Y-%m-%d %H:%M}Z" if backup.expires_at is not None else "pinned"
        contents = format_count(backup.conversations, "conversation")
        out.line(f"  {printable(backup.id)}: {contents}, {until}, of {printable(backup.owner)}")
    _print_totals(out, report, "live backup", len(report.backups), report.of_backups, "expired")


def _print_totals(
    out: Output, report: "LegacyReport", noun: str, imported: int, totals: "PartReport", over: str
) -> None:
    clauses = [f"{format_count(imported, noun)} {'would be ' if report.is_check else ''}imported"]
    clauses += [f"{totals.there:,} imported before"] if totals.there else []
    clauses += [f"{totals.over:,} {over}"] if totals.over else []
    clauses += [f"{len(totals.left):,} not imported"] if totals.left else []
    out.line(f"{', '.join(clauses)}.")
    for record in totals.left:
        out.line(f"  {printable(record.id)} was not imported: {printable(record.reason)}")
