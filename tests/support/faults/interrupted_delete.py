"""Deletes that are interrupted between their verified backup and the first row."""

from typing import Any

from backstay.library.selection import Selection


class _BrokenOffError(Exception):
    """Stand-in for whatever ends a process."""


async def cut_off(services: Any) -> str:
    """Begin to delete everything, interrupt it once its backup is verified, and return the backup's id."""

    async def broken(*_: Any) -> None:
        raise _BrokenOffError

    deleter = services.conversations._deleter
    deleter._delete = broken
    try:
        await services.conversations.delete(Selection(everything=True))
    except _BrokenOffError:
        pass
    finally:
        del deleter._delete
    (backup,) = await services.backups.with_unfinished_delete()
    return str(backup.id)
