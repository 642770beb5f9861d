"""`backstay conversations delete`: show a plan, make a verified backup, delete, and print how to undo it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.confirm import confirm
from backstay.cli.durations import parse_duration
from backstay.cli.exits import ExitStatus
from backstay.cli.interruption import interrupt_on_sigterm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, ExpiresIn, Reason, Yes
from backstay.cli.output import Output
from backstay.cli.progress import ProgressView, backup_progress_view
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
from backstay.cli.text import format_count, format_size, printable, shortened
from backstay.clock import to_text
from backstay.errors import ConfirmationNeeded, EmptySelection, SettingsError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import BackupProgress
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
        bool, typer.Option("--ignore-missing", help="Ignore unknown ids and delete the rest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Make no backup; with --yes, needs --permanently, too.")
    ] = False,
    permanently: Annotated[
        bool, typer.Option("--permanently", help="With --no-backup: confirm that nothing can be restored.")
    ] = False,
    unfinished: Annotated[
        str | None, typer.Option("--continue", metavar="BACKUP", help="Continue a delete that was interrupted.")
    ] = None,
    reason: Reason = None,
    expires_in: ExpiresIn = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitStatus:
    """Delete conversations after a verified backup. Select them by ids, by conditions, or with --all.

    Shows its plan first, and asks on a terminal; elsewhere it needs --yes. If the backup fails, nothing is deleted.
    Conversations that change meanwhile are kept and listed (status 3). The last line is the command that undoes the
    delete.

    \b
    Examples:
      backstay conversations delete --job topics --dry-run
      backstay conversations delete --search "as an AI" --yes
      backstay conversations delete --ids-file bad.txt --expires-in 30d
      backstay conversations delete --continue backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    selection = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    )
    keep = parse_duration(expires_in, option="--expires-in") if expires_in is not None else None
    if unfinished is not None:
        if selection.is_narrowed or everything or no_backup or dry_run:
            raise SettingsError(
                "--continue deletes what its backup holds, and takes no other selection", setting="continue"
            )
        return _delete(
            invocation, out, lambda backstay, view: backstay.conversations.resume_delete(unfinished, on_progress=view)
        )
    if permanently and not no_backup:
        raise SettingsError("--permanently needs --no-backup; nothing was deleted", setting="permanently")
    selection.check()

    async def plan() -> "DeletePlan":
        async with invocation.open() as backstay:
            try:
                return await backstay.conversations.plan_delete(selection, ignore_missing=ignore_missing)
            except EmptySelection:
                await refuse_unknown_job(backstay, selection)
                raise

    try:
        planned = run_async(plan())
    except EmptySelection:
        return _print_nothing(out, selection, dry_run=dry_run)
    if dry_run:
        _print_plan(out, planned, is_result=True)
        return ExitStatus.DONE
    if not yes or no_backup or planned.related or planned.triggers:
        _print_plan(out, planned, is_result=False)
    _confirm_delete(planned, no_backup=no_backup, permanently=permanently, yes=yes)
    return _delete(
        invocation,
        out,
        lambda backstay, view: backstay.conversations.delete(
            planned, backup=not no_backup, reason=reason, expires_in=keep, on_progress=view
        ),
    )


def _print_nothing(out: Output, selection: "Selection", *, dry_run: bool) -> ExitStatus:
    """Report success for an empty selection: a nightly command that finds nothing has done its work."""
    if out.as_json:
        from backstay.library.deletion import DeletePlan, DeleteResult
        from backstay.schemas import DeletePlanOut, DeleteResultOut

        plan, result = DeletePlan(selection, 0, 0, 0, "", (), ()), DeleteResult(None, 0, 0, 0)
        out.print_json(DeletePlanOut.from_plan(plan) if dry_run else DeleteResultOut.from_result(result, undo=None))
    out.line("Nothing to delete.")
    return ExitStatus.DONE


def _print_plan(out: Output, plan: "DeletePlan", *, is_result: bool) -> None:
    """Print a plan: as the result of a dry run, else on standard error before the confirmation."""
    if is_result and out.as_json:
        from backstay.schemas import DeletePlanOut

        out.print_json(DeletePlanOut.from_plan(plan))
        return
    print_line = out.line if is_result else out.note
    print_line(f"{_counted(plan)}, about {format_size(plan.estimated_bytes)}, would be deleted:")
    for summary in plan.sample:
        topic = shortened(printable(summary.topic), _LONGEST_TOPIC) if summary.topic else "(no topic)"
        print_line(f"  {printed_id(summary.id)}  {topic}, {format_count(summary.turns, 'turn')}")
    if plan.conversations > len(plan.sample):
        print_line(f"  and {plan.conversations - len(plan.sample):,} more")
    for rows in plan.related:
        what = "" if rows.goes else " would have their reference set to NULL or a default"
        print_line(
            f"{'Also' if rows.goes else 'And'} {format_count(rows.rows, 'row')} in {printable(rows.table)}{what}"
        )
    for trigger in plan.triggers:
        print_line(
            f"The trigger {printable(trigger.name)} of {printable(trigger.table)} would fire; "
            "what it does is in no backup"
        )
    if plan.missing:
        print_line(f"Not found, and ignored: {', '.join(printed_id(name) for name in plan.missing)}")


def _confirm_delete(plan: "DeletePlan", *, no_backup: bool, permanently: bool, yes: bool) -> None:
    if not no_backup:
        if not yes:
            size = f"about {format_size(plan.estimated_bytes)}"
            confirm(f"Back up and delete {format_count(plan.conversations, 'conversation')}, {size}")
        return
    if not yes:
        confirm(f"Delete {format_count(plan.conversations, 'conversation')} without a backup")
    if not permanently:
        if yes:
            raise ConfirmationNeeded(
                "Without a backup these conversations cannot be restored; confirm that with --permanently"
            )
        confirm("They cannot be restored. Delete them permanently")


def _delete(invocation: Invocation, out: Output, work: "Work") -> ExitStatus:
    view = backup_progress_view(out)

    async def execute() -> ExitStatus:
        async with invocation.open() as backstay:
            with view:
                result = await work(backstay, view)
            return await _conclude(invocation, out, backstay, result)

    try:
        with interrupt_on_sigterm():
            return run_async(execute())
    except KeyboardInterrupt:
        _print_interruption(invocation, out, view)
        return ExitStatus.INTERRUPTED


async def _conclude(invocation: Invocation, out: Output, backstay: "Backstay", result: "DeleteResult") -> ExitStatus:
    undo = invocation.command("backups", "restore", result.backup_id) if result.backup_id is not None else None
    if out.as_json:
        from backstay.schemas import DeleteResultOut

        out.print_json(DeleteResultOut.from_result(result, undo=undo))
    if result.was_finished:
        out.line(
            f"This delete is already finished: {format_count(result.deleted, 'conversation')} deleted, nothing to do."
        )
        return ExitStatus.DONE
    out.line(f"{format_count(result.deleted, 'conversation')} deleted.")
    for number, ids, what in (
        (result.changed, result.changed_ids, "not deleted: changed meanwhile, or kept by a trigger"),
        (result.gone, result.gone_ids, "already gone"),
    ):
        if number:
            listed = ", ".join(printed_id(name) for name in ids)
            out.line(f"{format_count(number, 'conversation')} {what}{f' ({listed})' if listed else ''}.")
    if result.backup_id is None and result.deleted and not result.is_erased:
        settings = invocation.settings()
        remedy = (
            "VACUUM on the server"
            if settings.server
            else f"VACUUM on {printable(settings.database)}, while no other program uses it,"
        )
        out.note(f"Their texts may remain in free pages of the database; {remedy} removes them.")
    if result.backup_id is not None and undo is not None:
        backup = await backstay.backups.show(result.backup_id)
        until = f", kept until {to_text(backup.expires_at)[:16]}Z" if backup.expires_at is not None else ""
        out.note(f"A verified backup holds them{until}.")
        out.note(f"Undo with: {undo}")
    return ExitStatus.WITH_FAILURES if result.changed else ExitStatus.DONE


def _print_interruption(invocation: Invocation, out: Output, view: "ProgressView[BackupProgress]") -> None:
    from backstay.backup.backup import BackupPhase

    latest = view.latest
    if latest is None or latest.phase is not BackupPhase.DELETING or not latest.backup_id:
        outcome = (
            "nothing was deleted"
            if latest is None or latest.phase is not BackupPhase.DELETING
            else "what was deleted is gone"
        )
        out.note(f"Interrupted; {outcome}.", always=True)
        return
    go_on = invocation.command("conversations", "delete", "--continue", latest.backup_id)
    undo = invocation.command("backups", "restore", latest.backup_id)
    out.note(f"Interrupted after {latest.conversations:,} of {latest.total:,} conversations.", always=True)
    out.note(f"Continue with: {go_on}", always=True)
    out.note(f"Undo with: {undo}", always=True)


def _counted(plan: "DeletePlan") -> str:
    return f"{format_count(plan.conversations, 'conversation')} with {format_count(plan.turns, 'turn')}"


Work = Callable[["Backstay", "ProgressView[BackupProgress]"], Awaitable["DeleteResult"]]
