"""A victim that takes a commit for done whether or not it was: the control of the faults of a disk.

It tells of every commit at once, so that each that was not made is one that it told of.
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from backstay.batch import progress
from backstay.errors import StorageError
from backstay.storage.sqlite import database
from support import victim

_in_transaction = database.in_transaction


def _whatever_becomes_of_it(connection: apsw.Connection, begin: str, function: Callable, path: Path) -> object:
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
    progress._SECONDS_BETWEEN = 0.0
    database.in_transaction = _whatever_becomes_of_it
    victim.main()
