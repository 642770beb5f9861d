"""`backstay backups cleanup`: removing what has expired."""

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
    orphans: Annotated[bool, typer.Option("--orphans", help="Remove files, too, that belong to no backup.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Remove expired backups at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove backups that have expired, and say why each stays or goes.

    A backup is removed when two cleanups, at least 24 hours apart, have found it expired, in case the clock is wrong
    once. Never removes one that is pinned, is being written, or whose delete is unfinished. Good for cron, once a day.

    \b
    Examples:
      backstay backups cleanup --dry-run
      backstay backups cleanup --now
      backstay backups cleanup --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            done = await backstay.backups.cleanup(dry_run=dry_run, orphans=orphans, at_once=now)
            if as_json:
                from backstay.schemas import CleanupResultOut

                out.answer(CleanupResultOut.from_result(done))
            _print(invocation, out, done)

    run_async(do())


def _print(invocation: Invocation, out: Output, done: "CleanupResult") -> None:
    verbs = {"keep": "keep", "wait": "expired", "remove": "would remove", "finish": "would remove"}
    if not done.is_dry_run:
        verbs = {"keep": "kept", "wait": "expired", "remove": "removed", "finish": "removed"}
    for decision in done.decisions:
        out.line(f"{verbs[decision.action]:<12} {decision.backup.id}: {decision.reason}")
    for name in done.orphans:
        out.line(
            f"{'removed' if done.orphans_removed else 'orphan':<12} {printable(name)}: its file belongs to no backup"
        )
    if not done.decisions and not done.orphans:
        out.note("There is nothing to clean up.")
    if done.orphans and not done.orphans_removed:
        command = invocation.command("backups", "cleanup", "--orphans")
        out.note(f"{format_count(len(done.orphans), 'file')} of no backup stay; remove with: {command}")
