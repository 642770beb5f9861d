"""The report of an import from the original library, as lines of text."""

from typing import TYPE_CHECKING

from backstay.cli.text import format_count, printable
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.legacy.report import ImportTotals, LegacyReport


def format_report(report: "LegacyReport") -> "Iterator[str]":
    """Yield a line for each imported job and backup, and for each that was skipped, with the totals."""
    yield from _format_jobs(report)
    yield from _format_backups(report)


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
    if totals.already_imported:
        clauses.append(f"{totals.already_imported:,} imported before")
    if totals.ended:
        clauses.append(f"{totals.ended:,} already {ended_word}")
    if totals.skipped:
        clauses.append(f"{len(totals.skipped):,} not imported")
    yield f"{', '.join(clauses)}."
    for record in totals.skipped:
        yield f"  {printable(record.id)} was not imported: {printable(record.reason)}"
