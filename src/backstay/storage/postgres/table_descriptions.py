"""User tables on a server, as the catalogue describes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from backstay.storage.postgres.queries import Statements, quoted
from backstay.storage.sql.adoption_guard import columns_changed_error
from backstay.storage.sql.cascade.tables import (
    BUILT_IN_TABLES,
    CONVERSATIONS,
    TURNS,
    CatalogTable,
    ForeignKey,
    OnDelete,
    Row,
    UserTrigger,
)

_ON_DELETE = {
    "c": OnDelete.CASCADE,
    "n": OnDelete.SET_NULL,
    "d": OnDelete.SET_DEFAULT,
    "r": OnDelete.RESTRICT,
    "a": OnDelete.NO_ACTION,
}

Execute = Callable[[str, Any], psycopg.Cursor[TupleRow]]


_NUMBERS = ("smallint", "integer", "bigint")
_BUILTIN = {CONVERSATIONS: {"key": "bigint"}, TURNS: {"conversation_key": "bigint", "sequence": "integer"}}
"""Columns of the views over adopted tables that no user column stands for."""


@dataclass(frozen=True, slots=True)
class _Adopted:
    """A user table behind the view with a built-in name."""

    oid: int
    sql_name: str
    columns: dict[str, str]
    """Names of user columns, to their names in the view."""
    raw: dict[str, str]
    """Names in the view, to those of the columns that show the same value in its own type."""


class TableDescriptions:
    """The descriptions that one transaction sees: by OID, never by a search path. Each is read once."""

    def __init__(self, statements: Statements, execute: Execute) -> None:
        """Work in a transaction, in which `execute` runs a statement with its values."""
        self._execute = execute
        self._statements = statements
        self._foreign_keys: list[ForeignKey] | None = None
        self._names: dict[int, str] = {}
        self._oids: dict[str, int] = {}
        self._sql_names = {name: f"{statements.schema}.{name}" for name in BUILT_IN_TABLES}
        self._tables: dict[str, CatalogTable | None] = {}
        self._types: dict[str, dict[str, str]] = {}
        self._adopted: dict[str, _Adopted] | None = None

    def foreign_keys(self) -> Sequence[ForeignKey]:
        if self._foreign_keys is None:
            self._foreign_keys = [
                ForeignKey(
                    name,
                    self._name_of(table),
                    self._view_columns(self._name_of(table), columns),
                    self._name_of(parent),
                    self._view_columns(self._name_of(parent), parent_columns),
                    _ON_DELETE[action],
                )
                for name, table, parent, action, columns, parent_columns in self._rows("foreign_keys")
            ]
        return self._foreign_keys

    def _name_of(self, oid: int) -> str:
        if oid not in self._names:
            ((schema, table, builtin_name),) = self._rows("table_by_id", {"id": oid})
            name = self._names[oid] = builtin_name or f"{schema}.{table}"
            if builtin_name is None:
                self._sql_names[name] = f"{quoted(schema)}.{quoted(table)}"
            self._oids[name] = oid
        return self._names[oid]

    def _adopted_table(self, name: str) -> "_Adopted | None":
        """Return the user table that stands for a built-in one. Raises StorageError if it has changed since."""
        if name not in BUILT_IN_TABLES:
            return None
        if self._adopted is None:
            self._adopted = {}
            for builtin_name, oid, sql_name, columns, raw, is_same in self._rows("adopted_tables"):
                if not is_same:
                    raise columns_changed_error(sql_name)
                self._adopted[builtin_name] = _Adopted(oid, sql_name, dict(columns), dict(raw))
        return self._adopted.get(name)

    def _view_columns(self, table: str, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the names that the columns of a table have in the view over it, if there is one."""
        adopted = self._adopted_table(table)
        return tuple(columns) if adopted is None else tuple(adopted.columns.get(name, name) for name in columns)

    def table(self, name: str) -> CatalogTable | None:
        if name not in self._tables:
            sql_name, adopted = self._sql_names.get(name), self._adopted_table(name)
            if adopted is not None:
                sql_name = adopted.sql_name
            rows = self._rows("table_columns", {"table": sql_name}) if sql_name is not None else []
            if adopted is not None:
                rows = [(adopted.columns[row[0]], *row[1:]) for row in rows]
                rows += [(column, kind, kind, True, None, None) for column, kind in _BUILTIN[name].items()]
            keyed = sorted((row[5], row[0]) for row in rows if row[5] is not None)
            self._types[name] = {row[0]: row[2] for row in rows}
            self._tables[name] = CatalogTable(
                name=name,
                columns={row[0]: row[1] for row in rows},
                key=tuple(column for _, column in keyed) or (tuple(_BUILTIN[name]) if adopted is not None else ()),
                required=frozenset(row[0] for row in rows if row[3]),
                defaults={row[0]: row[4] for row in rows if row[4] is not None},
            ) if rows else None  # fmt: skip
        return self._tables[name]

    def referred(self, table: str, column: str, value: Any) -> Any:
        adopted = self._adopted_table(table)
        if adopted is None or column not in adopted.raw or value is None:
            return value
        return int(value) if self._types_of(table, (column,))[0] in _NUMBERS else value

    def triggers(self, deleting: Sequence[str], updating: Sequence[str]) -> Sequence[UserTrigger]:
        self.foreign_keys()
        oids = {**self._oids, **{name: self._oid(name) for name in BUILT_IN_TABLES}}
        names = {oid: name for name, oid in oids.items()}
        values = {
            "deleting": [oids[name] for name in deleting if name in oids],
            "changing": [oids[name] for name in updating if name in oids],
        }
        return [UserTrigger(name, names[oid]) for name, oid in self._rows("triggers", values)]

    def _oid(self, name: str) -> int:
        if (adopted := self._adopted_table(name)) is not None:
            return adopted.oid
        row = self._execute("SELECT %s::regclass::oid", (self._sql_names[name],)).fetchone()
        return int(row[0]) if row is not None else 0

    def unwritable(self, deleting: Sequence[str], updating: Sequence[str]) -> Mapping[str, str]:
        # A row is locked before it is deleted, which needs the privilege UPDATE.
        needed = [*((name, "INSERT") for name in deleting), *((name, "UPDATE") for name in (*deleting, *updating))]
        names = [name for name, _ in needed]
        relations, privileges = [self._sql_names[name] for name in names], [privilege for _, privilege in needed]
        values = {"column0": names, "column1": relations, "column2": privileges}
        return {str(name): str(grant) for name, grant in self._rows("missing_privileges", values)}

    def _raw_columns(self, table: str) -> dict[str, str]:
        adopted = self._adopted_table(table)
        return {} if adopted is None else adopted.raw

    def _columns_of(self, name: str) -> dict[str, str]:
        table = self.table(name)
        return dict(table.columns) if table is not None else {}

    def _types_of(self, table: str, columns: Sequence[str]) -> list[str]:
        self.table(table)
        return [self._types[table][name] for name in columns]

    def _rows(self, name: str, values: dict[str, Any] | None = None) -> list[Row]:
        return self._execute(self._statements.text(name), values or {}).fetchall()
