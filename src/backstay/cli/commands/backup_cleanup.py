"""`backstay backups cleanup`: remove expired backups."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable

if TYPE_CHECKING:
    from backstay.backup.cleanup import CleanupResult


def cleanup(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed, and why.")] = False,
    orphans: Annotated[bool, typer.Option("--orphans", help="Also remove files that belong to no backup.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Remove expired backups at once, without waiting for a second cleanup.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove expired backups, and print why each is kept or removed.

    A backup is removed when two cleanups, at least 24 hours apart, have found it expired: one wrong clock removes
    nothing. Never removes a backup that is pinned, is being written, or whose delete is unfinished. Run it daily,
    for instance by cron.

    \b
    Examples:
      backstay backups cleanup --dry-run
      backstay backups cleanup --now
      backstay backups cleanup --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            result = await backstay.backups.cleanup(dry_run=dry_run, orphans=orphans, at_once=now)
            if as_json:
                from backstay.schemas import CleanupResultOut

                out.print_json(CleanupResultOut.from_result(result))
            _print(invocation, out, result)

    run_async(execute())


def _print(invocation: Invocation, out: Output, result: "CleanupResult") -> None:
    verbs = {"keep": "keep", "wait": "expired", "remove": "would remove", "finish": "would remove"}
    if not result.is_dry_run:
        verbs = {"keep": "kept", "wait": "expired", "remove": "removed", "finish": "removed"}
    for decision in result.decisions:
        out.line(f"{verbs[decision.action]:<12} {decision.backup.id}: {decision.reason}")
    for name in result.orphans:
        out.line(f"{'removed' if result.orphans_removed else 'orphan':<12} {printable(name)}: belongs to no backup")
    if not result.decisions and not result.orphans:
        out.note("Nothing to clean up.")
    if result.orphans and not result.orphans_removed:
        command = invocation.command("backups", "cleanup", "--orphans")
        out.note(f"{format_count(len(result.orphans), 'file')} belong to no backup. Remove with: {command}")
