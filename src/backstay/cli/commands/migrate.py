"""`backstay migrate`: migrate a database to the current schema, and import from the original library."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.exits import ExitStatus
from backstay.cli.text import format_count, printable
from backstay.errors import SettingsError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.legacy.report import ImportTotals, LegacyReport
    from backstay.storage.sql.migrations import MigrationResult


@command()
async def migrate(
    session: CommandSession,
    check: Annotated[bool, typer.Option("--check", help="Only report what would be done.")] = False,
    from_original: Annotated[
        bool, typer.Option("--from-original", help="Then import batch_checkpoints and backup_exports.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="SCHEMA", help="Schema of the tables to import [default: public].")
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER",
            help="Owner of imported jobs, and of backups without a user [default: as for every command].",
        ),
    ] = None,
) -> ExitStatus:
    """Create the tables in a PostgreSQL database, or migrate them to the current schema.

    Each migration is applied completely or not at all. Running it several times, or in several processes, does no harm.
    A SQLite file is migrated when it is opened; there, this command only creates an empty database.

    With --from-original, what an earlier library has left in tables of this database is imported: each unfinished
    checkpoint becomes a job, which a run with the complete input continues, and each live backup, whose file must be
    on this machine, becomes a backup of Backstay. The original tables and files do not change, and jobs and backups
    that were imported before are left alone.

    \b
    Examples:
      BACKSTAY_DATABASE_URL=postgresql://me@db.example/app backstay migrate --check
      backstay migrate
      BACKUP_DIRECTORY=/var/backups backstay migrate --from-original --check
    """
    if owner is not None:
        session.invocation.owner = owner
    if from_original:
        return await _import_from_original(session, source or "public", check=check)
    if source is not None:
        raise SettingsError("--source needs --from-original", setting="source")
    result = await session.invocation.open().migrate(check=check)
    if session.out.as_json:
        session.out.print_json(schemas.MigrationOut.from_result(result, is_check=check))
    _print_migration(session, result, check=check)
    if check and result.applied:
        session.out.note(f"Apply with: {session.invocation.command('migrate')}")
    return ExitStatus.DONE


def _print_migration(session: CommandSession, result: "MigrationResult", *, check: bool) -> None:
    migrations = format_count(len(result.applied), "migration")
    if not result.applied:
        session.out.line(f"The database is up to date (schema {result.after}).")
    elif check:
        session.out.line(f"{migrations} would be applied: schema {result.before} to {result.after}.")
    else:
        session.out.line(f"{migrations} applied: schema {result.before} to {result.after}.")


async def _import_from_original(session: CommandSession, source: str, *, check: bool) -> ExitStatus:
    out = session.out
    result = await session.invocation.open().migrate_from_original(source, check=check)
    report = result.report
    if out.as_json:
        migrated = schemas.MigrationOut.from_result(result.migrated, is_check=check)
        out.print_json(schemas.LegacyImportOut.from_report(report, migrated))
    _print_migration(session, result.migrated, check=check)
    for line in (*_format_jobs(report), *_format_backups(report)):
        out.line(line)
    if check and (result.migrated.applied or report.jobs or report.backups):
        out.note(f"Apply with: {session.invocation.command('migrate', '--from-original', '--source', source)}")
    elif report.jobs and not check:
        out.note(
            f"Continue an imported job with its complete input: {session.invocation.command('run')} FILE --job JOB"
        )
    return ExitStatus.WITH_FAILURES if report.skipped else ExitStatus.DONE


def _format_jobs(report: "LegacyReport") -> "Iterator[str]":
    for job in report.jobs:
        yield f"  {printed_id(job.id)}: {job.completed:,} completed, {job.failed:,} failed, of {printable(job.owner)}"
    yield from _format_totals(report, "unfinished job", len(report.jobs), report.job_totals, "finished")


def _format_backups(report: "LegacyReport") -> "Iterator[str]":
    for backup in report.backups:
        until = f"until {backup.expires_at:%Y-%m-%d %H:%M}Z" if backup.expires_at is not None else "pinned"
        contents = format_count(backup.conversations, "conversation")
        yield f"  {printable(backup.id)}: {contents}, {until}, of {printable(backup.owner)}"
    yield from _format_totals(report, "live backup", len(report.backups), report.backup_totals, "expired")


def _format_totals(
    report: "LegacyReport", noun: str, imported: int, totals: "ImportTotals", ended_word: str
) -> "Iterator[str]":
    clauses = [f"{format_count(imported, noun)} {'would be ' if report.is_check else ''}imported"]
    clauses += [f"{totals.already_imported:,} imported before"] if totals.already_imported else []
    clauses += [f"{totals.ended:,} {ended_word}"] if totals.ended else []
    clauses += [f"{len(totals.skipped):,} not imported"] if totals.skipped else []
    yield f"{', '.join(clauses)}."
    for record in totals.skipped:
        yield f"  {printable(record.id)} was not imported: {printable(record.reason)}"
