"""`backstay conversations delete`: show a plan, make a verified backup, delete, and print how to undo it."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.exit_status import ExitStatus
from backstay.cli.options import BackupOptions, Yes
from backstay.cli.output import Output
from backstay.cli.selection_options import SelectionOptions, refuse_unknown
from backstay.cli.text import format_count, format_size, printable, truncate
from backstay.clock import to_text
from backstay.errors import ConfirmationNeeded, EmptySelection, SettingsError
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.app import Backstay
    from backstay.library.deletion import DeletePlan, DeleteResult
    from backstay.library.selection import Selection

_MAX_TOPIC_CHARACTERS = 60


def _print_interruption(session: CommandSession) -> None:
    from backstay.backup.backup import BackupPhase

    invocation, out, latest = session.invocation, session.out, session.backup_progress.latest
    if latest is None or latest.phase is not BackupPhase.DELETING:
        out.note("Interrupted; nothing was deleted.", always=True)
        return
    if not latest.backup_id:
        out.note("Interrupted; conversations deleted so far cannot be restored.", always=True)
        return
    resume = invocation.command("conversations", "delete", "--continue", latest.backup_id)
    undo = invocation.command("backups", "restore", latest.backup_id)
    out.note(f"Interrupted after {latest.conversations:,} of {latest.total:,} conversations.", always=True)
    out.note(f"Continue with: {resume}", always=True)
    out.note(f"Undo with: {undo}", always=True)


@command(when_interrupted=_print_interruption)
async def delete(
    session: CommandSession,
    *,
    options: SelectionOptions,
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
    backup_options: BackupOptions,
    yes: Yes = False,
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
    selection, retention, out = options.selection(), backup_options.retention(), session.out
    if unfinished is not None:
        if selection.is_narrowed or selection.everything or no_backup or dry_run:
            raise SettingsError(
                "--continue deletes the conversations in its backup, and takes no other selection", setting="continue"
            )
        backstay = await session.open()
        with session.backup_progress as view:
            result = await backstay.conversations.resume_delete(unfinished, on_progress=view)
        return await _conclude(session, backstay, result)
    if permanently and not no_backup:
        raise SettingsError("--permanently needs --no-backup; nothing was deleted", setting="permanently")
    selection.check()
    backstay = await session.open()
    try:
        plan = await backstay.conversations.plan_delete(selection, ignore_missing=ignore_missing)
    except EmptySelection:
        await refuse_unknown(backstay, selection)
        return _print_nothing(out, selection, dry_run=dry_run)
    if dry_run:
        out.print_result(lambda: schemas.DeletePlanOut.from_plan(plan), *_format_plan(plan))
        return ExitStatus.DONE
    if not yes or no_backup or plan.related or plan.triggers:
        for line in _format_plan(plan):
            out.note(line)
    await _confirm(session, plan, no_backup=no_backup, permanently=permanently, yes=yes)
    backstay = await session.open()
    with session.backup_progress as view:
        result = await backstay.conversations.delete(
            plan, backup=not no_backup, reason=backup_options.reason, retention=retention, on_progress=view
        )
    return await _conclude(session, backstay, result)


def _print_nothing(out: Output, selection: "Selection", *, dry_run: bool) -> ExitStatus:
    """Report success for an empty selection: a nightly command that finds nothing has done its work."""
    from backstay.library.deletion import DeletePlan, DeleteResult

    plan, result = DeletePlan(selection, 0, 0, 0, "", (), ()), DeleteResult(None, 0, 0, 0)
    out.print_result(
        lambda: (
            schemas.DeletePlanOut.from_plan(plan) if dry_run else schemas.DeleteResultOut.from_result(result, undo=None)
        ),
        "Nothing to delete.",
    )
    return ExitStatus.DONE


def _format_plan(plan: "DeletePlan") -> "Iterator[str]":
    counts = f"{format_count(plan.conversations, 'conversation')} with {format_count(plan.turns, 'turn')}"
    yield f"{counts}, about {format_size(plan.estimated_bytes)}, would be deleted:"
    for summary in plan.sample:
        topic = truncate(printable(summary.topic), _MAX_TOPIC_CHARACTERS) if summary.topic else "(no topic)"
        yield f"  {printed_id(summary.id)}  {topic}, {format_count(summary.turns, 'turn')}"
    if plan.conversations > len(plan.sample):
        yield f"  and {plan.conversations - len(plan.sample):,} more"
    yield from format_side_effects(plan)
    if plan.missing:
        yield f"Not found, and ignored: {', '.join(printed_id(name) for name in plan.missing)}"


def format_side_effects(plan: "DeletePlan") -> "Iterator[str]":
    """Yield what a delete would also delete, change or fire."""
    for rows in plan.related:
        effect = "" if rows.is_deleted else " would have their reference set to NULL or a default"
        also = "Also" if rows.is_deleted else "And"
        yield f"{also} {format_count(rows.rows, 'row')} in {printable(rows.table)}{effect}"
    for trigger in plan.triggers:
        name = f"{printable(trigger.name)} of {printable(trigger.table)}"
        yield f"The trigger {name} would fire; no backup holds what it changes"


async def _confirm(
    session: CommandSession, plan: "DeletePlan", *, no_backup: bool, permanently: bool, yes: bool
) -> None:
    if not no_backup:
        if not yes:
            size = f"about {format_size(plan.estimated_bytes)}"
            await session.confirm(f"Back up and delete {format_count(plan.conversations, 'conversation')}, {size}")
        return
    if not yes:
        question = f"Delete {format_count(plan.conversations, 'conversation')} without a backup"
        await session.confirm(question, options="--yes --permanently")
    if not permanently:
        if yes:
            raise ConfirmationNeeded(
                "Without a backup these conversations cannot be restored; confirm that with --permanently"
            )
        await session.confirm("They cannot be restored. Delete them permanently")


async def _conclude(session: CommandSession, backstay: "Backstay", result: "DeleteResult") -> ExitStatus:
    invocation, out = session.invocation, session.out
    undo = invocation.command("backups", "restore", result.backup_id) if result.backup_id is not None else None
    if out.as_json:
        out.print_json(schemas.DeleteResultOut.from_result(result, undo=undo))
    if result.was_finished:
        out.line(
            f"This delete is already finished: {format_count(result.deleted, 'conversation')} deleted, nothing to do."
        )
        return ExitStatus.DONE
    out.line(f"{format_count(result.deleted, 'conversation')} deleted.")
    for number, ids, outcome in (
        (result.changed, result.changed_ids, "not deleted: changed meanwhile, or kept by a trigger"),
        (result.gone, result.gone_ids, "already gone"),
    ):
        if number:
            examples = ", ".join(printed_id(name) for name in ids)
            out.line(f"{format_count(number, 'conversation')} {outcome}{f' ({examples})' if examples else ''}.")
    if result.backup_id is None and result.deleted and not result.is_erased:
        settings = invocation.settings()
        remedy = (
            "VACUUM on the server"
            if settings.postgres_url
            else f"VACUUM on {printable(settings.database)}, while no other program uses it,"
        )
        out.note(f"Their texts may remain in free pages of the database; {remedy} removes them.")
    if result.backup_id is not None and undo is not None:
        backup = await backstay.backups.show(result.backup_id)
        until = f", kept until {to_text(backup.expires_at)[:16]}Z" if backup.expires_at is not None else ""
        out.note(f"A verified backup holds them{until}.")
        out.note(f"Undo with: {undo}")
    return ExitStatus.WITH_FAILURES if result.changed else ExitStatus.DONE
