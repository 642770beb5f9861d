"""`backstay conversations delete`: with a plan, a verified backup, and the way back."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.confirm import confirm
from backstay.cli.durations import parse_duration
from backstay.cli.exits import ExitStatus
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, ExpiresIn, Reason, Yes
from backstay.cli.output import Output
from backstay.cli.safekeeping import BackupProgressView, backup_progress_view, format_size, interruptible
from backstay.cli.selection_options import (
    Everything,
    Ids,
    IdsFile,
    Job,
    OlderThan,
    Persona,
    Search,
    refuse_unknown_job,
    selection_from,
)
from backstay.cli.text import format_count, printable, shortened
from backstay.clock import to_text
from backstay.errors import ConfirmationNeeded, EmptySelection, SettingsError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.library.deletion import DeletePlan, DeleteResult
    from backstay.library.selection import Selection

_LONGEST_TOPIC = 60


def delete(
    context: typer.Context,
    ids: Ids = None,
    ids_file: IdsFile = None,
    job: Job = None,
    search: Search = None,
    persona: Persona = None,
    older_than: OlderThan = None,
    everything: Everything = False,
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-missing", help="Delete the others when ids are unknown.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no backup: nothing brings them back.")] = False,
    lose_them: Annotated[
        bool, typer.Option("--lose-them", help="With --no-backup and --yes: they are gone for good, and that is meant.")
    ] = False,
    unfinished: Annotated[
        str | None, typer.Option("--continue", metavar="BACKUP", help="Go on with a delete that was cut off.")
    ] = None,
    reason: Reason = None,
    expires_in: ExpiresIn = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitStatus:
    """Delete conversations, after a verified backup of them. Say which: ids, conditions, or --all.

    Shows its plan first, and asks on a terminal; elsewhere --yes must be given. When the backup fails, nothing is
    deleted. Conversations that somebody changes meanwhile are kept, and named (status 3). The last line is the command
    that undoes it.

    \b
    Examples:
      backstay conversations delete --job topics --dry-run
      backstay conversations delete --search "as an AI" --yes
      backstay conversations delete --ids-file bad.txt --expires-in 30d
      backstay conversations delete --continue backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    chosen = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    )
    keep = parse_duration(expires_in, option="--expires-in") if expires_in is not None else None
    if unfinished is not None:
        if chosen.is_narrowed or everything or no_backup or dry_run:
            raise SettingsError(
                "--continue goes on with what its backup holds: give no other selection", setting="continue"
            )
        return _carry_out(
            invocation, out, lambda backstay, show: backstay.conversations.resume_delete(unfinished, on_progress=show)
        )
    chosen.check()

    async def plan() -> "DeletePlan":
        async with invocation.open() as backstay:
            try:
                return await backstay.conversations.plan_delete(chosen, ignore_missing=ignore_missing)
            except EmptySelection:
                await refuse_unknown_job(backstay, chosen)
                raise

    try:
        planned = run_async(plan())
    except EmptySelection:
        return _say_nothing(out, chosen, dry_run=dry_run)
    if dry_run:
        _show(out, planned, would=True)
        return ExitStatus.DONE
    if not yes or no_backup or planned.related or planned.triggers:
        _show(out, planned, would=False)
    _ask(planned, no_backup=no_backup, lose_them=lose_them, yes=yes)
    return _carry_out(
        invocation,
        out,
        lambda backstay, show: backstay.conversations.delete(
            planned, backup=not no_backup, reason=reason, expires_in=keep, on_progress=show
        ),
    )


def _say_nothing(out: Output, chosen: "Selection", *, dry_run: bool) -> ExitStatus:
    """Nothing is like what was asked for: a command that runs every night has done its work."""
    if out.as_json:
        from backstay.library.deletion import DeletePlan, DeleteResult
        from backstay.schemas import DeletePlanOut, DeleteResultOut

        plan, done = DeletePlan(chosen, 0, 0, 0, "", (), ()), DeleteResult(None, 0, 0, 0)
        out.answer(DeletePlanOut.from_plan(plan) if dry_run else DeleteResultOut.from_result(done, undo=None))
    out.line("Nothing to delete.")
    return ExitStatus.DONE


def _show(out: Output, plan: "DeletePlan", *, would: bool) -> None:
    """Print a plan: as the result of a dry run, else for whoever is about to say yes."""
    if would and out.as_json:
        from backstay.schemas import DeletePlanOut

        out.answer(DeletePlanOut.from_plan(plan))
        return
    tell = out.line if would else out.note
    tell(f"{_counted(plan)}, about {format_size(plan.estimated_bytes)}, would be deleted:")
    for one in plan.sample:
        topic = shortened(printable(one.topic), _LONGEST_TOPIC) if one.topic else "(no topic)"
        tell(f"  {printed_id(one.id)}  {topic}, {format_count(one.turns, 'turn')}")
    if plan.conversations > len(plan.sample):
        tell(f"  and {plan.conversations - len(plan.sample):,} more")
    for rows in plan.related:
        what = "" if rows.goes else " would refer to nothing, or to a default"
        tell(f"{'Also' if rows.goes else 'And'} {format_count(rows.rows, 'row')} in {printable(rows.table)}{what}")
    for trigger in plan.triggers:
        tell(
            f"The trigger {printable(trigger.name)} of {printable(trigger.table)} would fire; "
            "no backup knows what it does"
        )
    if plan.missing:
        tell(f"Not there, and left out: {', '.join(printed_id(name) for name in plan.missing)}")


def _ask(plan: "DeletePlan", *, no_backup: bool, lose_them: bool, yes: bool) -> None:
    if not no_backup:
        if not yes:
            about = f"about {format_size(plan.estimated_bytes)}"
            confirm(f"Back up and delete {format_count(plan.conversations, 'conversation')}, {about}")
        return
    if not yes:
        confirm(f"Delete {format_count(plan.conversations, 'conversation')} without a backup")
    if not lose_them:
        if yes:
            raise ConfirmationNeeded(
                "Without a backup nothing brings these conversations back: say --lose-them, too, if that is wanted"
            )
        confirm("Nothing will bring them back. Go on all the same")


def _carry_out(invocation: Invocation, out: Output, work: "Work") -> ExitStatus:
    shown = backup_progress_view(out)

    async def do() -> ExitStatus:
        async with invocation.open() as backstay:
            with shown:
                done = await work(backstay, shown)
            return await _conclude(invocation, out, backstay, done)

    try:
        with interruptible():
            return run_async(do())
    except KeyboardInterrupt:
        _say_where(invocation, out, shown)
        return ExitStatus.INTERRUPTED


async def _conclude(invocation: Invocation, out: Output, backstay: "Backstay", done: "DeleteResult") -> ExitStatus:
    undo = invocation.command("backups", "restore", done.backup_id) if done.backup_id is not None else None
    if out.as_json:
        from backstay.schemas import DeleteResultOut

        out.answer(DeleteResultOut.from_result(done, undo=undo))
    if done.was_finished:
        out.line(f"That delete was finished before, of {format_count(done.deleted, 'conversation')}; nothing to do.")
        return ExitStatus.DONE
    out.line(f"{format_count(done.deleted, 'conversation')} deleted.")
    for number, ids, what in (
        (done.changed, done.changed_ids, "not deleted: changed meanwhile, or kept by a trigger"),
        (done.gone, done.gone_ids, "already gone"),
    ):
        if number:
            named = ", ".join(printed_id(one) for one in ids)
            out.line(f"{format_count(number, 'conversation')} {what}{f' ({named})' if named else ''}.")
    if done.backup_id is None and done.deleted and not done.is_erased:
        where = invocation.settings()
        remedy = (
            "VACUUM on the server"
            if where.server
            else f"VACUUM on {printable(where.database)}, while no other program uses it,"
        )
        out.note(f"Remnants of their texts may be left in free pages of the database; {remedy} removes them.")
    if done.backup_id is not None and undo is not None:
        backup = await backstay.backups.show(done.backup_id)
        until = f", kept until {to_text(backup.expires_at)[:16]}Z" if backup.expires_at is not None else ""
        out.note(f"A verified backup holds them{until}.")
        out.note(f"Undo with: {undo}")
    return ExitStatus.WITH_FAILURES if done.changed else ExitStatus.DONE


def _say_where(invocation: Invocation, out: Output, shown: BackupProgressView) -> None:
    from backstay.backup.backup import BackupPhase

    latest = shown.latest
    if latest is None or latest.phase is not BackupPhase.DELETING or not latest.backup_id:
        kept = (
            "nothing was deleted"
            if latest is None or latest.phase is not BackupPhase.DELETING
            else "what was deleted is gone"
        )
        out.note(f"Interrupted; {kept}.", always=True)
        return
    go_on = invocation.command("conversations", "delete", "--continue", latest.backup_id)
    undo = invocation.command("backups", "restore", latest.backup_id)
    out.note(f"Interrupted after {latest.conversations:,} of {latest.total:,} conversations.", always=True)
    out.note(f"Continue with: {go_on}", always=True)
    out.note(f"Undo with: {undo}", always=True)


def _counted(plan: "DeletePlan") -> str:
    return f"{format_count(plan.conversations, 'conversation')} with {format_count(plan.turns, 'turn')}"


Work = Callable[["Backstay", BackupProgressView], Awaitable["DeleteResult"]]
