"""Tables of a user's own on a server. Implements `storage.sql.tables.TableCatalog`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from backstay.storage.postgres.queries import PLAIN, Statements, quoted
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
Ask = Callable[[str, Any], psycopg.Cursor[TupleRow]]


_NUMBERS = ("smallint", "integer", "bigint")
_OWN = {
    CONVERSATIONS: {"key": "bigint"},
    TURNS: {"conversation_key": "bigint", "sequence": "integer"},
}
"""What of our tables is ours, whatever is behind them."""


@dataclass(frozen=True, slots=True)
class _Adopted:
    """A user's own table in the place of one of ours, which is a view over it."""

    number: int
    place: str
    columns: dict[str, str]
    """By their names, those of the view."""
    raw: dict[str, str]
    """By names of the view, those of columns that show the same in their type."""


class PostgresTables:
    """Foreign keys are asked for once a transaction. Tables are found by their numbers, never by a path."""

    def __init__(self, connection: Connection, statements: Statements, ask: Ask) -> None:
        """Work in a transaction of this connection; `ask` executes a statement in it, and is told its values."""
        self._connection = connection
        self._ask = ask
        self._statements = statements
        self._keys: list[ForeignKey] | None = None
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._places = {name: f"{statements.schema}.{name}" for name in BUILT_IN_TABLES}
        self._tables: dict[str, CatalogTable | None] = {}
        self._types: dict[str, dict[str, str]] = {}
        self._is_prepared = False
        self._adopted: dict[str, _Adopted] | None = None

    def foreign_keys(self) -> Sequence[ForeignKey]:
        if self._keys is None:
            self._keys = [
                ForeignKey(
                    name,
                    self._name_of(table),
                    self._ours(self._name_of(table), columns),
                    self._name_of(parent),
                    self._ours(self._name_of(parent), ends),
                    _ON_DELETE[action],
                )
                for name, table, parent, action, columns, ends in self._rows("foreign_keys")
            ]
        return self._keys

    def _name_of(self, number: int) -> str:
        if number not in self._names:
            ((schema, name, ours),) = self._rows("table_named", {"id": number})
            self._names[number] = ours or f"{schema}.{name}"
            if ours is None:
                self._places[self._names[number]] = f"{quoted(schema)}.{quoted(name)}"
            self._numbers[self._names[number]] = number
        return self._names[number]

    def _of_adopted(self, name: str) -> "_Adopted | None":
        """Return what is known of a user's table in the place of one of ours."""
        if name not in BUILT_IN_TABLES:
            return None
        if self._adopted is None:
            self._adopted = {}
            for ours, number, place, columns, raw, is_same in self._rows("adopted_tables"):
                if not is_same:
                    raise changed_since(place)
                self._adopted[ours] = _Adopted(number, place, dict(columns), dict(raw))
        return self._adopted.get(name)

    def _ours(self, table: str, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the names of columns as the view has them, where the table is behind one."""
        adopted = self._of_adopted(table)
        return tuple(columns) if adopted is None else tuple(adopted.columns[name] for name in columns)

    def table(self, name: str) -> CatalogTable | None:
        if name not in self._tables:
            place, adopted = self._places.get(name), self._of_adopted(name)
            if adopted is not None:
                place = adopted.place
            rows = self._rows("table_columns", {"table": place}) if place is not None else []
            if adopted is not None:
                rows = [(adopted.columns[row[0]], *row[1:]) for row in rows]
                rows += [(own, kind, kind, True, None, None) for own, kind in _OWN[name].items()]
            keyed = sorted((row[5], row[0]) for row in rows if row[5] is not None)
            self._types[name] = {row[0]: row[2] for row in rows}
            self._tables[name] = CatalogTable(
                name=name,
                columns={row[0]: row[1] for row in rows},
                key=tuple(column for _, column in keyed) or (tuple(_OWN[name]) if adopted is not None else ()),
                required=frozenset(row[0] for row in rows if row[3]),
                defaults={row[0]: row[4] for row in rows if row[4] is not None},
            ) if rows else None  # fmt: skip
        return self._tables[name]

    def referred(self, table: str, column: str, value: Any) -> Any:
        adopted = self._of_adopted(table)
        if adopted is None or column not in adopted.raw or value is None:
            return value
        return int(value) if self._types_of(table, (column,))[0] in _NUMBERS else value

    def triggers(self, deleting: Sequence[str], updating: Sequence[str]) -> Sequence[UserTrigger]:
        self.foreign_keys()
        ours = {name: self._number(name) for name in BUILT_IN_TABLES}
        numbers = {**self._numbers, **ours}
        names = {number: name for name, number in numbers.items()}
        asked = {
            "deleting": [numbers[name] for name in deleting if name in numbers],
            "changing": [numbers[name] for name in updating if name in numbers],
        }
        return [UserTrigger(name, names[number]) for name, number in self._rows("triggers", asked)]

    def _number(self, name: str) -> int:
        if (adopted := self._of_adopted(name)) is not None:
            return adopted.number
        row = self._ask("SELECT %s::regclass::oid", (self._places[name],)).fetchone()
        return int(row[0]) if row is not None else 0

    def children(
        self, key: ForeignKey, parents: Sequence[Row], columns: Sequence[str], *, locked: bool = False
    ) -> list[Row]:
        # As the parent's columns hold them: a value of these need not fit into the other's type.
        types = self._types_of(key.parent, key.parent_columns)
        return self._found(key.table, key.columns, types, parents, columns, locked=locked)

    def matching(self, table: str, match: Sequence[str], values: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        return self._found(table, match, self._types_of(table, match), values, columns, locked=False)

    def _found(
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
        self._prepare()
        declared, raw = self._columns_of(table), self._raw(table)
        read = "".join(
            f", c.{quoted(raw.get(name, name))}{'' if PLAIN.fullmatch(declared[name]) else '::text'}"
            for name in columns
        )
        same = " AND ".join(
            f"c.{quoted(raw.get(name, name))} = w.v{at}::{kind}"
            for at, (name, kind) in enumerate(zip(match, types, strict=True))
        )
        arrays = ", ".join(["%s::text[]"] * len(match))
        names = ", ".join(f"v{at}" for at in range(len(match)))
        text = (
            f"SELECT w.n - 1, c.tableoid::text || c.ctid::text{_escaped(read)}"
            f" FROM {_unnest(arrays, len(match))} WITH ORDINALITY AS w ({names}, n)"
            f" JOIN {_escaped(self._places[table])} AS c ON {_escaped(same)}{' FOR UPDATE OF c' if locked else ''}"
        )
        bound = [[_text(value) for value in column] for column in zip(*values, strict=True)]
        return self._ask(text, bound).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self._prepare()
        named = ", ".join(map(quoted, columns))
        with self._connection.cursor().copy(f"COPY {self._places[table]} ({named}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def relink(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        self._prepare()
        table = self.table(key.table)
        defaults = table.defaults if table is not None and key.on_delete is OnDelete.SET_DEFAULT else {}
        names, raw = (*match, *key.columns), self._raw(key.table)
        values = [f"w.v{at}::{kind}" for at, kind in enumerate(self._types_of(key.table, names))]
        new = ", ".join(
            f"{quoted(name)} = {value}" for name, value in zip(key.columns, values[len(match) :], strict=True)
        )
        same = [f"c.{quoted(raw.get(name, name))} = {value}" for name, value in zip(match, values, strict=False)]
        free = [f"c.{quoted(name)} IS NOT DISTINCT FROM ({defaults.get(name, 'NULL')})" for name in key.columns]
        arrays = ", ".join(["%s::text[]"] * len(names))
        text = (
            f"UPDATE {_escaped(self._places[key.table])} AS c SET {_escaped(new)}"
            f" FROM {_unnest(arrays, len(names))} AS w ({', '.join(f'v{at}' for at in range(len(names)))})"
            f" WHERE {_escaped(' AND '.join(same + free))}"
        )
        bound = [[_text(value) for value in column] for column in zip(*rows, strict=True)]
        return self._ask(text, bound).rowcount

    def unwritable(self, deleting: Sequence[str], updating: Sequence[str]) -> Mapping[str, str]:
        # A row is locked before it is deleted, which needs the right UPDATE.
        asked = [*((name, "INSERT") for name in deleting), *((name, "UPDATE") for name in (*deleting, *updating))]
        rows = self._ask(
            "SELECT w.name, pg_catalog.format('GRANT %%s ON %%s TO %%I',"
            " pg_catalog.string_agg(DISTINCT w.wanted, ', '), w.place, current_user)"
            " FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (name, place, wanted)"
            " WHERE NOT pg_catalog.has_table_privilege(w.place::regclass, w.wanted) GROUP BY w.name, w.place",
            ([name for name, _ in asked], [self._places[name] for name, _ in asked], [right for _, right in asked]),
        )
        return {str(name): str(grant) for name, grant in rows}

    def defer(self) -> None:
        self._ask("SET CONSTRAINTS ALL DEFERRED", {})

    def advance(self, table: str) -> None:
        place, adopted = self._places[table], self._of_adopted(table)
        if adopted is not None:
            place = adopted.place
        elif table in BUILT_IN_TABLES:
            return
        for column, sequence in self._rows("sequences_of", {"table": place}):
            self._ask(
                f"SELECT pg_catalog.setval(%s::regclass, found.most) FROM {_escaped(sequence)} AS numbers,"
                f" (SELECT pg_catalog.max({_escaped(quoted(column))}) AS most FROM {_escaped(place)}) AS found"
                " WHERE found.most > numbers.last_value OR found.most = numbers.last_value AND NOT numbers.is_called",
                (sequence,),
            )

    def _raw(self, table: str) -> dict[str, str]:
        adopted = self._of_adopted(table)
        return {} if adopted is None else adopted.raw

    def _columns_of(self, name: str) -> dict[str, str]:
        table = self.table(name)
        return dict(table.columns) if table is not None else {}

    def _types_of(self, table: str, columns: Sequence[str]) -> list[str]:
        self.table(table)
        return [self._types[table][name] for name in columns]

    def _prepare(self) -> None:
        if not self._is_prepared:
            # The server deletes rows that a policy hides from us as well: rather an error than a backup without them.
            self._ask("SET LOCAL row_security = off", {})
            self._is_prepared = True

    def _rows(self, name: str, values: dict[str, Any] | None = None) -> list[Row]:
        return self._ask(self._statements.text(name), values or {}).fetchall()


def _unnest(arrays: str, count: int) -> str:
    return f"{'pg_catalog.unnest' if count == 1 else 'unnest'}({arrays})"  # of several it is a word of SQL


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
