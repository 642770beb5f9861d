"""`backstay backups`: create, list, verify, download, pin and delete backups; `restore` has a module of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.cleaning import cleanup
from backstay.cli.confirm import confirm
from backstay.cli.durations import parse_duration
from backstay.cli.exits import EPILOG, ExitStatus
from backstay.cli.interruption import interrupt_on_sigterm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, BackupArgument, ExpiresIn, Reason, Yes
from backstay.cli.output import Output, flush
from backstay.cli.progress import backup_progress_view
from backstay.cli.restoring import restore
from backstay.cli.selection_options import Everything, Ids, IdsFile, Job, OlderThan, Persona, Search, selection_from
from backstay.cli.text import format_count, format_size, printable
from backstay.clock import to_text
from backstay.coordination.store import OwnedKind
from backstay.errors import SettingsError
from backstay.limits import MAX_LISTED

if TYPE_CHECKING:
    from backstay.backup.backup import Backup

_COLUMNS = ("ID", "STATE", "CONVERSATIONS", "SIZE", "REASON", "CREATED", "EXPIRES")

app = typer.Typer(help="Create, verify, restore and manage backups of conversations.", no_args_is_help=False)


def create(
    context: typer.Context,
    ids: Ids = None,
    ids_file: IdsFile = None,
    job: Job = None,
    search: Search = None,
    persona: Persona = None,
    older_than: OlderThan = None,
    everything: Everything = False,
    reason: Reason = None,
    expires_in: ExpiresIn = None,
    as_json: AsJson = False,
) -> ExitStatus:
    """Back up conversations, and verify the backup. Select them by ids, by conditions, or with --all.

    \b
    Examples:
      backstay backups create --all --reason "before the cleanup"
      backstay backups create --job topics --expires-in 30d
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    selection = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    ).check()
    keep = parse_duration(expires_in, option="--expires-in") if expires_in is not None else None

    async def execute() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as view:
                backup = await backstay.backups.create(
                    selection, reason=reason or "manual_backup", expires_in=keep, on_progress=view
                )
            if as_json:
                from backstay.schemas import BackupOut

                out.print_json(BackupOut.from_backup(backup))
            out.line(
                f"{backup.id}: {format_count(backup.conversations, 'conversation')}, "
                f"{format_size(backup.file_bytes)}, verified."
            )
            out.note(f"Restore them with: {invocation.command('backups', 'restore', backup.id)}")
            await reminders.remind(invocation, out, backstay)

    try:
        with interrupt_on_sigterm():
            run_async(execute())
    except KeyboardInterrupt:
        out.note("Interrupted; no backup was created.", always=True)
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def list_backups(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--every", help="Include backups whose files were removed.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=MAX_LISTED, help="Maximum number of backups.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List backups, the latest first.

    In a pipe: one backup per line, tabs between id, state, conversations, size, reason, creation time and expiry.

    \b
    Example:
      backstay backups list --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            backups = await backstay.backups.list(every=every, limit=limit)
            if as_json:
                from backstay.schemas import BackupsOut

                out.print_json(BackupsOut.from_page(backups, limit=limit))
            elif backups:
                out.table(_COLUMNS, [_row(backup) for backup in backups], whole=("CREATED", "EXPIRES"))
            else:
                out.note("No backups.")
                await reminders.mention_other_owners(out, backstay, OwnedKind.BACKUP)
            for backup in await backstay.backups.unfinished():
                out.note(_format_unfinished(invocation, backup))
            await reminders.remind(invocation, out, backstay)

    run_async(execute())


def show(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Show one backup.

    \b
    Example:
      backstay backups show backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            record = await backstay.backups.show(backup)
            if as_json:
                from backstay.schemas import BackupOut

                out.print_json(BackupOut.from_backup(record))
            for line in _format_lines(record, await backstay.backups.path_for(record)):
                out.line(line)

    run_async(execute())


def verify(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Verify a backup: read and decode its file, and compare every conversation with the recorded digest.

    If the file differs from what was verified before, the backup becomes `damaged`: nothing is deleted or restored with
    it until a copy of its file is in place and verified.

    \b
    Example:
      backstay backups verify backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as view:
                record = await backstay.backups.verify(backup, on_progress=view)
            if as_json:
                from backstay.schemas import BackupOut

                out.print_json(BackupOut.from_backup(record))
            out.line(
                f"{record.id}: intact, {format_count(record.conversations, 'conversation')}, "
                f"{format_size(record.content_bytes)}."
            )

    run_async(execute())


def download(
    context: typer.Context,
    backup: BackupArgument,
    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write, completely or not at all [default: standard output]."
        ),
    ] = None,
    compressed: Annotated[bool, typer.Option("--compressed", help="As stored, compressed with zstd.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a copy of a backup, as JSON.

    \b
    Examples:
      backstay backups download backup-1730720400123-abc123 -o library.json
      backstay backups download backup-1730720400123-abc123 --compressed -o /mnt/safe/library.json.zst
    """
    from backstay.files import write_atomically

    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    path = None if target in (None, "-") else target
    if as_json and path is None:
        raise SettingsError(
            "--json needs a file to write with -o: the JSON result goes to standard output", setting="output"
        )

    async def execute() -> None:
        async with invocation.open() as backstay:
            blocks = backstay.backups.download(backup, compressed=compressed)
            if path is None:
                write = out.stream()
                async for block in blocks:
                    write(block)
                flush()
                return
            number = 0
            with write_atomically(Path(path)) as file:
                async for block in blocks:
                    number += file.write(block)
            if as_json:
                from backstay.schemas import DownloadOut

                out.print_json(DownloadOut(backup_id=backup, path=path, bytes=number))
            else:
                out.note(f"{backup}: {format_size(number)} written to {printable(path)}.")

    run_async(execute())


def pin(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Pin a backup: it does not expire.

    \b
    Example:
      backstay backups pin backup-1730720400123-abc123
    """
    _set_pin(context, backup, pinned=True, as_json=as_json)


def unpin(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Unpin a backup: it expires at its time.

    \b
    Example:
      backstay backups unpin backup-1730720400123-abc123
    """
    _set_pin(context, backup, pinned=False, as_json=as_json)


def delete(context: typer.Context, backup: BackupArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a backup before it expires. Asks on a terminal; elsewhere it needs --yes.

    A backup that is pinned, or whose delete is unfinished, is not deleted, unless it is damaged: then its unfinished
    delete is abandoned.

    \b
    Example:
      backstay backups delete backup-1730720400123-abc123 --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def describe() -> str:
        async with invocation.open() as backstay:
            record = await backstay.backups.show(backup)
            return f"{record.id} ({format_count(record.conversations, 'conversation')})"

    async def execute() -> None:
        async with invocation.open() as backstay:
            await backstay.backups.delete(backup)
            if as_json:
                from backstay.schemas import BackupOut

                out.print_json(BackupOut.from_backup(await backstay.backups.show(backup)))
            out.line(f"{printable(backup)}: removed.")

    if not yes:
        confirm(f"Remove {run_async(describe())} for good", backup_id=backup)
    run_async(execute())


def use_folder(context: typer.Context, yes: Yes = False, as_json: AsJson = False) -> None:
    """Assign the folder for new backups to this library, whatever it was used for before. Asks on a terminal.

    Use it when the disk with the former folder is gone for good, or when this database was moved from another file
    system or machine. A copy of a database needs its own folder instead: set BACKUP_DIRECTORY.

    \b
    Example:
      BACKUP_DIRECTORY=/mnt/backups backstay backups use-folder --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def question() -> str:
        async with invocation.open() as backstay:
            folder, problem = await backstay.backups.folder()
            why = f" ({printable(problem)})" if problem is not None else ""
            return f"Use {printable(folder)} for the backups of this library, and of no other database{why}"

    async def execute() -> None:
        async with invocation.open() as backstay:
            folder = await backstay.backups.use_folder()
            if as_json:
                from backstay.schemas import BackupFolderOut

                out.print_json(BackupFolderOut(folder=str(folder)))
            out.line(f"{printable(folder)} is now the folder for this library's backups.")

    if not yes:
        confirm(run_async(question()))
    run_async(execute())


def _set_pin(context: typer.Context, backup: str, *, pinned: bool, as_json: bool) -> None:
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            record = await (backstay.backups.pin(backup) if pinned else backstay.backups.unpin(backup))
            if as_json:
                from backstay.schemas import BackupOut

                out.print_json(BackupOut.from_backup(record))
            out.line(f"{record.id}: {'pinned' if pinned else f'expires {_format_expiry(record)}'}.")

    run_async(execute())


def _row(backup: "Backup") -> tuple[object, ...]:
    size = format_size(backup.file_bytes) if backup.file_bytes else ""
    return (
        backup.id,
        _format_state(backup),
        backup.conversations,
        size,
        backup.reason,
        _format_time(to_text(backup.created_at)),
        "never, pinned" if backup.is_pinned else _format_expiry(backup),
    )


def _format_state(backup: "Backup") -> str:
    state = str(backup.state)
    if backup.state == "damaged" and backup.damaged_at is not None:
        state += f" since {_format_time(to_text(backup.damaged_at))}"
    return f"{state}, {backup.deletion}" if backup.deletion is not None else state


def _format_unfinished(invocation: Invocation, backup: "Backup") -> str:
    if backup.state == "damaged":
        verify = invocation.command("backups", "verify", backup.id)
        abandon = invocation.command("backups", "delete", backup.id)
        return (
            f"The delete of {backup.id} is unfinished, and the backup is {_format_state(backup)}.\n"
            f"  once a copy of its file is in place  {verify}\n  abandon it with                      {abandon}"
        )
    resume = invocation.command("conversations", "delete", "--continue", backup.id)
    undo = invocation.command("backups", "restore", backup.id)
    return f"The delete of {backup.id} is unfinished.\n  continue with  {resume}\n  undo with      {undo}"


def _format_expiry(backup: "Backup") -> str:
    return _format_time(to_text(backup.expires_at)) if backup.expires_at is not None else "not yet"


def _format_time(text: str) -> str:
    return f"{text[:10]} {text[11:19]}Z"


def _format_lines(backup: "Backup", path: Path) -> list[str]:
    lines = [f"{backup.id}: {_format_state(backup)}"]
    fields: list[tuple[str, object]] = [
        ("holds", f"{format_count(backup.conversations, 'conversation')}, {format_count(backup.turns, 'turn')}"),
        ("size", f"{format_size(backup.file_bytes)}, {format_size(backup.content_bytes)} as JSON"),
        ("reason", backup.reason),
        ("created", _format_time(to_text(backup.created_at))),
        ("expires", "never, it is pinned" if backup.is_pinned else _format_expiry(backup)),
    ]
    if backup.error is not None:
        fields.append(("error", backup.error))
    if backup.deletion is not None:
        text = f"{backup.deleted:,} deleted, {backup.changed:,} changed and kept, {backup.gone:,} gone before"
        fields.append(("delete", text))
    if backup.removed_at is None:
        fields.append(("file", path))
    return lines + [f"  {name:<10} {printable(value)}" for name, value in fields]


app.command(epilog=EPILOG)(create)
app.command("list", epilog=EPILOG)(list_backups)
app.command(epilog=EPILOG)(show)
app.command(epilog=EPILOG)(verify)
app.command(epilog=EPILOG)(download)
app.command(epilog=EPILOG)(restore)
app.command(epilog=EPILOG)(pin)
app.command(epilog=EPILOG)(unpin)
app.command(epilog=EPILOG)(delete)
app.command(epilog=EPILOG)(cleanup)
app.command(epilog=EPILOG)(use_folder)
