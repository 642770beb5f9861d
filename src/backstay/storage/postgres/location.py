"""The location of a database on a server."""

from backstay.backup.location import FileLocation
from backstay.storage.sql.session import Session


def locate(session: Session) -> FileLocation:
    """Return the location. A copy by the server's own replication, or of its disk, has the same one."""
    ((name, machine),) = session.rows("database_location")
    return FileLocation(name, machine)
