"""A transaction on PostgreSQL that executes statements by name. Implements `storage.sql.database.Session`."""

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from backstay.backup.storage_identity import StorageIdentity
from backstay.library.batches import MAX_BATCH_BYTES
from backstay.library.selection import Selection
from backstay.storage.postgres.queries import Statements, binary_types
from backstay.storage.postgres.user_tables import PostgresTables
from backstay.storage.sql.database import AddedColumns, Row, Value, Values

Connection = psycopg.Connection[TupleRow]

_BATCH_ROWS = 500  # fetched at once by a stream


class PostgresSession:
    """One transaction; its caller begins and ends it."""

    kind = "postgresql"

    def __init__(self, connection: Connection, statements: Statements, *, begin_seconds: float = 0.0) -> None:
        """Use the transaction of a connection; BEGIN took `begin_seconds`."""
        self.connection = connection
        self._statements = statements
        self._streams = count(1)
        self._round_trip_seconds = [begin_seconds, begin_seconds]  # BEGIN, and COMMIT, which takes as long
        self.tables = PostgresTables(connection, statements, self._execute_timed)

    @property
    def network_seconds(self) -> float:
        # At least half of the statements take the server hardly any time, so the median is the time of the network.
        return len(self._round_trip_seconds) * statistics.median_low(self._round_trip_seconds)

    def database_identity(self) -> StorageIdentity:
        ((name, machine),) = self.rows("database_identity")
        # A copy by the server's own replication, or of its disk, has the same identity.
        return StorageIdentity(name, machine)

    def execute(self, name: str, values: Values) -> int:
        return self._run(name, values).rowcount

    def rows(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> list[Row]:
        return self._run(name, values, selection).fetchall()

    def stream(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Iterator[Row]:
        text = self._text(name, selection)
        with self.connection.cursor(name=f"backstay_{next(self._streams)}") as cursor:
            cursor.itersize = _BATCH_ROWS
            cursor.execute(text, values)
            yield from cursor

    def row(self, name: str, values: Values | None = None) -> Row | None:
        return self._run(name, values).fetchone()

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        row = self._run(name, values, selection).fetchone()
        return None if row is None else row[0]

    def execute_many(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        if not rows:
            return 0
        text = self._text(name, None, columns)
        if not text.startswith("COPY"):
            return self._execute_timed(text, _bind_rows(rows, fixed)).rowcount
        cursor = self.connection.cursor()
        with cursor.copy(text) as copy:
            if types := binary_types(name):
                copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount

    def select_many(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        if not rows:
            return []
        return self._execute_timed(self._text(name, None, columns), _bind_rows(rows, fixed)).fetchall()

    def turns(self, owner: str, keys: Sequence[int]) -> Iterable[Row]:
        return self.select_many("conversation_turns", [(key,) for key in keys], owner, MAX_BATCH_BYTES)

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        return self.rows("conversation_lines", {"owner": owner, "keys": list(keys)})

    def selected_lines(self, values: Values, selection: Selection) -> Iterator[Row]:
        # Row by row, so that the server makes the next rows while earlier ones are processed.
        with self.connection.cursor() as cursor:
            yield from cursor.stream(self._text("conversation_lines", selection), values)

    def lock(self, name: str, values: Values) -> None:
        self._run(name, values)

    def lock_many(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        if rows:
            self._execute_timed(self._text(name), _bind_rows(rows, fixed))

    def end_frozen_session(self, values: Values) -> None:
        self._run("end_session_of_worker", values)

    def _run(self, name: str, values: Values | None, selection: Selection | None = None) -> psycopg.Cursor[TupleRow]:
        # `{}` rather than None, so that psycopg turns %% into % even without values.
        return self._execute_timed(self._text(name, selection), values or {})

    def _execute_timed(self, text: str, values: Values) -> psycopg.Cursor[TupleRow]:
        sent_at = time.monotonic()
        cursor = self.connection.execute(text, values)
        self._round_trip_seconds.append(time.monotonic() - sent_at)
        return cursor

    def _text(self, name: str, selection: Selection | None = None, columns: AddedColumns | None = None) -> str:
        return self._statements.text(name, selection, columns)


def query_value(connection: Connection, text: str, values: Sequence[object] = ()) -> Any:
    """Return the first value of the first row of a query; None if there is no row."""
    row = connection.execute(text, values or None).fetchone()
    return None if row is None else row[0]


def _bind_rows(rows: Sequence[Row], fixed: Sequence[Value]) -> dict[str, Any]:
    columns = {f"column{number}": list(values) for number, values in enumerate(zip(*rows, strict=True))}
    return {**columns, **{str(number): value for number, value in enumerate(fixed, start=1)}}
