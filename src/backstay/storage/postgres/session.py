"""A transaction on PostgreSQL, in statements by name. Implements `storage.sql.session.Session`."""

import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from backstay.library.selection import Selection
from backstay.storage.postgres.queries import Statements, binary_types
from backstay.storage.postgres.tables import PostgresTables
from backstay.storage.sql.session import AddedColumns, Row, Value, Values

Connection = psycopg.Connection[TupleRow]

_FETCHED = 500  # rows that a stream asks for at once


class PostgresSession:
    """The statements of one transaction, which whoever made this has begun, and ends."""

    kind = "postgresql"

    def __init__(self, connection: Connection, statements: Statements, *, begun_in: float = 0.0) -> None:
        """Take it over; it took so many seconds to begin it."""
        self.connection = connection
        self._statements = statements
        self._streams = count(1)
        self._trips = [begun_in, begun_in]  # in seconds: to BEGIN, and to COMMIT, which is as long
        self.tables = PostgresTables(connection, statements, self._ask)

    @property
    def network_seconds(self) -> float:
        # Half of the answers at least had next to nothing to do but to come here.
        return len(self._trips) * statistics.median_low(self._trips)

    def execute(self, name: str, values: Values) -> int:
        return self._run(name, values).rowcount

    def rows(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> list[Row]:
        return self._run(name, values, selection, columns).fetchall()

    def stream(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> Iterator[Row]:
        text = self._text(name, selection, columns)
        with self.connection.cursor(name=f"backstay_{next(self._streams)}") as cursor:
            cursor.itersize = _FETCHED
            cursor.execute(text, values)
            yield from cursor

    def row(self, name: str, values: Values | None = None) -> Row | None:
        return self._run(name, values).fetchone()

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        row = self._run(name, values, selection).fetchone()
        return None if row is None else row[0]

    def execute_rows(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        if not rows:
            return 0
        text = self._text(name, None, columns)
        if not text.startswith("COPY"):
            return self._ask(text, _bound(rows, fixed)).rowcount
        cursor = self.connection.cursor()
        with cursor.copy(text) as copy:
            if types := binary_types(name):
                copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount

    def select_rows(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        if not rows:
            return []
        return self._ask(self._text(name, None, columns), _bound(rows, fixed)).fetchall()

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        return self.rows("conversation_lines", {"owner": owner, "keys": list(keys)})

    def selected_lines(self, values: Values, selection: Selection) -> Iterator[Row]:
        # A row at a time as the server makes them, which it does while we are busy with those before.
        with self.connection.cursor() as cursor:
            yield from cursor.stream(self._text("conversation_lines", selection), values)

    def lock(self, name: str, values: Values) -> None:
        self._run(name, values)

    def lock_rows(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        if rows:
            self._ask(self._text(name), _bound(rows, fixed))

    def _run(
        self,
        name: str,
        values: Values | None,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> psycopg.Cursor[TupleRow]:
        # Without values psycopg takes a text as it is; given none, it is to have its doubled signs undone all the same.
        return self._ask(self._text(name, selection, columns), values or {})

    def _ask(self, text: str, values: Values) -> psycopg.Cursor[TupleRow]:
        asked_at = time.monotonic()
        answer = self.connection.execute(text, values)
        self._trips.append(time.monotonic() - asked_at)
        return answer

    def _text(self, name: str, selection: Selection | None = None, columns: AddedColumns | None = None) -> str:
        return self._statements.text(name, selection, columns)


def _bound(rows: Sequence[Row], fixed: Sequence[Value]) -> dict[str, Any]:
    columns = {f"column{number}": list(values) for number, values in enumerate(zip(*rows, strict=True))}
    return {**columns, **{str(number): value for number, value in enumerate(fixed, start=1)}}
