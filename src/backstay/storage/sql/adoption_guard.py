"""What adopted tables do not allow: said before anything is called, paid for or deleted."""

from backstay.errors import AdoptedTableNotWritable, BackupError
from backstay.storage.sql.session import Session


def refuse_unwritable(session: Session, owner: str) -> None:
    """Refuse to begin what would store conversations of an owner. Raises AdoptedTableNotWritable."""
    if (why := session.value("hindrance", {"owner": owner})) is not None:
        raise AdoptedTableNotWritable(f"Nothing new can be stored in the tables that were adopted: {why}")


def changed_since(place: str) -> BackupError:
    """Return the error that says that a table has other columns than when it was adopted: a backup would lack some."""
    return BackupError(
        f"{place} has other columns than when it was adopted; `backstay adopt` again takes them in", table=place
    )
