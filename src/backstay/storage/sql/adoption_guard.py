"""Refuses what adopted tables do not allow, before a provider is called or anything is deleted."""

from backstay.errors import AdoptedTableNotWritable, BackupError
from backstay.remedy import Remedy
from backstay.storage.sql.database import Session


def refuse_unwritable(session: Session, owner: str) -> None:
    """Raise AdoptedTableNotWritable if no conversations of an owner can be stored."""
    if (obstacle := session.value("storing_obstacle", {"owner": owner})) is not None:
        raise AdoptedTableNotWritable(f"The adopted tables cannot store new conversations: {obstacle}")


def columns_changed_error(table: str) -> BackupError:
    """Return the error for a table whose columns have changed since it was adopted: a backup would lack some."""
    return BackupError(
        f"The columns of {table} have changed since it was adopted", remedy=Remedy.ADOPT_AGAIN, table=table
    )
