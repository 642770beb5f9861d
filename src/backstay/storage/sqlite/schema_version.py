"""Reads the schema version of a database, and refuses databases of other programs."""

from pathlib import Path

import apsw

from backstay import former_name
from backstay.errors import NotADatabase

APPLICATION_ID = int.from_bytes(b"Back", "big")  # in the file's header, identifies a Backstay database


def version_of(connection: apsw.Connection) -> int:
    """Return the number of the last migration that was applied; 0 for a new file."""
    return int(connection.execute("PRAGMA user_version").get)


def check_header(connection: apsw.Connection, path: Path) -> int:
    """Return the schema version of a database, 0 for a new file.

    Raises:
        NotADatabase: it belongs to another program, which the message names if the header does.
    """
    version = version_of(connection)
    application = connection.execute("PRAGMA application_id").get
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application == former_name.APPLICATION_ID:
        raise NotADatabase(
            f"{path} was made by {former_name.FORMER_PROJECT}, and cannot be read; name another file", path=str(path)
        )
    if application != APPLICATION_ID and (version or tables):
        raise NotADatabase(f"{path} is a database of another program; name another file", path=str(path))
    return version
