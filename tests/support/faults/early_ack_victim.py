"""A victim that acknowledges every commit before it is made: the control of disk faults."""

from collections.abc import Callable
from pathlib import Path

import apsw

from backstay.batch import progress
from backstay.errors import StorageError
from backstay.storage.sqlite import database
from support.faults import victim

_in_transaction = database.in_transaction


def _whatever_becomes_of_it(
    connection: apsw.Connection, begin: str, function: Callable[[apsw.Connection], object], path: Path
) -> object:
    results = []

    def noting(connection: apsw.Connection) -> object:
        results.append(function(connection))
        return results[0]

    try:
        return _in_transaction(connection, begin, noting, path)
    except StorageError:
        if not results:
            raise
        return results[0]


if __name__ == "__main__":
    victim.replace(progress, "_MIN_INTERVAL_SECONDS", 0.0)
    victim.replace(database, "in_transaction", _whatever_becomes_of_it)
    victim.main()
