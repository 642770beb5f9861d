"""`backstay backups`: making, looking at, verifying, keeping and removing them. Restoring has a file of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.cleaning import cleanup
from backstay.cli.confirm import confirm
from backstay.cli.durations import parse_duration
from backstay.cli.exits import EPILOG, ExitStatus
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, BackupArgument, ExpiresIn, Reason, Yes
from backstay.cli.output import Output, flush
from backstay.cli.restoring import restore
from backstay.cli.safekeeping import backup_progress_view, format_size, interruptible
from backstay.cli.selection_options import Everything, Ids, IdsFile, Job, OlderThan, Persona, Search, selection_from
from backstay.cli.text import format_count, printable
from backstay.clock import to_text
from backstay.coordination.store import OwnedKind
from backstay.errors import SettingsError

if TYPE_CHECKING:
    from backstay.backup.backup import Backup

_COLUMNS = ("ID", "STATE", "CONVERSATIONS", "SIZE", "REASON", "CREATED", "EXPIRES")

app = typer.Typer(help="Make backups of conversations, and restore them.", no_args_is_help=False)


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
    """Back up conversations, and verify the backup. Say which: ids, conditions, or --all.

    \b
    Examples:
      backstay backups create --all --reason "before the clean-up"
      backstay backups create --job topics --expires-in 30d
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    chosen = selection_from(
        ids, ids_file, job=job, search=search, persona=persona, older_than=older_than, everything=everything
    ).check()
    keep = parse_duration(expires_in, option="--expires-in") if expires_in is not None else None

    async def do() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as shown:
                backup = await backstay.backups.create(
                    chosen, reason=reason or "manual_backup", expires_in=keep, on_progress=shown
                )
            if as_json:
                from backstay.schemas import BackupOut

                out.answer(BackupOut.from_backup(backup))
            out.line(
                f"{backup.id}: {format_count(backup.conversations, 'conversation')}, "
                f"{format_size(backup.file_bytes)}, verified."
            )
            out.note(f"Bring them back with: {invocation.command('backups', 'restore', backup.id)}")
            await reminders.remind(invocation, out, backstay)

    try:
        with interruptible():
            run_async(do())
    except KeyboardInterrupt:
        out.note("Interrupted; no backup was made.", always=True)
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def list_backups(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--every", help="Those too whose files are gone.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List backups, the latest first.

    In a pipe: one backup a line, tabs between id, state, conversations, size, reason, when it was made, and when it
    expires.

    \b
    Example:
      backstay backups list --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            found = await backstay.backups.list(every=every, limit=limit)
            if as_json:
                from backstay.schemas import BackupsOut

                out.answer(BackupsOut.from_page(found, limit=limit))
            elif found:
                out.table(_COLUMNS, [_row(backup) for backup in found], whole=("CREATED", "EXPIRES"))
            else:
                out.note("There are no backups.")
                await reminders.mention_other_owners(out, backstay, OwnedKind.BACKUP)
            for backup in await backstay.backups.unfinished():
                out.note(_unfinished(invocation, backup))
            await reminders.remind(invocation, out, backstay)

    run_async(do())


def show(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Show one backup.

    \b
    Example:
      backstay backups show backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            found = await backstay.backups.show(backup)
            if as_json:
                from backstay.schemas import BackupOut

                out.answer(BackupOut.from_backup(found))
            for line in _in_full(found, await backstay.backups.path_for(found)):
                out.line(line)

    run_async(do())


def verify(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Read a backup back, decode all of it, and compare every conversation with what was backed up.

    A backup whose file differs from what was verified becomes `damaged`: nothing is deleted or restored with it until a
    copy of its file is back and verified.

    \b
    Example:
      backstay backups verify backup-1730720400123-abc123
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            with backup_progress_view(out) as shown:
                found = await backstay.backups.verify(backup, on_progress=shown)
            if as_json:
                from backstay.schemas import BackupOut

                out.answer(BackupOut.from_backup(found))
            out.line(
                f"{found.id}: sound, {format_count(found.conversations, 'conversation')}, "
                f"{format_size(found.content_bytes)}."
            )

    run_async(do())


def download(
    context: typer.Context,
    backup: BackupArgument,
    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write, whole or not at all [default: standard output]."
        ),
    ] = None,
    compressed: Annotated[bool, typer.Option("--compressed", help="As it is on disk, with zstd.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the file of a backup elsewhere, as JSON.

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
            "With --json say where to write with -o: standard output is for the answer", setting="output"
        )

    async def do() -> None:
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

                out.answer(DownloadOut(backup_id=backup, path=path, bytes=number))
            else:
                out.note(f"{backup}: {format_size(number)} written to {printable(path)}.")

    run_async(do())


def pin(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Keep a backup until it is unpinned.

    \b
    Example:
      backstay backups pin backup-1730720400123-abc123
    """
    _set_pin(context, backup, pinned=True, as_json=as_json)


def unpin(context: typer.Context, backup: BackupArgument, as_json: AsJson = False) -> None:
    """Let a backup expire in its time.

    \b
    Example:
      backstay backups unpin backup-1730720400123-abc123
    """
    _set_pin(context, backup, pinned=False, as_json=as_json)


def delete(context: typer.Context, backup: BackupArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a backup before its time. Asks on a terminal; elsewhere --yes must be given.

    A backup that is pinned, or whose delete is unfinished, is not removed. A damaged one is removed even then, and its
    delete is abandoned.

    \b
    Example:
      backstay backups delete backup-1730720400123-abc123 --yes
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def standing() -> str:
        async with invocation.open() as backstay:
            found = await backstay.backups.show(backup)
            return f"{found.id} ({format_count(found.conversations, 'conversation')})"

    async def do() -> None:
        async with invocation.open() as backstay:
            await backstay.backups.delete(backup)
            if as_json:
                from backstay.schemas import BackupOut

                out.answer(BackupOut.from_backup(await backstay.backups.show(backup)))
            out.line(f"{printable(backup)}: removed.")

    if not yes:
        confirm(f"Remove {run_async(standing())} for good", backup_id=backup)
    run_async(do())


def use_folder(context: typer.Context, yes: Yes = False, as_json: AsJson = False) -> None:
    """Make the folder where new backups go this library's own, whatever it was before. Asks on a terminal.

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
            return f"Make {printable(folder)} this library's folder of backups, and no other database's{why}"

    async def do() -> None:
        async with invocation.open() as backstay:
            folder = await backstay.backups.use_folder()
            if as_json:
                from backstay.schemas import BackupFolderOut

                out.answer(BackupFolderOut(folder=str(folder)))
            out.line(f"{printable(folder)} is the folder of this library's backups.")

    if not yes:
        confirm(run_async(question()))
    run_async(do())


def _set_pin(context: typer.Context, backup: str, *, pinned: bool, as_json: bool) -> None:
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open() as backstay:
            found = await (backstay.backups.pin(backup) if pinned else backstay.backups.unpin(backup))
            if as_json:
                from backstay.schemas import BackupOut

                out.answer(BackupOut.from_backup(found))
            out.line(f"{found.id}: {'pinned' if pinned else f'expires {_expiry(found)}'}.")

    run_async(do())


def _row(backup: "Backup") -> tuple[object, ...]:
    held = format_size(backup.file_bytes) if backup.file_bytes else ""
    return (
        backup.id,
        _standing(backup),
        backup.conversations,
        held,
        backup.reason,
        _moment(to_text(backup.created_at)),
        "never, pinned" if backup.is_pinned else _expiry(backup),
    )


def _standing(backup: "Backup") -> str:
    state = str(backup.state)
    if backup.state == "damaged" and backup.damaged_at is not None:
        state += f" since {_moment(to_text(backup.damaged_at))}"
    return f"{state}, {backup.deletion}" if backup.deletion is not None else state


def _unfinished(invocation: Invocation, backup: "Backup") -> str:
    if backup.state == "damaged":
        verify = invocation.command("backups", "verify", backup.id)
        give_up = invocation.command("backups", "delete", backup.id)
        return (
            f"The delete of {backup.id} is unfinished, and the backup is {_standing(backup)}.\n"
            f"  once a copy of its file is back  {verify}\n  give it up with                  {give_up}"
        )
    go_on = invocation.command("conversations", "delete", "--continue", backup.id)
    undo = invocation.command("backups", "restore", backup.id)
    return f"The delete of {backup.id} is unfinished.\n  continue with  {go_on}\n  undo with      {undo}"


def _expiry(backup: "Backup") -> str:
    return _moment(to_text(backup.expires_at)) if backup.expires_at is not None else "not yet"


def _moment(text: str) -> str:
    return f"{text[:10]} {text[11:19]}Z"


def _in_full(backup: "Backup", path: Path) -> list[str]:
    lines = [f"{backup.id}: {_standing(backup)}"]
    about: list[tuple[str, object]] = [
        ("holds", f"{format_count(backup.conversations, 'conversation')}, {format_count(backup.turns, 'turn')}"),
        ("size", f"{format_size(backup.file_bytes)}, {format_size(backup.content_bytes)} as JSON"),
        ("reason", backup.reason),
        ("created", _moment(to_text(backup.created_at))),
        ("expires", "never, it is pinned" if backup.is_pinned else _expiry(backup)),
    ]
    if backup.error is not None:
        about.append(("error", backup.error))
    if backup.deletion is not None:
        told = f"{backup.deleted:,} deleted, {backup.changed:,} changed and kept, {backup.gone:,} gone before"
        about.append(("delete", told))
    if backup.removed_at is None:
        about.append(("file", path))
    return lines + [f"  {name:<10} {printable(value)}" for name, value in about]


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
