"""Deletes that are cut off, as by a power cut, between their verified backup and the first row."""

from typing import Any

from backstay.library.selection import Selection


class _BrokenOffError(Exception):
    """Stands for whatever ends a process."""


async def cut_off(services: Any) -> str:
    """Begin to delete everything and break it off once its backup is verified; return the backup's id."""

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
    (backup,) = await services.backups.unfinished()
    return str(backup.id)
