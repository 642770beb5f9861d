"""Refuses what adopted tables do not allow, before a provider is called or anything is deleted."""

from backstay.errors import AdoptedTableNotWritable, BackupError
from backstay.remedy import Remedy
from backstay.storage.sql.database import Session


def refuse_unwritable(session: Session, owner: str) -> None:
    """Raise AdoptedTableNotWritable if no conversations of an owner can be stored."""
    if (row := session.row("storing_obstacle", {"owner": owner})) is None:
        return
    obstacle, table, column, column_type = row
    if obstacle is not None:
        raise AdoptedTableNotWritable(f"The adopted tables cannot store new conversations: {obstacle}")
    if column is not None:
        raise AdoptedTableNotWritable(
            f"The adopted tables cannot store conversations of the owner {owner!r}: {table}.{column} is of type "
            f"{column_type}",
            remedy=Remedy.NAME_OWNER,
            owner=owner,
            table=table,
            column=column,
        )


def columns_changed_error(table: str) -> BackupError:
    """Return the error for a table whose columns have changed since it was adopted: a backup would lack some."""
    return BackupError(
        f"The columns of {table} have changed since it was adopted", remedy=Remedy.ADOPT_AGAIN, table=table
    )
