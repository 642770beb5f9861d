"""Statements on a database by another program, the same for every kind of database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import psycopg

Row = tuple[Any, ...]
Ask = Callable[..., list[Row]]
"""Runs one statement, with `?` where its values go, and returns its rows."""


@contextmanager
def asking(database: Path | str) -> Iterator[Ask]:
    """Open a SQLite file or a PostgreSQL database in one transaction."""
    if is_server(database):
        with psycopg.connect(str(database), prepare_threshold=None) as server:
            server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            server.execute("SET LOCAL search_path = backstay")
            yield lambda statement, *values: _of_postgres(server, statement, values)
        return
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(5_000)
        with connection:
            yield lambda statement, *values: connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def ask(database: Path | str, statement: str, *values: Any) -> list[Row]:
    """Run one statement by itself."""
    with asking(database) as asked:
        return asked(statement, *values)


def is_server(database: Path | str) -> bool:
    return str(database).startswith("postgresql://")


def _of_postgres(connection: psycopg.Connection[Row], statement: str, values: Row) -> list[Row]:
    cursor = connection.execute(statement.replace("%", "%%").replace("?", "%s"), values)
    while cursor.nextset():
        pass  # of several statements the last one has the rows
    return cursor.fetchall() if cursor.description is not None else []
