"""`backstay migrate`: migrate a database to the current schema, and import from the original library."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.exit_status import ExitStatus
from backstay.cli.legacy_report import format_report
from backstay.cli.text import format_count
from backstay.errors import SettingsError

if TYPE_CHECKING:
    from backstay.migration_result import MigrationResult


@command()
async def migrate(
    session: CommandSession,
    check: Annotated[bool, typer.Option("--check", help="Only report what would be done.")] = False,
    from_original: Annotated[
        bool, typer.Option("--from-original", help="Then import jobs and backups of the original library.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="SCHEMA", help="Schema of the tables to import [default: public].")
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER",
            help="Owner of imported jobs, and of imported backups without a user [default: the global --owner].",
        ),
    ] = None,
) -> ExitStatus:
    """Create the tables in a PostgreSQL database, or migrate them to the current schema.

    Each migration is applied completely or not at all. Running it several times, or in several processes, does no harm.
    A SQLite file is migrated whenever it is opened, so there this command only creates a missing database.

    With --from-original, the tables batch_checkpoints and backup_exports of the original library, in the same
    database, are imported, too. Each unfinished checkpoint becomes a job, which a run with the complete input
    continues. Each live backup becomes a backup of Backstay; its file must be on this machine. The original tables
    and files do not change, and jobs and backups that were imported before are left alone.

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
    session.out.line(_format_migration(result, is_check=check))
    if check and result.applied:
        session.out.note(f"Apply with: {session.invocation.command('migrate')}")
    return ExitStatus.DONE


async def _import_from_original(session: CommandSession, source: str, *, check: bool) -> ExitStatus:
    out = session.out
    result = await session.invocation.open().migrate_from_original(source, check=check)
    report = result.report
    if out.as_json:
        migrated = schemas.MigrationOut.from_result(result.migrated, is_check=check)
        out.print_json(schemas.LegacyImportOut.from_report(report, migrated))
    out.line(_format_migration(result.migrated, is_check=check))
    for line in format_report(report):
        out.line(line)
    if check and (result.migrated.applied or report.jobs or report.backups):
        out.note(f"Apply with: {session.invocation.command('migrate', '--from-original', '--source', source)}")
    elif report.jobs and not check:
        out.note(
            f"Continue an imported job with its complete input: {session.invocation.command('run')} FILE --job JOB"
        )
    return ExitStatus.WITH_FAILURES if report.skipped else ExitStatus.DONE


def _format_migration(result: "MigrationResult", *, is_check: bool) -> str:
    """Return a migration's result as a sentence."""
    if not result.applied:
        return f"The database is up to date (schema {result.after})."
    migrations = format_count(len(result.applied), "migration")
    return f"{migrations} {'would be ' if is_check else ''}applied: schema {result.before} to {result.after}."
