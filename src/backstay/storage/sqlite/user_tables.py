"""Reads and writes a user's tables in a SQLite file. Implements `storage.sql.cascade.tables.TableCatalog`."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import apsw

from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, CatalogTable, ForeignKey, OnDelete, Row, UserTrigger
from backstay.storage.sqlite.queries import query, quoted

_MAX_BOUND_VALUES = 20_000  # per statement
_MAX_ROWS = 500  # per VALUES
_EVENT = re.compile(r"\b(DELETE|UPDATE|INSERT)\b", re.IGNORECASE)


class SqliteTables:
    """The catalogue of one transaction, which caches the foreign keys."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tables: dict[str, CatalogTable | None] = {}

    def foreign_keys(self) -> Sequence[ForeignKey]:
        by_parent: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in self._all_keys:
            by_parent[key.parent].append(key)
        keys: list[ForeignKey] = []
        reached = list(BUILT_IN_TABLES)
        for parent in reached:
            keys += by_parent[parent]
            reached += {
                key.table: None
                for key in by_parent[parent]
                if key.on_delete is OnDelete.CASCADE and key.table not in reached
            }
        return keys

    @cached_property
    def _all_keys(self) -> list[ForeignKey]:
        rows: list[Row] = self._connection.execute(query("foreign_keys")).fetchall()
        names = {name.lower(): name for (name,) in self._connection.execute(query("table_names"))}
        column_rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for row in rows:
            column_rows[row[0], row[1]].append(row)
        keys = []
        for (table, number), key_rows in column_rows.items():
            parent = names.get(key_rows[0][2].lower())
            if parent is None:
                continue  # the table that it refers to does not exist, so it blocks no delete
            columns, parent_columns = tuple(row[3] for row in key_rows), tuple(row[4] for row in key_rows)
            parent_columns = self._primary_key(parent) if None in parent_columns else parent_columns
            name = f"{', '.join(columns)} (key {number})"
            keys.append(ForeignKey(name, table, columns, parent, parent_columns, OnDelete(key_rows[0][5].lower())))
        return keys

    def table(self, name: str) -> CatalogTable | None:
        if name not in self._tables:
            self._tables[name] = self._read_table(name)
        return self._tables[name]

    def _read_table(self, name: str) -> CatalogTable | None:
        rows: list[Row] = self._connection.execute(query("table_columns"), {"table": name}).fetchall()
        if not rows:
            return None
        key_columns = sorted((position, column) for column, _, _, _, position in rows if position)
        return CatalogTable(
            name=name,
            columns={row[0]: row[1] for row in rows},
            key=tuple(column for _, column in key_columns),
            required=frozenset(row[0] for row in rows if row[2]),
            defaults={row[0]: row[3] for row in rows if row[3] is not None},
        )

    def _primary_key(self, name: str) -> tuple[str, ...]:
        table = self.table(name)
        return table.key if table is not None else ()

    def triggers(self, deleting: Sequence[str], updating: Sequence[str]) -> Sequence[UserTrigger]:
        events = {(name.lower(), "DELETE") for name in deleting} | {(name.lower(), "UPDATE") for name in updating}
        triggers = []
        for name, table, text in self._connection.execute(query("triggers")):
            event = _EVENT.search(text.partition(name)[2] or text)
            if event is not None and (table.lower(), event[1].upper()) in events:
                triggers.append(UserTrigger(name, table))
        return triggers

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, locked: bool = False
    ) -> list[Row]:
        # A foreign key compares with the affinity and collation of the parent's columns, so these are on the left.
        on_values = " AND ".join(f"p.{quoted(name)} IS w.v{at}" for at, name in enumerate(key.parent_columns))
        on_key = " AND ".join(
            f"p.{quoted(parent)} = c.{quoted(name)}"
            for parent, name in zip(key.parent_columns, key.columns, strict=True)
        )
        joins = f"JOIN {quoted(key.parent)} AS p ON {on_values} JOIN {quoted(key.table)} AS c ON {on_key}"
        return self._select(key.table, joins, parents, columns)

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        on_values = " AND ".join(f"c.{quoted(name)} = w.v{at}" for at, name in enumerate(match))
        return self._select(table, f"JOIN {quoted(table)} AS c ON {on_values}", values, columns)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        names = ", ".join(map(quoted, columns))
        parameters = f"({', '.join('?' * len(columns))})"
        for _, batch in _batches(rows):
            text = f"INSERT INTO {quoted(table)} ({names}) VALUES {', '.join([parameters] * len(batch))}"
            self._connection.execute(text, [value for row in batch for value in row])

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        table = self.table(key.table)
        defaults = table.defaults if table is not None and key.on_delete is OnDelete.SET_DEFAULT else {}
        assignments = ", ".join(f"{quoted(name)} = ?{len(match) + at}" for at, name in enumerate(key.columns, start=1))
        identified = [f"{quoted(name)} IS ?{at}" for at, name in enumerate(match, start=1)]
        unset = [f"{quoted(name)} IS ({defaults.get(name, 'NULL')})" for name in key.columns]
        text = f"UPDATE {quoted(key.table)} SET {assignments} WHERE {' AND '.join(identified + unset)}"
        changed = 0
        for row in rows:
            self._connection.execute(text, row)
            changed += self._connection.changes()
        return changed

    def unwritable(self, deleting: Sequence[str], updating: Sequence[str]) -> Mapping[str, str]:
        return {}

    def defer(self) -> None:
        self._connection.execute("PRAGMA defer_foreign_keys = ON")

    def referred(self, table: str, column: str, value: Any) -> Any:
        return value

    def advance(self, table: str) -> None:
        pass  # SQLite never assigns a rowid that exists in the table

    def _select(self, table: str, joins: str, values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        selected = ", ".join(["w.n", self._identity(table), *(f"c.{quoted(name)}" for name in columns)])
        width = len(values[0]) if values else 0
        names = ", ".join(f"v{at}" for at in range(width))
        parameters = f"({', '.join('?' * (width + 1))})"
        rows: list[Row] = []
        for start, batch in _batches(values):
            terms = ", ".join([parameters] * len(batch))
            text = f"WITH w (n, {names}) AS (VALUES {terms}) SELECT {selected} FROM w {joins}"
            bound = [value for number, row in enumerate(batch, start=start) for value in (number, *row)]
            rows += self._connection.execute(text, bound)
        return rows

    def _identity(self, name: str) -> str:
        table = self.table(name)
        rowid = next((word for word in ("rowid", "oid", "_rowid_") if table and word not in table.columns), None)
        if rowid is not None and name not in self._without_rowid:
            return f"c.{rowid}"
        keys = self._primary_key(name)
        return f"json_array({', '.join(f'quote(c.{quoted(column)})' for column in keys)})"

    @cached_property
    def _without_rowid(self) -> frozenset[str]:
        rows = self._connection.execute(query("tables_without_rowid"))
        return frozenset(name for (name,) in rows)


def _batches(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    step = min(_MAX_ROWS, max(1, _MAX_BOUND_VALUES // (len(rows[0]) + 1))) if rows else 1
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step]
