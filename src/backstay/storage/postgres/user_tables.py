"""User tables on a server. Implements `storage.sql.cascade.tables.TableCatalog`."""

from collections.abc import Sequence

import psycopg
from psycopg.rows import TupleRow

from backstay.storage.postgres.queries import PLAIN_TYPES, Statements, quoted
from backstay.storage.postgres.table_descriptions import Execute, TableDescriptions
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, ForeignKey, OnDelete, Row

Connection = psycopg.Connection[TupleRow]


class PostgresTables(TableDescriptions):
    """The user tables of one transaction, and their rows."""

    def __init__(self, connection: Connection, statements: Statements, execute: Execute) -> None:
        """Work in a transaction of the connection; `execute` runs a statement in it, with its values."""
        super().__init__(statements, execute)
        self._connection = connection
        self._is_row_security_off = False

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
        arrays, names = _unnest(len(match))
        text = (
            f"SELECT w.n - 1, c.tableoid::text || c.ctid::text{_escape(read)}"
            f" FROM {arrays} WITH ORDINALITY AS w ({names}, n)"
            f" JOIN {_escape(self._sql_names[table])} AS c ON {_escape(same)}{' FOR UPDATE OF c' if locked else ''}"
        )
        return self._execute(text, _text_columns(values)).fetchall()

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
        arrays, value_names = _unnest(len(names))
        text = (
            f"UPDATE {_escape(self._sql_names[key.table])} AS c SET {_escape(new)}"
            f" FROM {arrays} AS w ({value_names}) WHERE {_escape(' AND '.join(same + free))}"
        )
        return self._execute(text, _text_columns(rows)).rowcount

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

    def _disable_row_security(self) -> None:
        if not self._is_row_security_off:
            # A cascade also deletes rows that a policy hides from this role, so fail rather than back up without them.
            self._execute("SET LOCAL row_security = off", {})
            self._is_row_security_off = True


def _unnest(count: int) -> tuple[str, str]:
    """Return the expression that unnests so many arrays of texts, and the names of its columns: v0, v1, …"""
    function = "pg_catalog.unnest" if count == 1 else "unnest"  # with several arrays, it is syntax
    return f"{function}({', '.join(['%s::text[]'] * count)})", ", ".join(f"v{at}" for at in range(count))


def _text_columns(rows: Sequence[Row]) -> list[list[str | None]]:
    """Return the values of rows as texts, one list per column."""
    return [[value if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]


def _escape(text: str) -> str:
    # psycopg reads a single % as the start of a placeholder.
    return text.replace("%", "%%")
