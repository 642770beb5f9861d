"""`backstay backups use-folder`: assign the folder for new backups to this library."""

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import Yes
from backstay.cli.text import printable


@command()
async def use_folder(session: CommandSession, yes: Yes = False) -> None:
    """Assign the folder for new backups to this library, whatever it was used for before. Asks on a terminal.

    Use it when the disk with the former folder is gone for good, or when this database was moved from another file
    system or machine. A copy of a database needs its own folder instead: set BACKUP_DIRECTORY.

    \b
    Example:
      BACKUP_DIRECTORY=/mnt/backups backstay backups use-folder --yes
    """
    if not yes:
        backstay = await session.open()
        folder, problem = await backstay.backups.folder()
        reason = f" ({printable(problem)})" if problem is not None else ""
        await session.confirm(
            f"Use {printable(folder)} for the backups of this library, and of no other database{reason}"
        )
    backstay = await session.open()
    folder = await backstay.backups.use_folder()
    session.out.print_result(
        lambda: schemas.BackupFolderOut(folder=str(folder)),
        f"{printable(folder)} is now the folder for this library's backups.",
    )
