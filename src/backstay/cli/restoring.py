"""`backstay backups restore`: undoing a delete."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.confirm import confirm
from backstay.cli.exits import ExitStatus
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, BackupArgument, Yes
from backstay.cli.output import Output
from backstay.cli.safekeeping import backup_progress_view, interruptible
from backstay.cli.selection_options import Everything, Ids, IdsFile, Job, OlderThan, Persona, Search, selection_from
from backstay.cli.text import format_count
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.backup.restore_plan import ConflictingConversation, RestorePlan, RestoreResult

_SHOWN = 10
_ITS_ITEM_HAS_ANOTHER = "the item it was made for has another result"


class ConflictChoice(StrEnum):
    """The choices of `backstay.backup.restore_plan.OnConflict`, known without loading it."""

    FAIL = "fail"
    SKIP = "skip"
    REPLACE = "replace"


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
        ConflictChoice,
        typer.Option(
            help="When something else is in the way: restore nothing, leave those out, or replace it after a backup."
        ),
    ] = ConflictChoice.FAIL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be restored.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitStatus:
    """Bring back what a backup holds, or the part of it that is selected: all of that or nothing.

    Ids, order, turns, times and columns of your own come back as they were, and items have their results again. What
    is there already is left as it is, so that restoring twice is safe. Only --on-conflict replace overwrites anything,
    and asks (elsewhere than on a terminal: --yes).

    \b
    Examples:
      backstay backups restore backup-1730720400123-abc123
      backstay backups restore backup-1730720400123-abc123 --search lighthouse --dry-run
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    chosen = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    )

    async def plan() -> "RestorePlan":
        async with invocation.open() as backstay:
            return await backstay.backups.plan_restore(backup, chosen)

    async def do() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as shown:
                done = await backstay.backups.restore(backup, chosen, on_conflict=on_conflict, on_progress=shown)
            _conclude(invocation, out, done)
            await reminders.remind(invocation, out, backstay)

    if dry_run:
        _show(out, run_async(plan()))
        return ExitStatus.DONE
    if on_conflict is ConflictChoice.REPLACE and not yes:
        planned = run_async(plan())
        if planned.conflicts:
            confirm(f"Replace {format_count(planned.conflicts, 'conversation')} (backed up first)", backup_id=backup)
    try:
        with interruptible():
            run_async(do())
    except KeyboardInterrupt:
        out.note(
            "Interrupted; nothing was restored, unless it was over already. The same command is safe.", always=True
        )
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def _show(out: Output, plan: "RestorePlan") -> None:
    if out.as_json:
        from backstay.schemas import RestorePlanOut

        out.answer(RestorePlanOut.from_plan(plan))
        return
    out.line(f"{format_count(plan.new, 'conversation')} would be restored.")
    if plan.unlinked:
        out.line(f"{plan.unlinked:,} of them would stay unlinked: {_ITS_ITEM_HAS_ANOTHER}.")
    if plan.identical:
        are = "is there already, as it was" if plan.identical == 1 else "are there already, as they were"
        out.line(f"{plan.identical:,} {are}.")
    if plan.conflicts:
        out.line(f"{plan.conflicts:,} {'is' if plan.conflicts == 1 else 'are'} in conflict:")
        for clash in plan.clashes[:_SHOWN]:
            out.line(f"  {printed_id(clash.id)}: {_format_conflict(clash)}")
        if plan.conflicts > _SHOWN:
            out.line(f"  and {plan.conflicts - _SHOWN:,} more")


def _format_conflict(clash: "ConflictingConversation") -> str:
    return {
        "content": "is there with other content",
        "times": "is there with the same content and other times",
        "item": f"its item has conversation {printed_id(clash.other_id or '')} now",
        "busy": "its item is being worked on",
    }[clash.kind]


def _conclude(invocation: Invocation, out: Output, done: "RestoreResult") -> None:
    if out.as_json:
        from backstay.schemas import RestoreResultOut

        out.answer(RestoreResultOut.from_result(done))
    told = [format_count(done.restored, "conversation") + " restored"]
    told += [f"{done.identical:,} {'was' if done.identical == 1 else 'were'} there already"] if done.identical else []
    told += [f"{done.skipped:,} left out, because something else is in the way"] if done.skipped else []
    told += [f"{format_count(done.replaced, 'other')} replaced"] if done.replaced else []
    told += (
        [f"{format_count(done.relinked, 'item')} linked to {'it' if done.relinked == 1 else 'them'} again"]
        if done.relinked
        else []
    )
    told += [f"{format_count(done.related, 'row')} of other tables with them"] if done.related else []
    out.line(f"{done.backup_id}: {', '.join(told)}.")
    if done.unlinked:
        out.line(f"{format_count(done.unlinked, 'conversation')} not linked: {_ITS_ITEM_HAS_ANOTHER}.")
    if done.left:
        out.note(
            f"{format_count(done.left, 'row')} of other tables stay as they are: what they refer to is missing, or "
            "they refer to something else now."
        )
    if done.replaced_backup_id is not None:
        undo = invocation.command("backups", "restore", done.replaced_backup_id, "--on-conflict", "replace")
        out.note(f"What was replaced is in {done.replaced_backup_id}. Undo with: {undo}")
