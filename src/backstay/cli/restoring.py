"""`backstay backups restore`: undo a delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.confirm import confirm
from backstay.cli.exits import ExitStatus
from backstay.cli.interruption import interrupt_on_sigterm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, BackupArgument, Yes
from backstay.cli.output import Output
from backstay.cli.progress import backup_progress_view
from backstay.cli.selection_options import Everything, Ids, IdsFile, Job, OlderThan, Persona, Search, selection_from
from backstay.cli.text import format_count
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.backup.restore_plan import ConflictingConversation, RestorePlan, RestoreResult

_MAX_SHOWN = 10
_ITS_ITEM_HAS_ANOTHER = "the item it was made for has another result"


def restore(
    context: typer.Context,
    backup: BackupArgument,
    ids: Ids = None,
    ids_file: IdsFile = None,
    job: Job = None,
    search: Search = None,
    persona: Persona = None,
    older_than: OlderThan = None,
    everything: Everything = False,
    on_conflict: Annotated[
        RestoreConflictPolicy,
        typer.Option(
            help="On a conflict: restore nothing, skip those in conflict, or back up and replace what is stored."
        ),
    ] = RestoreConflictPolicy.FAIL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be restored.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitStatus:
    """Restore the conversations of a backup, or those selected: all of them or none.

    Restores ids, order, turns, times and your own columns as they were, and links items to their results again. Leaves
    stored conversations as they are, so that a second restore does no harm. Only --on-conflict replace overwrites
    conversations; it asks on a terminal and needs --yes elsewhere.

    \b
    Examples:
      backstay backups restore backup-1730720400123-abc123
      backstay backups restore backup-1730720400123-abc123 --search lighthouse --dry-run
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    selection = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    )

    async def plan() -> "RestorePlan":
        async with invocation.open() as backstay:
            return await backstay.backups.plan_restore(backup, selection)

    async def execute() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as view:
                result = await backstay.backups.restore(backup, selection, on_conflict=on_conflict, on_progress=view)
            _conclude(invocation, out, result)
            await reminders.remind(invocation, out, backstay)

    if dry_run:
        _print_plan(out, run_async(plan()))
        return ExitStatus.DONE
    if on_conflict is RestoreConflictPolicy.REPLACE and not yes:
        planned = run_async(plan())
        if planned.conflicts:
            confirm(f"Replace {format_count(planned.conflicts, 'conversation')} (backed up first)", backup_id=backup)
    try:
        with interrupt_on_sigterm():
            run_async(execute())
    except KeyboardInterrupt:
        out.note(
            "Interrupted; nothing was restored, unless the restore had just ended. Run the same command again.",
            always=True,
        )
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def _print_plan(out: Output, plan: "RestorePlan") -> None:
    if out.as_json:
        from backstay.schemas import RestorePlanOut

        out.print_json(RestorePlanOut.from_plan(plan))
        return
    out.line(f"{format_count(plan.new, 'conversation')} would be restored.")
    if plan.unlinked:
        out.line(f"{plan.unlinked:,} of them would stay unlinked: {_ITS_ITEM_HAS_ANOTHER}.")
    if plan.identical:
        are = "is already stored, unchanged" if plan.identical == 1 else "are already stored, unchanged"
        out.line(f"{plan.identical:,} {are}.")
    if plan.conflicts:
        out.line(f"{plan.conflicts:,} {'is' if plan.conflicts == 1 else 'are'} in conflict:")
        for conflict in plan.clashes[:_MAX_SHOWN]:
            out.line(f"  {printed_id(conflict.id)}: {_format_conflict(conflict)}")
        if plan.conflicts > _MAX_SHOWN:
            out.line(f"  and {plan.conflicts - _MAX_SHOWN:,} more")


def _format_conflict(conflict: "ConflictingConversation") -> str:
    return {
        "content": "is stored with other content",
        "times": "is stored with the same content and other times",
        "item": f"its item now has conversation {printed_id(conflict.other_id or '')}",
        "busy": "its item is being worked on",
    }[conflict.kind]


def _conclude(invocation: Invocation, out: Output, result: "RestoreResult") -> None:
    if out.as_json:
        from backstay.schemas import RestoreResultOut

        out.print_json(RestoreResultOut.from_result(result))
    clauses = [format_count(result.restored, "conversation") + " restored"]
    clauses += (
        [f"{result.identical:,} {'was' if result.identical == 1 else 'were'} already stored"]
        if result.identical
        else []
    )
    clauses += [f"{result.skipped:,} skipped because of a conflict"] if result.skipped else []
    clauses += [f"{format_count(result.replaced, 'conversation')} replaced"] if result.replaced else []
    clauses += (
        [f"{format_count(result.relinked, 'item')} linked to {'it' if result.relinked == 1 else 'them'} again"]
        if result.relinked
        else []
    )
    clauses += [f"{format_count(result.related, 'related row')} with them"] if result.related else []
    out.line(f"{result.backup_id}: {', '.join(clauses)}.")
    if result.unlinked:
        out.line(f"{format_count(result.unlinked, 'conversation')} not linked: {_ITS_ITEM_HAS_ANOTHER}.")
    if result.left:
        out.note(
            f"{format_count(result.left, 'related row')} not changed: what they refer to is missing, or "
            "they now refer to something else."
        )
    if result.replaced_backup_id is not None:
        undo = invocation.command("backups", "restore", result.replaced_backup_id, "--on-conflict", "replace")
        out.note(f"What was replaced is in {result.replaced_backup_id}. Undo with: {undo}")
