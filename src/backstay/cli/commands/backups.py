"""`backstay backups`: create, list, verify, download, pin and delete backups."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.invocation import Invocation
from backstay.cli.options import BackupArgument, BackupOptions, OutputOptions, Yes
from backstay.cli.selection_options import SelectionOptions
from backstay.cli.text import format_count, format_size, format_time, printable
from backstay.limits import MAX_LIST_ENTRIES
from backstay.other_owners import OwnedKind

if TYPE_CHECKING:
    from backstay.backup.backup import Backup

_COLUMNS = ("ID", "STATE", "CONVERSATIONS", "SIZE", "REASON", "CREATED", "EXPIRES")


@command(when_interrupted="Interrupted; no backup was created.")
async def create(session: CommandSession, options: SelectionOptions, backup_options: BackupOptions) -> None:
    """Back up conversations, and verify the backup. Select them by ids, by conditions, or with --all.

    \b
    Examples:
      backstay backups create --all --reason "before the cleanup"
      backstay backups create --job topics --expires-in 30d
    """
    selection, retention = options.selection().check(), backup_options.retention()
    backstay = await session.open()
    with session.backup_progress as view:
        backup = await backstay.backups.create(
            selection, reason=backup_options.reason or "manual_backup", retention=retention, on_progress=view
        )
    session.out.print_result(
        lambda: schemas.BackupOut.from_backup(backup),
        f"{backup.id}: {format_count(backup.conversations, 'conversation')}, "
        f"{format_size(backup.file_bytes)}, verified.",
    )
    session.out.note(f"Restore them with: {session.invocation.command('backups', 'restore', backup.id)}")
    await session.remind()


@command()
async def list_backups(
    session: CommandSession,
    every: Annotated[bool, typer.Option("--every", help="Include backups whose files were removed.")] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_LIST_ENTRIES, help="Maximum number of backups.")
    ] = 100,
) -> None:
    """List backups, the latest first.

    In a pipe: one backup per line, tabs between id, state, conversations, size, reason, creation time and expiry.

    \b
    Example:
      backstay backups list --json
    """
    backstay, out = await session.open(), session.out
    backups = await backstay.backups.list(include_removed=every, limit=limit)
    if out.as_json:
        out.print_json(schemas.BackupsOut.from_page(backups, limit=limit))
    elif backups:
        out.table(_COLUMNS, [_row(backup) for backup in backups], unbroken=("CREATED", "EXPIRES"))
    else:
        out.note("No backups.")
        await reminders.mention_other_owners(out, backstay, OwnedKind.BACKUP)
    for backup in await backstay.backups.with_unfinished_delete():
        out.note(_format_unfinished(session.invocation, backup))
    await session.remind()


@command()
async def show(session: CommandSession, backup_id: BackupArgument) -> None:
    """Show one backup.

    \b
    Example:
      backstay backups show backup-1730720400123-abc123
    """
    backups = (await session.open()).backups
    backup = await backups.show(backup_id)
    path = await backups.path_for(backup)
    session.out.print_result(lambda: schemas.BackupOut.from_backup(backup), *_format_lines(backup, path))


@command()
async def verify(session: CommandSession, backup_id: BackupArgument) -> None:
    """Verify a backup: read and decode its file, and compare every conversation with the recorded digest.

    If the file differs from what was verified before, the backup becomes `damaged`: nothing is deleted or restored with
    it until its file is replaced with an intact copy and verified.

    \b
    Example:
      backstay backups verify backup-1730720400123-abc123
    """
    backstay = await session.open()
    with session.backup_progress as view:
        backup = await backstay.backups.verify(backup_id, on_progress=view)
    size = f"{format_count(backup.conversations, 'conversation')}, {format_size(backup.content_bytes)}"
    session.out.print_result(lambda: schemas.BackupOut.from_backup(backup), f"{backup.id}: intact, {size}.")


@command()
async def download(
    session: CommandSession,
    backup_id: BackupArgument,
    output: OutputOptions,
    compressed: Annotated[bool, typer.Option("--compressed", help="As stored, compressed with zstd.")] = False,
) -> None:
    """Write a copy of a backup, as JSON.

    \b
    Examples:
      backstay backups download backup-1730720400123-abc123 -o library.json
      backstay backups download backup-1730720400123-abc123 --compressed -o /mnt/safe/library.json.zst
    """
    out, written_bytes = session.out, 0
    path = output.path(as_json=out.as_json)
    backstay = await session.open()
    with out.target(path, excluded=backstay.files) as write:
        async for block in backstay.backups.download(backup_id, compressed=compressed):
            write(block)
            written_bytes += len(block)
    if path is None:
        return
    if out.as_json:
        out.print_json(schemas.DownloadOut(backup_id=backup_id, path=path, bytes=written_bytes))
    else:
        out.note(f"{backup_id}: {format_size(written_bytes)} written to {printable(path)}.")


@command()
async def pin(session: CommandSession, backup_id: BackupArgument) -> None:
    """Pin a backup, so that it does not expire.

    \b
    Example:
      backstay backups pin backup-1730720400123-abc123
    """
    backstay = await session.open()
    backup = await backstay.backups.pin(backup_id)
    session.out.print_result(lambda: schemas.BackupOut.from_backup(backup), f"{backup.id}: pinned.")


@command()
async def unpin(session: CommandSession, backup_id: BackupArgument) -> None:
    """Unpin a backup, so that it can expire.

    \b
    Example:
      backstay backups unpin backup-1730720400123-abc123
    """
    backstay = await session.open()
    backup = await backstay.backups.unpin(backup_id)
    # Only an unfinished delete leaves a finished backup without an expiry time.
    expiry = (
        f"expires {format_time(backup.expires_at)}"
        if backup.expires_at is not None
        else "does not expire while its delete is unfinished"
    )
    session.out.print_result(lambda: schemas.BackupOut.from_backup(backup), f"{backup.id}: {expiry}.")


@command()
async def delete(session: CommandSession, backup_id: BackupArgument, yes: Yes = False) -> None:
    """Delete a backup before it expires. Asks on a terminal; elsewhere it needs --yes.

    Refuses a pinned backup, and one that an unfinished delete of conversations still needs. A damaged one is deleted
    even then, and the delete of its conversations is abandoned.

    \b
    Example:
      backstay backups delete backup-1730720400123-abc123 --yes
    """
    if not yes:
        backstay = await session.open()
        backup = await backstay.backups.show(backup_id)
        size = format_count(backup.conversations, "conversation")
        await session.confirm(f"Remove {backup.id} ({size}) for good", backup_id=backup_id)
    backstay = await session.open()  # `confirm` has closed it
    await backstay.backups.delete(backup_id)
    backup = await backstay.backups.show(backup_id)
    session.out.print_result(lambda: schemas.BackupOut.from_backup(backup), f"{backup.id}: removed.")


def _row(backup: "Backup") -> tuple[object, ...]:
    size = format_size(backup.file_bytes) if backup.file_bytes else ""
    return (
        backup.id,
        _format_state(backup),
        backup.conversations,
        size,
        backup.reason,
        format_time(backup.created_at),
        _format_expiry(backup),
    )


def _format_state(backup: "Backup") -> str:
    if backup.removed_at is not None:
        return "removed"
    state = str(backup.state)
    if backup.state == "damaged" and backup.damaged_at is not None:
        state += f" since {format_time(backup.damaged_at)}"
    if backup.is_file_missing:
        state += ", file missing"
    return f"{state}, {backup.deletion}" if backup.deletion is not None else state


def _format_unfinished(invocation: Invocation, backup: "Backup") -> str:
    if backup.state == "damaged":
        verify = invocation.command("backups", "verify", backup.id)
        abandon = invocation.command("backups", "delete", backup.id)
        return (
            f"The delete of {backup.id} is unfinished, and the backup is {_format_state(backup)}.\n"
            f"  after replacing its file with a copy  {verify}\n  abandon the delete with               {abandon}"
        )
    resume = invocation.command("conversations", "delete", "--continue", backup.id)
    undo = invocation.command("backups", "restore", backup.id)
    return f"The delete of {backup.id} is unfinished.\n  continue with  {resume}\n  undo with      {undo}"


def _format_expiry(backup: "Backup") -> str:
    if backup.is_pinned:
        return "never, pinned"
    return format_time(backup.expires_at) if backup.expires_at is not None else "not yet"


def _format_lines(backup: "Backup", path: Path) -> list[str]:
    lines = [f"{backup.id}: {_format_state(backup)}"]
    fields: list[tuple[str, object]] = [
        ("holds", f"{format_count(backup.conversations, 'conversation')}, {format_count(backup.turns, 'turn')}"),
        ("size", f"{format_size(backup.file_bytes)}, {format_size(backup.content_bytes)} as JSON"),
        ("reason", backup.reason),
        ("created", format_time(backup.created_at)),
    ]
    if backup.removed_at is not None:
        fields.append(("removed", format_time(backup.removed_at)))
    else:
        fields.append(("expires", _format_expiry(backup)))
    if backup.error is not None:
        fields.append(("error", backup.error))
    if backup.deletion is not None:
        text = f"{backup.deleted:,} deleted, {backup.changed:,} changed and kept, {backup.gone:,} gone before"
        fields.append(("delete", text))
    if backup.removed_at is None:
        fields.append(("file", path))
    return lines + [f"  {name:<10} {printable(value)}" for name, value in fields]
