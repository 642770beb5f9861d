"""User tables on a server. Implements `storage.sql.cascade.tables.TableCatalog`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from backstay.storage.postgres.queries import PLAIN_TYPES, Statements, quoted
from backstay.storage.sql.adoption_guard import changed_since
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

Connection = psycopg.Connection[TupleRow]
Execute = Callable[[str, Any], psycopg.Cursor[TupleRow]]


_NUMBERS = ("smallint", "integer", "bigint")
_BUILTIN = {
    CONVERSATIONS: {"key": "bigint"},
    TURNS: {"conversation_key": "bigint", "sequence": "integer"},
}
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


class PostgresTables:
    """The user tables as one transaction sees them, found by OID, never by search path. Foreign keys are read once."""

    def __init__(self, connection: Connection, statements: Statements, execute: Execute) -> None:
        """Work in a transaction of the connection; `execute` runs a statement in it, with its values."""
        self._connection = connection
        self._execute = execute
        self._statements = statements
        self._foreign_keys: list[ForeignKey] | None = None
        self._names: dict[int, str] = {}
        self._oids: dict[str, int] = {}
        self._sql_names = {name: f"{statements.schema}.{name}" for name in BUILT_IN_TABLES}
        self._tables: dict[str, CatalogTable | None] = {}
        self._types: dict[str, dict[str, str]] = {}
        self._is_row_security_off = False
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
                    raise changed_since(sql_name)
                self._adopted[builtin_name] = _Adopted(oid, sql_name, dict(columns), dict(raw))
        return self._adopted.get(name)

    def _view_columns(self, table: str, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the names that the columns of a table have in the view over it, if there is one."""
        adopted = self._adopted_table(table)
        return tuple(columns) if adopted is None else tuple(adopted.columns[name] for name in columns)

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

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, locked: bool = False
    ) -> list[Row]:
        # Compared in the types of the parent's columns, whose values need not fit the child's types.
        types = self._types_of(key.parent, key.parent_columns)
        return self._select(key.table, key.columns, types, parents, columns, locked=locked)

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        return self._select(table, match, self._types_of(table, match), values, columns, locked=False)

    def _select(
        self,
        table: str,
        match: Sequence[str],
        types: Sequence[str],
        values: Sequence[Row],
        columns: Sequence[str],
        *,
        locked: bool,
    ) -> list[Row]:
        if not values:
            return []
        self._disable_row_security()
        declared, raw = self._columns_of(table), self._raw_columns(table)
        read = "".join(
            f", c.{quoted(raw.get(name, name))}{'' if PLAIN_TYPES.fullmatch(declared[name]) else '::text'}"
            for name in columns
        )
        same = " AND ".join(
            f"c.{quoted(raw.get(name, name))} = w.v{at}::{kind}"
            for at, (name, kind) in enumerate(zip(match, types, strict=True))
        )
        arrays = ", ".join(["%s::text[]"] * len(match))
        names = ", ".join(f"v{at}" for at in range(len(match)))
        text = (
            f"SELECT w.n - 1, c.tableoid::text || c.ctid::text{_escape(read)}"
            f" FROM {_unnest(arrays, len(match))} WITH ORDINALITY AS w ({names}, n)"
            f" JOIN {_escape(self._sql_names[table])} AS c ON {_escape(same)}{' FOR UPDATE OF c' if locked else ''}"
        )
        column_values = [[_to_text(value) for value in column] for column in zip(*values, strict=True)]
        return self._execute(text, column_values).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self._disable_row_security()
        names = ", ".join(map(quoted, columns))
        with self._connection.cursor().copy(f"COPY {self._sql_names[table]} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        self._disable_row_security()
        table = self.table(key.table)
        defaults = table.defaults if table is not None and key.on_delete is OnDelete.SET_DEFAULT else {}
        names, raw = (*match, *key.columns), self._raw_columns(key.table)
        values = [f"w.v{at}::{kind}" for at, kind in enumerate(self._types_of(key.table, names))]
        new = ", ".join(
            f"{quoted(name)} = {value}" for name, value in zip(key.columns, values[len(match) :], strict=True)
        )
        same = [f"c.{quoted(raw.get(name, name))} = {value}" for name, value in zip(match, values, strict=False)]
        free = [f"c.{quoted(name)} IS NOT DISTINCT FROM ({defaults.get(name, 'NULL')})" for name in key.columns]
        arrays = ", ".join(["%s::text[]"] * len(names))
        text = (
            f"UPDATE {_escape(self._sql_names[key.table])} AS c SET {_escape(new)}"
            f" FROM {_unnest(arrays, len(names))} AS w ({', '.join(f'v{at}' for at in range(len(names)))})"
            f" WHERE {_escape(' AND '.join(same + free))}"
        )
        column_values = [[_to_text(value) for value in column] for column in zip(*rows, strict=True)]
        return self._execute(text, column_values).rowcount

    def unwritable(self, deleting: Sequence[str], updating: Sequence[str]) -> Mapping[str, str]:
        # A row is locked before it is deleted, which needs the privilege UPDATE.
        needed = [*((name, "INSERT") for name in deleting), *((name, "UPDATE") for name in (*deleting, *updating))]
        rows = self._execute(
            "SELECT w.name, pg_catalog.format('GRANT %%s ON %%s TO %%I',"
            " pg_catalog.string_agg(DISTINCT w.privilege, ', '), w.relation, current_user)"
            " FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (name, relation, privilege)"
            " WHERE NOT pg_catalog.has_table_privilege(w.relation::regclass, w.privilege) GROUP BY w.name, w.relation",
            (
                [name for name, _ in needed],
                [self._sql_names[name] for name, _ in needed],
                [privilege for _, privilege in needed],
            ),
        )
        return {str(name): str(grant) for name, grant in rows}

    def defer(self) -> None:
        self._execute("SET CONSTRAINTS ALL DEFERRED", {})

    def advance(self, table: str) -> None:
        sql_name, adopted = self._sql_names[table], self._adopted_table(table)
        if adopted is not None:
            sql_name = adopted.sql_name
        elif table in BUILT_IN_TABLES:
            return
        for column, sequence in self._rows("sequences_of", {"table": sql_name}):
            self._execute(
                f"SELECT pg_catalog.setval(%s::regclass, stored.maximum) FROM {_escape(sequence)} AS sequence,"
                f" (SELECT pg_catalog.max({_escape(quoted(column))}) AS maximum FROM {_escape(sql_name)}) AS stored"
                " WHERE stored.maximum > sequence.last_value"
                " OR stored.maximum = sequence.last_value AND NOT sequence.is_called",
                (sequence,),
            )

    def _raw_columns(self, table: str) -> dict[str, str]:
        adopted = self._adopted_table(table)
        return {} if adopted is None else adopted.raw

    def _columns_of(self, name: str) -> dict[str, str]:
        table = self.table(name)
        return dict(table.columns) if table is not None else {}

    def _types_of(self, table: str, columns: Sequence[str]) -> list[str]:
        self.table(table)
        return [self._types[table][name] for name in columns]

    def _disable_row_security(self) -> None:
        if not self._is_row_security_off:
            # A cascade also deletes rows that a policy hides from this role, so fail rather than back up without them.
            self._execute("SET LOCAL row_security = off", {})
            self._is_row_security_off = True

    def _rows(self, name: str, values: dict[str, Any] | None = None) -> list[Row]:
        return self._execute(self._statements.text(name), values or {}).fetchall()


def _unnest(arrays: str, count: int) -> str:
    return f"{'pg_catalog.unnest' if count == 1 else 'unnest'}({arrays})"  # with several arrays, it is syntax


def _to_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _escape(text: str) -> str:
    # psycopg reads a single % as the start of a placeholder.
    return text.replace("%", "%%")
