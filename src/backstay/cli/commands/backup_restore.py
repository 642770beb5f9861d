"""`backstay backups restore`: undo a delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.index_update import update_index
from backstay.cli.invocation import Invocation
from backstay.cli.options import BackupArgument, Yes
from backstay.cli.output import Output
from backstay.cli.selection_options import SelectionOptions
from backstay.cli.text import format_count
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.backup.restore_plan import ConflictingConversation, RestorePlan, RestoreResult

_MAX_SHOWN_CONFLICTS = 10
_UNLINKED_REASON = "the item it was made for has another result"


@command(
    when_interrupted="Interrupted; nothing was restored, unless the restore had just ended. Run the same command again."
)
async def restore(
    session: CommandSession,
    backup: BackupArgument,
    options: SelectionOptions,
    on_conflict: Annotated[
        RestoreConflictPolicy,
        typer.Option(
            help="On a conflict: restore nothing, skip those in conflict, or back up and replace what is stored."
        ),
    ] = RestoreConflictPolicy.FAIL,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be restored, with this --on-conflict.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Restore the conversations of a backup, or those selected: all of them or none.

    Restores ids, order, turns, times and your own columns as they were, and links items to their results again. Leaves
    stored conversations as they are, so that a second restore does no harm. Only --on-conflict replace overwrites
    conversations; it asks on a terminal and needs --yes elsewhere.

    \b
    Examples:
      backstay backups restore backup-1730720400123-abc123
      backstay backups restore backup-1730720400123-abc123 --search lighthouse --dry-run
    """
    selected = options.selection()
    selection = selected if selected.is_narrowed else None  # without a condition, the whole backup
    backstay = await session.open()
    if dry_run:
        plan = await backstay.backups.plan_restore(backup, selection)
        session.out.print_result(lambda: schemas.RestorePlanOut.from_plan(plan), *_format_plan(plan, on_conflict))
        return
    if on_conflict is RestoreConflictPolicy.REPLACE and not yes:
        plan = await backstay.backups.plan_restore(backup, selection)
        if plan.conflicts:
            conflicts = format_count(plan.conflicts, "conversation")
            await session.confirm(f"Replace {conflicts} (backed up first)", backup_id=backup)
            backstay = await session.open()
    with session.backup_progress as view:
        result = await backstay.backups.restore(backup, selection, on_conflict=on_conflict, on_progress=view)
    print_outcome(session.invocation, session.out, result)
    await session.remind()
    await update_index(backstay)


def _format_plan(plan: "RestorePlan", on_conflict: RestoreConflictPolicy) -> "Iterator[str]":
    is_refused = bool(plan.conflicts) and (
        on_conflict is RestoreConflictPolicy.FAIL
        or (on_conflict is RestoreConflictPolicy.REPLACE and any(each.kind == "busy" for each in plan.listed_conflicts))
    )
    replaces = on_conflict is RestoreConflictPolicy.REPLACE
    if is_refused:
        yield f"Nothing would be restored with --on-conflict {on_conflict}, because of a conflict."
    else:
        restored = plan.new + (plan.conflicts if replaces else 0)
        yield f"{format_count(restored, 'conversation')} would be restored."
    if plan.unlinked and not is_refused:
        yield f"{plan.unlinked:,} of them would stay unlinked: {_UNLINKED_REASON}."
    if plan.identical:
        are = "is already stored, unchanged" if plan.identical == 1 else "are already stored, unchanged"
        yield f"{plan.identical:,} {are}."
    if plan.conflicts:
        is_or_are = "is" if plan.conflicts == 1 else "are"
        end = ""
        if not is_refused:
            end = ", and what is stored would be backed up and replaced" if replaces else ", and would be skipped"
        yield f"{plan.conflicts:,} {is_or_are} in conflict{end}:"
        for conflict in plan.listed_conflicts[:_MAX_SHOWN_CONFLICTS]:
            yield f"  {printed_id(conflict.id)}: {_format_conflict(conflict)}"
        if plan.conflicts > _MAX_SHOWN_CONFLICTS:
            yield f"  and {plan.conflicts - _MAX_SHOWN_CONFLICTS:,} more"


def _format_conflict(conflict: "ConflictingConversation") -> str:
    return {
        "content": "is stored with other content",
        "times": "is stored with the same content and other times",
        "item": f"its item now has conversation {printed_id(conflict.other_id or '')}",
        "busy": "its item is being worked on",
    }[conflict.kind]


def print_outcome(invocation: Invocation, out: Output, result: "RestoreResult") -> None:
    out.print_result(lambda: schemas.RestoreResultOut.from_result(result), *_format_result(result))
    if result.related_not_restored:
        out.note(
            f"{format_count(result.related_not_restored, 'related row')} not restored: what they refer to is missing, "
            "or they now refer to something else."
        )
    if result.replaced_backup_id is not None:
        undo = invocation.command("backups", "restore", result.replaced_backup_id, "--on-conflict", "replace")
        out.note(f"What was replaced is in {result.replaced_backup_id}. Undo with: {undo}")


def _format_result(result: "RestoreResult") -> "Iterator[str]":
    were, them = "was" if result.identical == 1 else "were", "it" if result.relinked == 1 else "them"
    stored = "a stored one" if result.replaced == 1 else "stored ones"
    clauses = (
        (True, f"{format_count(result.restored, 'conversation')} restored"),
        (result.replaced, f"{result.replaced:,} of them in place of {stored}"),
        (result.identical, f"{result.identical:,} {were} already stored"),
        (result.skipped, f"{result.skipped:,} skipped because of a conflict"),
        (result.relinked, f"{format_count(result.relinked, 'item')} linked to {them} again"),
        (result.related, f"{format_count(result.related, 'related row')} with them"),
    )
    yield f"{result.backup_id}: {', '.join(clause for is_shown, clause in clauses if is_shown)}."
    if result.unlinked:
        yield f"{format_count(result.unlinked, 'conversation')} not linked: {_UNLINKED_REASON}."
