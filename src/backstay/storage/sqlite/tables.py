"""Tables of a user's own in a SQLite file. Implements `storage.sql.tables.TableCatalog`."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import apsw

from backstay.storage.sql.cascade.tables import OURS, CatalogTable, ForeignKey, OnDelete, Row, UserTrigger
from backstay.storage.sqlite.queries import query, quoted

_VALUES = 20_000  # bound at once
_EVENT = re.compile(r"\b(DELETE|UPDATE|INSERT)\b", re.IGNORECASE)


class SqliteTables:
    """Foreign keys are asked for once a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tables: dict[str, CatalogTable | None] = {}

    def foreign_keys(self) -> Sequence[ForeignKey]:
        by_parent: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in self._every_key:
            by_parent[key.parent].append(key)
        found: list[ForeignKey] = []
        reached = list(OURS)
        for parent in reached:
            found += by_parent[parent]
            reached += {
                key.table: None
                for key in by_parent[parent]
                if key.on_delete is OnDelete.CASCADE and key.table not in reached
            }
        return found

    @cached_property
    def _every_key(self) -> list[ForeignKey]:
        rows: list[Row] = self._connection.execute(query("foreign_keys")).fetchall()
        names = {name.lower(): name for (name,) in self._connection.execute(query("table_names"))}
        keys: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for row in rows:
            keys[row[0], row[1]].append(row)
        found = []
        for (table, number), parts in keys.items():
            parent = names.get(parts[0][2].lower())
            if parent is None:
                continue  # a key that refers to nothing keeps nothing from going
            columns, ends = tuple(row[3] for row in parts), tuple(row[4] for row in parts)
            ends = self._key_of(parent) if None in ends else ends
            name = f"{', '.join(columns)} (key {number})"
            found.append(ForeignKey(name, table, columns, parent, ends, OnDelete(parts[0][5].lower())))
        return found

    def table(self, name: str) -> CatalogTable | None:
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> CatalogTable | None:
        rows: list[Row] = self._connection.execute(query("table_columns"), {"table": name}).fetchall()
        if not rows:
            return None
        keyed = sorted((place, column) for column, _, _, _, place in rows if place)
        return CatalogTable(
            name=name,
            columns={row[0]: row[1] for row in rows},
            key=tuple(column for _, column in keyed),
            required=frozenset(row[0] for row in rows if row[2]),
            defaults={row[0]: row[3] for row in rows if row[3] is not None},
        )

    def _key_of(self, name: str) -> tuple[str, ...]:
        table = self.table(name)
        return table.key if table is not None else ()

    def triggers(self, deleting: Sequence[str], changing: Sequence[str]) -> Sequence[UserTrigger]:
        wanted = {(name.lower(), "DELETE") for name in deleting} | {(name.lower(), "UPDATE") for name in changing}
        found = []
        for name, table, text in self._connection.execute(query("triggers")):
            event = _EVENT.search(text.partition(name)[2] or text)
            if event is not None and (table.lower(), event[1].upper()) in wanted:
                found.append(UserTrigger(name, table))
        return found

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, held: bool = False
    ) -> list[Row]:
        # Compared as the key compares them: in the manner of the parent's columns, so these stand on the left.
        at_home = " AND ".join(f"p.{quoted(name)} IS w.v{at}" for at, name in enumerate(key.parent_columns))
        away = " AND ".join(
            f"p.{quoted(end)} = c.{quoted(name)}" for end, name in zip(key.parent_columns, key.columns, strict=True)
        )
        joined = f"JOIN {quoted(key.parent)} AS p ON {at_home} JOIN {quoted(key.table)} AS c ON {away}"
        return self._found(key.table, joined, parents, columns)

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        same = " AND ".join(f"c.{quoted(name)} = w.v{at}" for at, name in enumerate(match))
        return self._found(table, f"JOIN {quoted(table)} AS c ON {same}", values, columns)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        named = ", ".join(map(quoted, columns))
        one = f"({', '.join('?' * len(columns))})"
        for _, part in _pieces(rows):
            text = f"INSERT INTO {quoted(table)} ({named}) VALUES {', '.join([one] * len(part))}"
            self._connection.execute(text, [value for row in part for value in row])

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        table = self.table(key.table)
        defaults = table.defaults if table is not None and key.on_delete is OnDelete.SET_DEFAULT else {}
        new = ", ".join(f"{quoted(name)} = ?{len(match) + at}" for at, name in enumerate(key.columns, start=1))
        same = [f"{quoted(name)} IS ?{at}" for at, name in enumerate(match, start=1)]
        free = [f"{quoted(name)} IS ({defaults.get(name, 'NULL')})" for name in key.columns]
        text = f"UPDATE {quoted(key.table)} SET {new} WHERE {' AND '.join(same + free)}"
        changed = 0
        for row in rows:
            self._connection.execute(text, row)
            changed += self._connection.changes()
        return changed

    def unwritable(self, going: Sequence[str], changing: Sequence[str]) -> Mapping[str, str]:
        return {}

    def defer(self) -> None:
        self._connection.execute("PRAGMA defer_foreign_keys = ON")

    def referred(self, table: str, column: str, value: Any) -> Any:
        return value

    def advance(self, table: str) -> None:
        pass  # a number that is in the table is not given again

    def _found(self, table: str, joined: str, values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        wanted = ", ".join(["w.n", self._identity(table), *(f"c.{quoted(name)}" for name in columns)])
        width = len(values[0]) if values else 0
        names = ", ".join(f"v{at}" for at in range(width))
        one = f"({', '.join('?' * (width + 1))})"
        found: list[Row] = []
        for start, part in _pieces(values):
            text = f"WITH w (n, {names}) AS (VALUES {', '.join([one] * len(part))}) SELECT {wanted} FROM w {joined}"
            bound = [value for number, row in enumerate(part, start=start) for value in (number, *row)]
            found += self._connection.execute(text, bound)
        return found

    def _identity(self, name: str) -> str:
        table = self.table(name)
        rowid = next((word for word in ("rowid", "oid", "_rowid_") if table and word not in table.columns), None)
        if rowid is not None and name not in self._without_rowid:
            return f"c.{rowid}"
        keys = self._key_of(name)
        return f"json_array({', '.join(f'quote(c.{quoted(column)})' for column in keys)})"

    @cached_property
    def _without_rowid(self) -> frozenset[str]:
        rows = self._connection.execute(query("tables_without_rowid"))
        return frozenset(name for (name,) in rows)


def _pieces(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    step = max(1, _VALUES // (len(rows[0]) + 1)) if rows else 1
    step = min(step, 500)  # terms of one VALUES
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step]
