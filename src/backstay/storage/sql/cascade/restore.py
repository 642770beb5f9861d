"""Rows of other tables come back with the conversations they went with, in an order that foreign keys allow."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from backstay.errors import ColumnsDiffer
from backstay.library.record import RELATED, TURNS, Document, beyond_json, value_from_line
from backstay.storage.sql.cascade.closure import CascadeTables, late_columns
from backstay.storage.sql.cascade.tables import CONVERSATIONS, OURS, ForeignKey, OnDelete, Row
from backstay.storage.sql.cascade.tables import TURNS as OUR_TURNS
from backstay.storage.sql.session import Session

_PLACES = {CONVERSATIONS: ("key",), OUR_TURNS: ("conversation_key", "sequence")}


@dataclass(frozen=True, slots=True)
class LinkedConversation:
    """A conversation that is back in its table."""

    key: int
    owner: str
    document: Document


@dataclass(slots=True)
class _RowCounts:
    """Rows of one table, each as often as it was there."""

    columns: tuple[str, ...]
    rows: Counter[Row]

    def values(self, names: Sequence[str]) -> dict[Row, tuple[Any, ...]]:
        places = [self.columns.index(name) for name in names]
        return {row: tuple([row[place] for place in places]) for row in self.rows}


class RelatedRowsRestore:
    """Brings back the rows of one restore, some conversations at a time; what has to wait waits to the end."""

    def __init__(self, session: Session, closure: CascadeTables) -> None:
        self._tables = session.tables
        self._closure = closure
        self._order = _parents_first(closure)
        self._keys: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in closure.keys:
            self._keys[key.table].append(key)
        self._ends: dict[_End, set[Row]] = defaultdict(set)
        self._waiting: dict[str, Counter[Row]] = {name: Counter() for name in self._order}
        self._late: dict[tuple[ForeignKey, tuple[str, ...]], list[Row]] = defaultdict(list)
        self._left: set[tuple[str, bytes]] = set()
        self._unpointed: dict[tuple[str, tuple[str, ...]], set[Row]] = defaultdict(set)
        self._elsewhere: set[tuple[str, Row]] = set()
        self.brought = 0
        """Rows that are back, or refer again to what they referred to."""
        self.left = 0
        """Rows that are not, because what they refer to is not there, or because they refer to something else now."""

    def add(self, restored: Sequence[LinkedConversation]) -> None:
        """Bring back what belongs to these conversations. Raises ColumnsDiffer."""
        self._ends.clear()
        coming: dict[str, Counter[Row]] = {name: Counter() for name in self._order}
        for one in restored:
            self._note_ours(one)
            for table, rows in _related(one.document, "deleted").items():
                self._check(table, rows)
                columns = self._closure.kept[table]
                coming[table] |= Counter(tuple(value_from_line(row[name]) for name in columns) for row in rows)
            for table, rows in _related(one.document, "changed").items():
                self._check(table, rows)
                for row in rows:
                    self._point(table, row)
        for name in self._order:
            # What refers to something elsewhere may stand with other conversations too: it comes once, at the end.
            self._waiting[name] |= self._insert(name, coming[name], at_hand=True)
        self._point_back()

    def finish(self) -> None:
        """Bring back what waited, as far as what it refers to is there."""
        self._ends.clear()
        progress = True
        while progress:
            progress = False
            for name in self._order:
                before = self._waiting[name]
                self._waiting[name] = self._insert(name, before, at_hand=False) if before else before
                progress |= self._waiting[name].total() < before.total()
        for name in self._order:
            for row in self._waiting[name]:
                self._left.add((name, _format_row(dict(zip(self._closure.kept[name], row, strict=True)))))
            self.left += self._waiting[name].total()
        self._point_back()
        for (key, match), rows in self._late.items():
            self._unpointed[key.table, key.columns] |= {row[len(match) :] for row in rows}
            self.left += len(rows)
        self.left += len(self._elsewhere)
        for name in self._order:
            self._tables.advance(name)

    def _check(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        known = self._closure.kept.get(table)
        missing = next((name for row in rows for name in row if known is not None and name not in known), None)
        if known is None or missing is not None:
            what = f"a column {missing!r} of {table}" if missing is not None else f"rows of {table}, by a foreign key"
            raise ColumnsDiffer(
                f"The backup has {what} that this database lacks; add it, then restore again",
                table=table,
                column=missing,
            )

    # -- what comes whole

    def _note_ours(self, one: LinkedConversation) -> None:
        document = one.document
        row = {**document, "key": one.key, "owner": one.owner}
        self._note(CONVERSATIONS, row)
        for turn in document[TURNS]:
            self._note(OUR_TURNS, {**turn, "conversation_key": one.key, "owner": one.owner})

    def _note(self, table: str, row: Mapping[str, Any]) -> None:
        for key in self._closure.keys:
            if key.parent == table:
                told = [self._tables.referred(table, name, value_from_line(row[name])) for name in key.parent_columns]
                self._ends[_end(key)].add(tuple(told))
        late = late_columns(self._closure, table)
        for key in self._keys[table]:
            values = tuple(value_from_line(row.get(name)) for name in key.columns)
            if None not in values and set(key.columns) <= late:
                match = _PLACES[table]
                self._late[_put_in(key), match].append((*(row[name] for name in match), *values))

    def _insert(self, table: str, rows: Counter[Row], *, at_hand: bool) -> Counter[Row]:
        """Put in those whose parents are there, or only those whose parents are at hand; return the others."""
        columns = self._closure.kept[table]
        ready = _RowCounts(columns, rows.copy())
        late: dict[ForeignKey, dict[Row, Row]] = {}
        for key in self._keys[table]:
            if self._may_be_late(key):
                values = {row: told for row, told in ready.values(key.columns).items() if None not in told}
                self._look_up(key, () if at_hand else values.values())
                late[key] = {row: told for row, told in values.items() if told not in self._ends[_end(key)]}
        firm = [key for key in self._keys[table] if not self._may_be_late(key)]
        while True:
            dropped = set()
            for key in firm:
                values = {row: told for row, told in ready.values(key.columns).items() if None not in told}
                own = set(ready.values(key.parent_columns).values()) if key.parent == table else set()
                missing = {row: told for row, told in values.items() if told not in own | self._ends[_end(key)]}
                self._look_up(key, () if at_hand else missing.values())
                dropped |= {row for row, told in missing.items() if told not in self._ends[_end(key)]}
            if not dropped:
                break
            for row in dropped:
                del ready.rows[row]
        self._put(table, ready, late)
        return rows - ready.rows

    def _put(self, table: str, ready: _RowCounts, late: Mapping[ForeignKey, Mapping[Row, Row]]) -> None:
        match = self._closure.tables[table].key
        put = []
        for row, number in ready.rows.items():
            nulled: set[str] = set()
            for key, values in late.items():
                if row in values:
                    nulled |= set(key.columns)
                    told = [row[ready.columns.index(name)] for name in match]
                    self._late[_put_in(key), match].append((*told, *values[row]))
            here = tuple(None if name in nulled else value for name, value in zip(ready.columns, row, strict=True))
            put += [here] * number
        if put:
            self._tables.insert(table, ready.columns, put)
        self.brought += len(put)
        for key in self._closure.keys:
            if key.parent == table:
                self._ends[_end(key)] |= set(ready.values(key.parent_columns).values())

    def _may_be_late(self, key: ForeignKey) -> bool:
        table = self._closure.tables[key.table]
        if set(key.columns) & table.required or not table.key or set(key.columns) & set(table.key):
            return False
        is_before = key.parent in OURS or (
            key.parent in self._order and self._order.index(key.parent) < self._order.index(key.table)
        )
        return key.on_delete.changes or not (is_before or key.parent == key.table)

    def _look_up(self, key: ForeignKey, values: Iterable[Row]) -> None:
        """Find out which of these are there to be referred to."""
        ends = self._ends[_end(key)]
        asked = list(dict.fromkeys(told for told in values if told not in ends))
        for number, *_ in self._tables.matching(key.parent, key.parent_columns, asked, ()) if asked else ():
            ends.add(asked[number])

    # -- what only refers to it again

    def _point(self, table: str, row: Mapping[str, Any]) -> None:
        match = self._closure.tables[table].key
        for key in self._keys[table]:
            if key.on_delete.changes and set(row) == {*match, *key.columns}:
                told = tuple(value_from_line(row[name]) for name in (*match, *key.columns))
                self._late[key, match].append(told)
                return

    def _point_back(self) -> None:
        """Have rows refer to what is there; those that cannot wait."""
        for (key, match), rows in list(self._late.items()):
            self._look_up(key, [row[len(match) :] for row in rows])
            ends = self._ends[_end(key)]
            ready = [row for row in rows if row[len(match) :] in ends]
            self._late[key, match] = [row for row in rows if row[len(match) :] not in ends]
            done = self._tables.relink(key, match, ready)
            if key.table not in OURS and key.table not in self._order:
                self.brought += done
                if done < len(ready):  # somebody has them refer to something else by now, or they were done before
                    self._elsewhere |= {(key.table, row) for row in self._not_pointing(key, match, ready)}

    def _not_pointing(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> set[Row]:
        found = self._tables.matching(key.table, (*match, *key.columns), rows, ())
        return set(rows) - {rows[number] for number, *_ in found}

    # -- what is there now

    def is_unchanged(self, before: Document, now: Document) -> bool:
        """Whether a conversation is as it was, but for what could not come back."""
        was, is_now = self._lasting(before), self._lasting(now)
        changed, still = _related(before, "changed"), _related(now, "changed")
        return was == is_now and all(row in changed.get(name, ()) for name, rows in still.items() for row in rows)

    def _lasting(self, document: Document) -> Document:
        told = self._pointing(CONVERSATIONS, {name: value for name, value in document.items() if name != RELATED})
        told[TURNS] = [self._pointing(OUR_TURNS, turn) for turn in document[TURNS]]
        rows = {
            name: sorted(
                _format_row(self._pointing(name, row))
                for row in rows
                if (name, _format_row(_plainly(row))) not in self._left
            )
            for name, rows in _related(document, "deleted").items()
        }
        return {**told, RELATED: {name: found for name, found in rows.items() if found}}

    def _pointing(self, table: str, row: Mapping[str, Any]) -> Document:
        found = dict(row)
        for (name, columns), values in self._unpointed.items():
            if name == table and tuple(value_from_line(row.get(column)) for column in columns) in values:
                found |= dict.fromkeys(columns)
        return found


_End = tuple[str, tuple[str, ...]]
"""What foreign keys refer to: columns of a table."""


def _end(key: ForeignKey) -> _End:
    return key.parent, key.parent_columns


def _put_in(key: ForeignKey) -> ForeignKey:
    """Return the key of a row that was put in without what it refers to: it has nothing there, whatever the default."""
    return replace(key, on_delete=OnDelete.SET_NULL)


def _format_row(row: Mapping[str, Any]) -> bytes:
    """Return what a row is known by."""
    return orjson.dumps(dict(sorted(row.items())), default=beyond_json)


def _plainly(row: Mapping[str, Any]) -> Document:
    return {name: value_from_line(value) for name, value in row.items()}


def _related(document: Document, kind: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: Mapping[str, Sequence[Mapping[str, Any]]] = document.get(RELATED, {}).get(kind, {})
    return found


def _parents_first(closure: CascadeTables) -> list[str]:
    """Return the tables whose rows go, each behind those that it refers to, as far as they do not go round."""
    left, order = list(closure.going), list[str]()
    while left:
        free = [
            name
            for name in left
            if not any(key.table == name and key.parent in left and key.parent != name for key in closure.keys)
        ]
        taken = free or left[:1]
        order += taken
        left = [name for name in left if name not in taken]
    return order
