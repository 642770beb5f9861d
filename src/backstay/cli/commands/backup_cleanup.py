"""`backstay backups cleanup`: remove expired backups."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.backup.cleanup import CleanupResult


@command()
async def cleanup(
    session: CommandSession,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed, and why.")] = False,
    orphans: Annotated[bool, typer.Option("--orphans", help="Also remove files that belong to no backup.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Remove expired backups at once, without waiting for a second cleanup.")
    ] = False,
) -> None:
    """Remove expired backups, and print why each is kept or removed.

    A backup is removed when two cleanups, at least 24 hours apart, have found it expired, so that one wrong clock
    removes nothing. Never removes a backup that is pinned, is being written, or whose delete is unfinished. Keeps
    the newest BACKUP_KEEP_NEWEST verified backups whatever their age. Run it daily, for instance by cron.

    \b
    Examples:
      backstay backups cleanup --dry-run
      backstay backups cleanup --now
      backstay backups cleanup --json
    """
    backstay = await session.open()
    result = await backstay.backups.cleanup(dry_run=dry_run, orphans=orphans, at_once=now)
    session.out.print_result(lambda: schemas.CleanupResultOut.from_result(result), *_format_lines(result))
    if not result.decisions and not result.orphans:
        session.out.note("Nothing to clean up.")
    if result.orphans and not result.orphans_removed:
        remove = session.invocation.command("backups", "cleanup", "--orphans")
        session.out.note(f"{format_count(len(result.orphans), 'file')} without a backup. Remove with: {remove}")


def _format_lines(result: "CleanupResult") -> "Iterator[str]":
    verbs = {"keep": "keep", "wait": "expired", "remove": "would remove", "finish": "would remove"}
    if not result.is_dry_run:
        verbs = {"keep": "kept", "wait": "expired", "remove": "removed", "finish": "removed"}
    for decision in result.decisions:
        yield f"{verbs[decision.action]:<12} {decision.backup.id}: {decision.reason}"
    for name in result.orphans:
        yield f"{'removed' if result.orphans_removed else 'orphan':<12} {printable(name)}: belongs to no backup"
