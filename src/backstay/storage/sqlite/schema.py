"""Which schema a database has, and which is too new."""

from pathlib import Path

import apsw

from backstay.errors import SchemaTooNew


def version_of(connection: apsw.Connection) -> int:
    """Return the number of the last migration that was applied; 0 for a new file."""
    return int(connection.execute("PRAGMA user_version").get)


def refuse_newer(path: Path, version: int, known: int) -> None:
    """Refuse a database that a newer Backstay has migrated.

    Raises:
        SchemaTooNew: with what to do.
    """
    if version > known:
        raise SchemaTooNew(
            f"{path} was written by a newer Backstay (schema {version}, this one knows {known}); "
            "use a Backstay as new as that one",
            path=str(path),
            schema=version,
        )
