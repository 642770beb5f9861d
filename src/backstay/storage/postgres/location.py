"""Where a database on a server is."""

from backstay.backup.location import Location
from backstay.storage.sql.session import Session


def locate(session: Session) -> Location:
    """Return it. A copy made by the server's own replication, or of its disk, has the same location."""
    ((name, machine),) = session.rows("database_location")
    return Location(name, machine)
