"""A transaction on SQLite. Implements `storage.sql.database.Session`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson

from backstay.backup.storage_identity import StorageIdentity
from backstay.library.selection import Selection
from backstay.storage.sql.database import AddedColumns, Row, Value, Values
from backstay.storage.sqlite.queries import bind_rows, query, selecting_query
from backstay.storage.sqlite.user_tables import SqliteTables

# Errors about values that JSON cannot hold. For any other cause, reading row by row raises the error again.
_NOT_AS_JSON = (apsw.SQLError, apsw.TooBigError, orjson.JSONDecodeError)
_TURNS_CONVERSATIONS = 16  # whose turns are in memory together, whatever their size


class SqliteSession:
    """One transaction.

    `lock` does nothing: a write transaction begins by taking the file's only write lock, so no other can change a row.
    """

    kind = "sqlite"
    network_seconds = 0.0

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.tables = SqliteTables(connection)

    def database_identity(self) -> StorageIdentity:
        return StorageIdentity.from_path(Path(self.connection.filename))

    def execute(self, name: str, values: Values) -> int:
        self.connection.execute(query(name), values)
        return self.connection.changes()

    def rows(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> list[Row]:
        return self._cursor(name, values, selection).fetchall()

    def stream(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Iterator[Row]:
        return iter(self._cursor(name, values, selection))

    def row(self, name: str, values: Values | None = None) -> Row | None:
        return self.connection.execute(query(name), values).fetchone()

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        return self._cursor(name, values, selection).get

    def execute_many(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        changed = 0
        for text, values in bind_rows(name, rows, fixed, tuple(columns or ())):
            self.connection.execute(text, values)
            changed += self.connection.changes()
        return changed

    def select_many(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        selected: list[Row] = []
        for text, values in bind_rows(name, rows, fixed, tuple(columns or ())):
            selected.extend(self.connection.execute(text, values))
        return selected

    def turns(self, owner: str, keys: Sequence[int]) -> Iterable[Row]:
        for start in range(0, len(keys), _TURNS_CONVERSATIONS):
            yield from self._turns(owner, keys[start : start + _TURNS_CONVERSATIONS])

    def _turns(self, owner: str, keys: Sequence[int]) -> Iterable[Row]:
        try:
            (columns,) = self.rows("conversation_turns", _by_keys(owner, keys))
            return zip(*map(orjson.loads, columns), strict=True)
        except _NOT_AS_JSON:
            rows = self.select_many("turns_as_stored", [(key,) for key in keys])
            return [(key, *values) for key, _, *values in rows]

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        try:
            ((metadata, lines),) = self.rows("conversation_lines", _by_keys(owner, keys))
            return _split_lines(orjson.loads(metadata), lines or b"")
        except _NOT_AS_JSON:
            return None

    def selected_lines(self, values: Values, selection: Selection) -> None:
        return None

    def lock(self, name: str, values: Values) -> None:
        pass

    def lock_many(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        pass

    def end_frozen_session(self, values: Values) -> None:
        pass

    def _cursor(self, name: str, values: Values | None, selection: Selection | None) -> apsw.Cursor:
        text = query(name) if selection is None else selecting_query(name, selection)
        return self.connection.execute(text, values)


def _by_keys(owner: str, keys: Sequence[int]) -> Values:
    return {"owner": owner, "keys": orjson.dumps(keys).decode()}


def _split_lines(metadata: list[Row], lines: bytes) -> list[Row]:
    """Split concatenated lines: each row of `metadata` ends with the length of its line."""
    rows, start = [], 0
    for *columns, length in metadata:
        rows.append((*columns, lines[start : start + length]))
        start += length
    return rows
