"""What a delete would take along: rows of other tables that go, or change, when conversations do.

The database does that by itself, by the foreign keys of a user's own tables. What it does is found out here beforehand,
from the catalogue, so that a backup holds those rows too.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backstay.library.record import beyond_json, value_to_line
from backstay.storage.sql.cascade.tables import CONVERSATIONS, OURS, TURNS, CatalogTable, ForeignKey, OnDelete
from backstay.storage.sql.session import Session

Found = dict[str, list[dict[str, Any]]]
"""Rows by table, as they stand in a line."""

_KEYS = {CONVERSATIONS: "key", TURNS: "conversation_key"}


@dataclass(frozen=True, slots=True)
class CascadeTables:
    """The tables that hang on conversations, by which keys, and which of their columns are kept."""

    keys: Sequence[ForeignKey] = ()
    tables: Mapping[str, CatalogTable] = field(default_factory=dict)
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of tables whose rows go, all columns; of those whose rows change, what tells a row and what it refers to."""

    @classmethod
    def from_session(cls, session: Session) -> "CascadeTables":
        """Return that of a database."""
        keys = session.tables.foreign_keys()
        found = {key.table: session.tables.table(key.table) for key in keys}
        tables = {name: table for name, table in found.items() if table is not None}
        goes = {key.table for key in keys if key.on_delete is OnDelete.CASCADE} - set(OURS)
        kept = {name: tuple(tables[name].columns) for name in goes}
        for name in sorted({key.table for key in keys if key.on_delete.changes} - goes):
            changing = [key for key in keys if key.table == name and key.on_delete.changes]
            told = (*tables[name].key, *(column for key in changing for column in key.columns))
            kept[name] = tuple(dict.fromkeys(told))
        return cls(keys, tables, dict(sorted(kept.items())))

    def only(self, columns: Mapping[str, Mapping[str, str]]) -> "CascadeTables":
        """Return the part that these tables and columns are of."""
        kept = {
            name: tuple(names)
            for name, names in columns.items()
            if name in self.kept and set(names) <= set(self.tables[name].columns)
        }
        kept |= {name: self.kept[name] for name in OURS if name in self.kept}
        keys = [key for key in self.keys if key.table in OURS or set(key.columns) <= set(kept.get(key.table, ()))]
        return CascadeTables([key for key in keys if key.parent in OURS or key.parent in kept], self.tables, kept)

    def as_mapping(self) -> dict[str, Mapping[str, str]]:
        """Return the columns that are kept, by table, with their types; those of ours left out."""
        return {
            name: {column: self.tables[name].columns[column] for column in columns}
            for name, columns in self.kept.items()
            if name not in OURS
        }

    @property
    def going(self) -> list[str]:
        """The tables whose rows go."""
        goes = {key.table for key in self.keys if key.on_delete is OnDelete.CASCADE}
        return [name for name in self.kept if name in goes and name not in OURS]

    @property
    def changing(self) -> list[str]:
        """The tables whose rows stay and change."""
        return sorted({key.table for key in self.keys if key.on_delete.changes})


class _ReachedRow:
    """A row that is reached."""

    __slots__ = ("identity", "roots", "table", "values")

    def __init__(self, table: str, identity: Any, values: dict[str, Any], roots: set[int]) -> None:
        self.table = table
        self.identity = identity
        self.values = values
        self.roots = roots
        """The conversations with which it goes."""


class CascadeWalk:
    """What hangs on some conversations."""

    def __init__(self, session: Session, closure: CascadeTables, keys: Sequence[int], *, held: bool = False) -> None:
        """Find it. With `held` nobody else changes it until the transaction ends."""
        self._tables = session.tables
        self._closure = closure
        self._held = held
        self._rows: dict[tuple[str, Any], _ReachedRow] = {}
        self._changed: dict[tuple[ForeignKey, Any], _ReachedRow] = {}
        self.blocking: dict[ForeignKey, set[Any]] = defaultdict(set)
        """Rows that keep these conversations from going, by the key that says so."""
        self._by_parent: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in closure.keys:
            self._by_parent[key.parent].append(key)
        if keys and closure.keys:
            self._follow(self._roots(keys))
            self._settle()

    def _roots(self, keys: Sequence[int]) -> Iterable[tuple[str, list[_ReachedRow]]]:
        for table, place in _KEYS.items():
            near = [key for key in self._closure.keys if table in (key.parent, key.table)]
            if not near:
                continue
            names = [place, *(name for key in near if key.parent == table for name in key.parent_columns)]
            names += [name for key in near if key.table == table and not key.on_delete.forbids for name in key.columns]
            names = list(dict.fromkeys(names))
            nodes = []
            for _, identity, *values in self._tables.matching(table, (place,), [(key,) for key in keys], names):
                node = _ReachedRow(table, identity, dict(zip(names, values, strict=True)), {values[0]})
                self._rows[table, identity] = node
                nodes.append(node)
            yield table, nodes

    def _follow(self, roots: Iterable[tuple[str, list[_ReachedRow]]]) -> None:
        waiting = deque(list(roots))
        while waiting:
            parent, nodes = waiting.popleft()
            for key in self._by_parent[parent]:
                if more := self._step(key, nodes):
                    waiting.append((key.table, more))

    def _step(self, key: ForeignKey, nodes: Sequence[_ReachedRow]) -> list[_ReachedRow]:
        """Follow one key from these rows; return the rows that go with them and were not known to."""
        parents = [(node, _values(node, key.parent_columns)) for node in nodes]
        parents = [(node, values) for node, values in parents if None not in values]
        asked = [values for _, values in parents]
        more: dict[Any, _ReachedRow] = {}
        names = self._names(key)
        for number, identity, *values in self._tables.children(key, asked, names, held=self._held):
            node, row = parents[number][0], dict(zip(names, values, strict=True))
            if key.on_delete.forbids:
                self.blocking[key].add(identity)
            elif key.on_delete.changes:
                told = self._changed.setdefault((key, identity), _ReachedRow(key.table, identity, row, set()))
                told.roots |= node.roots
            elif key.table in OURS:
                if row[_KEYS[key.table]] not in node.roots:  # a whole conversation would go along
                    self.blocking[key].add(identity)
            else:
                known = self._rows.setdefault((key.table, identity), _ReachedRow(key.table, identity, row, set()))
                if not node.roots <= known.roots:
                    known.roots |= node.roots
                    more[identity] = known
        return list(more.values())

    def _names(self, key: ForeignKey) -> Sequence[str]:
        if key.on_delete.forbids:
            return ()
        if key.on_delete.changes:
            return tuple(dict.fromkeys((*self._closure.tables[key.table].key, *key.columns)))
        return (_KEYS[key.table],) if key.table in OURS else self._closure.kept[key.table]

    def _settle(self) -> None:
        """Leave out what stands in the way of nothing, because it goes as well, or with these."""
        for (key, identity), node in list(self._changed.items()):
            gone = self._rows.get((key.table, identity))
            if gone is not None:
                node.roots -= gone.roots
                if not node.roots:
                    del self._changed[key, identity]
        for key, identities in list(self.blocking.items()):
            if key.on_delete is OnDelete.NO_ACTION:
                identities -= {identity for identity in identities if (key.table, identity) in self._rows}
            if not identities:
                del self.blocking[key]

    def count(self) -> Counter[int]:
        """Return how many rows of other tables hang on each conversation."""
        found: Counter[int] = Counter()
        for (table, _), node in self._rows.items():
            if table not in OURS:
                found.update(node.roots)
        for node in self._changed.values():
            found.update(node.roots)
        return found

    def identities(self, table: str) -> set[Any]:
        """Return what tells the rows of a table that go."""
        return {identity for name, identity in self._rows if name == table}

    def lost(self) -> Iterable[tuple[str, Any, bool]]:
        """Yield table and identity of each row of another table, and whether it goes or only changes."""
        yield from ((name, identity, True) for name, identity in self._rows if name not in OURS)
        yield from ((key.table, identity, False) for key, identity in self._changed)

    def unfit(self) -> Iterable[ForeignKey]:
        """Yield the keys of rows that change and could not be found again."""
        for key, _ in self._changed:
            told = self._closure.tables[key.table].key
            if not told or set(told) & set(key.columns):
                yield key

    @property
    def spills(self) -> bool:
        """Whether rows that go or change have to do with other conversations as well, as far as can be told."""
        if self.blocking or any(self._is_shared(key) for key, _ in self._changed):
            return True
        for key in self._closure.keys:
            if key.on_delete.forbids:
                continue
            here = {_values(node, key.parent_columns) for node in self._rows.values() if node.table == key.parent}
            told = (_values(node, key.columns) for node in self._rows.values() if node.table == key.table)
            if any(None not in values and values not in here for values in told):
                return True
        return False

    def _is_shared(self, key: ForeignKey) -> bool:
        return key.table in OURS or sum(other.table == key.table for other in self._closure.keys) > 1

    def by_conversation(self) -> dict[int, dict[str, Found]]:
        """Return what to keep with each conversation: rows that go (`deleted`), and rows that change (`changed`)."""
        found: dict[int, dict[str, Found]] = {}
        for (table, _), node in self._rows.items():
            if table not in OURS:
                _add(found, "deleted", node)
        for node in self._changed.values():
            _add(found, "changed", node)
        return {key: {kind: _sorted(tables) for kind, tables in sorted(kinds.items())} for key, kinds in found.items()}


def _values(node: _ReachedRow, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple([node.values[name] for name in names])


def _add(found: dict[int, dict[str, Found]], kind: str, node: _ReachedRow) -> None:
    row = {name: value_to_line(value) for name, value in node.values.items()}
    for root in node.roots:
        found.setdefault(root, {}).setdefault(kind, {}).setdefault(node.table, []).append(row)


def _sorted(tables: Found) -> Found:
    """In an order that depends on nothing but what is in them."""
    return {
        name: sorted(({column: row[column] for column in sorted(row)} for row in rows), key=_format_row)
        for name, rows in sorted(tables.items())
    }


def _format_row(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, default=beyond_json)


def late_columns(closure: CascadeTables, table: str) -> set[str]:
    """Return the columns of a table of ours that are set once everything else is there, as they refer to that."""
    keys = [key for key in closure.keys if key.table == table and table in OURS]
    required = closure.tables[table].required if keys else frozenset()
    return {name for key in keys if not set(key.columns) & required for name in key.columns}
