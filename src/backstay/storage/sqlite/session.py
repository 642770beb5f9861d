"""A transaction on SQLite, in statements by name. Implements `storage.sql.session.Session`."""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import orjson

from backstay.library.selection import Selection, contains
from backstay.storage.sql.selection_conditions import conditions
from backstay.storage.sql.session import AddedColumns, Row, Value, Values
from backstay.storage.sqlite.queries import execute_rows, query, select_rows, with_columns
from backstay.storage.sqlite.tables import SqliteTables

_ONLY_IDS = "AND id IN (SELECT value FROM json_each(:ids))"
# SQLite's own LIKE knows upper and lower case of A to Z only.
_ONLY_FOUND = """AND (backstay_has(topic, :search) OR backstay_has(persona, :search)
        OR EXISTS (SELECT 1 FROM turns
                    WHERE turns.conversation_key = conversations.key AND backstay_has(turns.content, :search)))"""


class SqliteSession:
    """The statements of one transaction. It has the database to itself where it writes, so it holds nothing."""

    kind = "sqlite"
    seconds_on_the_way = 0.0

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.tables = SqliteTables(connection)

    def execute(self, name: str, values: Values) -> int:
        self.connection.execute(query(name), values)
        return self.connection.changes()

    def rows(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> list[Row]:
        return self._cursor(name, values, selection, columns).fetchall()

    def stream(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> Iterator[Row]:
        return iter(self._cursor(name, values, selection, columns))

    def row(self, name: str, values: Values | None = None) -> Row | None:
        return self.connection.execute(query(name), values).fetchone()

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        return self._cursor(name, values, selection).get

    def execute_rows(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        return execute_rows(self.connection, name, rows, *fixed, columns=tuple(columns or ()))

    def select_rows(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        return select_rows(self.connection, name, rows, *fixed, columns=tuple(columns or ()))

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        values = {"owner": owner, "keys": orjson.dumps(keys).decode()}
        try:
            ((known, lines),) = self.rows("conversation_lines", values)
            return _cut(orjson.loads(known), lines or b"")
        except (apsw.SQLError, apsw.TooBigError, orjson.JSONDecodeError):
            return None  # who reads the values meets all else that this may be, and says so

    def selected_lines(self, values: Values, selection: Selection) -> None:
        return None

    def lock(self, name: str, values: Values) -> None:
        pass

    def lock_rows(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        pass

    def _cursor(
        self, name: str, values: Values | None, selection: Selection | None, columns: AddedColumns | None = None
    ) -> apsw.Cursor:
        text = with_columns(name, tuple(columns or ()))
        if selection is not None:
            text = text.replace("{selected}", conditions(selection, only_ids=_ONLY_IDS, only_found=_ONLY_FOUND))
            if selection.search is not None:
                self.connection.create_scalar_function("backstay_has", _has, 2, deterministic=True)
        return self.connection.execute(text, values)


def _cut(known: list[Row], lines: bytes) -> list[Row]:
    found, at = [], 0
    for *columns, length in known:
        found.append((*columns, lines[at : at + length]))
        at += length
    return found


def _has(*given: Any) -> bool:
    return contains(*given)
