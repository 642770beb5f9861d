"""What a delete of conversations does to other tables: which rows it deletes, and which it updates.

The database deletes and updates them itself, by the foreign keys of the user's tables. Here they are determined
beforehand, from the catalogue, so that a backup holds these rows as well.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backstay.library.record import encode_non_json, value_to_line
from backstay.storage.sql.cascade.insert_order import InsertOrder, insert_order
from backstay.storage.sql.cascade.related_rows import RowsByTable
from backstay.storage.sql.cascade.tables import (
    BUILT_IN_TABLES,
    CONVERSATIONS,
    TURNS,
    CatalogTable,
    ForeignKey,
    OnDelete,
)
from backstay.storage.sql.database import Session

_CONVERSATION_KEY = {CONVERSATIONS: "key", TURNS: "conversation_key"}
"""The column that holds the key of the conversation, by built-in table."""


@dataclass(frozen=True, slots=True)
class CascadeTables:
    """The tables whose rows a delete of conversations deletes or updates, and the foreign keys that lead to them."""

    foreign_keys: Sequence[ForeignKey] = ()
    tables: Mapping[str, CatalogTable] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that a backup holds, by table.

    All columns of a table whose rows are deleted; the primary key and the foreign keys of one whose rows are updated.
    """
    unrestorable: Sequence[tuple[ForeignKey, str]] = ()
    """The foreign keys whose rows could not be restored, and the generated column that is the reason."""

    @classmethod
    def from_session(cls, session: Session) -> "CascadeTables":
        """Read the tables and foreign keys from the catalogue of a database."""
        all_keys = session.tables.foreign_keys()
        described = {name: session.tables.table(name) for key in all_keys for name in (key.table, key.parent)}
        tables = {name: table for name, table in described.items() if table is not None}
        unrestorable = {
            key: generated[0] for key in all_keys if (generated := _generated_columns(key, all_keys, tables))
        }
        keys = [key for key in all_keys if key not in unrestorable]
        deleted = {key.table for key in keys if key.on_delete is OnDelete.CASCADE} - set(BUILT_IN_TABLES)
        columns = {name: tuple(tables[name].columns) for name in deleted}
        for name in sorted({key.table for key in keys if key.on_delete.updates} - deleted):
            updating = [key for key in keys if key.table == name and key.on_delete.updates]
            names = (*tables[name].key, *(column for key in updating for column in key.columns))
            columns[name] = tuple(dict.fromkeys(names))
        return cls(keys, tables, dict(sorted(columns.items())), list(unrestorable.items()))

    def restricted_to(self, columns: Mapping[str, Mapping[str, str]]) -> "CascadeTables":
        """Return only the tables and columns that are among these, and the foreign keys between them."""
        restricted = {
            name: tuple(names)
            for name, names in columns.items()
            if name in self.columns and set(names) <= set(self.tables[name].columns)
        }
        restricted |= {name: self.columns[name] for name in BUILT_IN_TABLES if name in self.columns}
        keys = [
            key
            for key in self.foreign_keys
            if key.table in BUILT_IN_TABLES or set(key.columns) <= set(restricted.get(key.table, ()))
        ]
        return CascadeTables(
            [key for key in keys if key.parent in BUILT_IN_TABLES or key.parent in restricted],
            self.tables,
            restricted,
            self.unrestorable,
        )

    def as_mapping(self) -> dict[str, Mapping[str, str]]:
        """Return the columns that a backup holds, with their types, by table; built-in tables are left out."""
        return {
            name: {column: self.tables[name].columns[column] for column in columns}
            for name, columns in self.columns.items()
            if name not in BUILT_IN_TABLES
        }

    def late_columns(self, table: str) -> set[str]:
        """Return the foreign key columns of a built-in table that a restore sets once what they refer to exists."""
        keys = [key for key in self.foreign_keys if key.table == table and table in BUILT_IN_TABLES]
        required = self.tables[table].required if keys else frozenset()
        return {name for key in keys if not set(key.columns) & required for name in key.columns}

    @property
    def insert_order(self) -> InsertOrder:
        """The order in which a restore inserts the rows that were deleted."""
        deleted = self.deleted_by_cascade
        keys = [key for key in self.foreign_keys if key.table in deleted]
        return insert_order(deleted, keys, set(filter(self._is_optional, keys)))

    def _is_optional(self, key: ForeignKey) -> bool:
        """Return whether a foreign key may be null, in a table whose primary key does not include it."""
        table = self.tables[key.table]
        return bool(table.key) and not set(key.columns) & {*table.required, *table.key}

    @property
    def deleted_by_cascade(self) -> list[str]:
        """The user's tables whose rows are deleted with conversations."""
        deleted = {key.table for key in self.foreign_keys if key.on_delete is OnDelete.CASCADE}
        return [name for name in self.columns if name in deleted and name not in BUILT_IN_TABLES]

    @property
    def updated_by_cascade(self) -> list[str]:
        """The tables whose rows stay, and have a foreign key set to null or its default."""
        return sorted({key.table for key in self.foreign_keys if key.on_delete.updates})


@dataclass(slots=True)
class _ReachedRow:
    """A row that the walk has reached, and the roots from which it was reached."""

    table: str
    identity: Any
    values: dict[str, Any]
    roots: set[int]
    """The keys of the conversations with which the row is deleted or updated."""


class CascadeWalk:
    """The rows that a delete of some conversations reaches.

    The walk starts at the conversations (roots) and their turns, and follows each foreign key from parent to child.
    A child is deleted too, and the walk continues from it; or it is updated, or blocks the delete.
    """

    def __init__(
        self, session: Session, cascade: CascadeTables, conversation_keys: Sequence[int], *, locked: bool = False
    ) -> None:
        """Walk the rows. With `locked`, no other transaction changes the reached rows until this one ends."""
        self._tables = session.tables
        self._cascade = cascade
        self._locked = locked
        self._deleted: dict[tuple[str, Any], _ReachedRow] = {}
        self._updated: dict[tuple[ForeignKey, Any], _ReachedRow] = {}
        self.blocking: dict[ForeignKey, set[Any]] = defaultdict(set)
        """Identities of the rows that block the delete of these conversations, by the foreign key that blocks it."""
        self._by_parent: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in cascade.foreign_keys:
            self._by_parent[key.parent].append(key)
        if conversation_keys and cascade.foreign_keys:
            self._follow(self._roots(conversation_keys))
            self._drop_resolved()

    def _roots(self, conversation_keys: Sequence[int]) -> Iterable[tuple[str, list[_ReachedRow]]]:
        for table, key_column in _CONVERSATION_KEY.items():
            edges = [key for key in self._cascade.foreign_keys if table in (key.parent, key.table)]
            if not edges:
                continue
            names = [key_column, *(name for key in edges if key.parent == table for name in key.parent_columns)]
            names += [name for key in edges if key.table == table and not key.on_delete.blocks for name in key.columns]
            names = list(dict.fromkeys(names))
            rows = []
            match_values = [(key,) for key in conversation_keys]
            for _, identity, *values in self._tables.matching(table, (key_column,), match_values, names):
                row = _ReachedRow(table, identity, dict(zip(names, values, strict=True)), {values[0]})
                self._deleted[table, identity] = row
                rows.append(row)
            yield table, rows

    def _follow(self, roots: Iterable[tuple[str, list[_ReachedRow]]]) -> None:
        pending = deque(list(roots))
        while pending:
            parent, rows = pending.popleft()
            for key in self._by_parent[parent]:
                if reached := self._follow_key(key, rows):
                    pending.append((key.table, reached))

    def _follow_key(self, key: ForeignKey, rows: Sequence[_ReachedRow]) -> list[_ReachedRow]:
        """Follow one foreign key from these rows; return the deleted rows that are new, or have new roots."""
        parents = [(row, _values(row, key.parent_columns)) for row in rows]
        parents = [(row, values) for row, values in parents if None not in values]
        parent_values = [values for _, values in parents]
        reached: dict[Any, _ReachedRow] = {}
        names = self._names(key)
        for number, identity, *values in self._tables.children(key, parent_values, names, locked=self._locked):
            parent, row = parents[number][0], dict(zip(names, values, strict=True))
            if key.on_delete.blocks:
                self.blocking[key].add(identity)
            elif key.on_delete.updates:
                updated = self._updated.setdefault((key, identity), _ReachedRow(key.table, identity, row, set()))
                updated.roots |= parent.roots
            elif key.table in BUILT_IN_TABLES:
                if row[_CONVERSATION_KEY[key.table]] not in parent.roots:  # it would delete another conversation
                    self.blocking[key].add(identity)
            else:
                deleted = self._deleted.setdefault((key.table, identity), _ReachedRow(key.table, identity, row, set()))
                if not parent.roots <= deleted.roots:
                    deleted.roots |= parent.roots
                    reached[identity] = deleted
        return list(reached.values())

    def _names(self, key: ForeignKey) -> Sequence[str]:
        if key.on_delete.blocks:
            return ()
        if key.on_delete.updates:
            return tuple(dict.fromkeys((*self._cascade.tables[key.table].key, *key.columns)))
        return (_CONVERSATION_KEY[key.table],) if key.table in BUILT_IN_TABLES else self._cascade.columns[key.table]

    def _drop_resolved(self) -> None:
        """Drop updates of rows that are deleted anyway, and NO ACTION blocks by rows that are deleted too."""
        for (key, identity), row in list(self._updated.items()):
            deleted = self._deleted.get((key.table, identity))
            if deleted is not None:
                row.roots -= deleted.roots
                if not row.roots:
                    del self._updated[key, identity]
        for key, identities in list(self.blocking.items()):
            if key.on_delete is OnDelete.NO_ACTION:
                identities -= {identity for identity in identities if (key.table, identity) in self._deleted}
            if not identities:
                del self.blocking[key]

    def count(self) -> Counter[int]:
        """Return the number of related rows by the key of the conversation."""
        counts: Counter[int] = Counter()
        for (table, _), row in self._deleted.items():
            if table not in BUILT_IN_TABLES:
                counts.update(row.roots)
        for row in self._updated.values():
            counts.update(row.roots)
        return counts

    def deleted_identities(self, table: str) -> set[Any]:
        """Return the identities of the rows of a table that are deleted."""
        return {identity for name, identity in self._deleted if name == table}

    def related_rows(self) -> Iterable[tuple[str, Any, bool]]:
        """Yield the table and identity of each related row, and whether it is deleted (else it is updated)."""
        yield from ((name, identity, True) for name, identity in self._deleted if name not in BUILT_IN_TABLES)
        yield from ((key.table, identity, False) for key, identity in self._updated)

    def unidentifiable(self) -> Iterable[ForeignKey]:
        """Yield, for each updated row that a restore could not find again, the foreign key that updates it.

        Its table has no primary key, or the foreign key is part of it.
        """
        for key, _ in self._updated:
            primary_key = self._cascade.tables[key.table].key
            if not primary_key or set(primary_key) & set(key.columns):
                yield key

    @property
    def reaches_other_conversations(self) -> bool:
        """Whether related rows may also be related to conversations that are not among the roots."""
        if self.blocking or any(self._may_be_shared(key) for key, _ in self._updated):
            return True
        for key in self._cascade.foreign_keys:
            if key.on_delete.blocks:
                continue
            parents = {_values(row, key.parent_columns) for row in self._deleted.values() if row.table == key.parent}
            references = (_values(row, key.columns) for row in self._deleted.values() if row.table == key.table)
            if any(None not in values and values not in parents for values in references):
                return True
        return False

    def _may_be_shared(self, key: ForeignKey) -> bool:
        return key.table in BUILT_IN_TABLES or sum(other.table == key.table for other in self._cascade.foreign_keys) > 1

    def by_conversation(self) -> dict[int, dict[str, RowsByTable]]:
        """Return the related rows to back up, by the key of the conversation, then by `deleted` or `changed`."""
        related: dict[int, dict[str, RowsByTable]] = {}
        for (table, _), row in self._deleted.items():
            if table not in BUILT_IN_TABLES:
                _add(related, "deleted", row)
        for row in self._updated.values():
            _add(related, "changed", row)
        return {
            key: {kind: _sort_tables(tables) for kind, tables in sorted(kinds.items())}
            for key, kinds in related.items()
        }


def _generated_columns(key: ForeignKey, keys: Sequence[ForeignKey], tables: Mapping[str, CatalogTable]) -> list[str]:
    """Return the generated columns that are needed to follow a foreign key or to restore its rows."""
    needed = [(key.parent, name) for name in key.parent_columns]
    is_cascading = any(other.table == key.table and other.on_delete is OnDelete.CASCADE for other in keys)
    if is_cascading or key.on_delete.updates:
        needed += [(key.table, name) for name in key.columns]
    return [f"{table}.{name}" for table, name in needed if table in tables and name not in tables[table].columns]


def _values(row: _ReachedRow, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple([row.values[name] for name in names])


def _add(related: dict[int, dict[str, RowsByTable]], kind: str, reached: _ReachedRow) -> None:
    row = {name: value_to_line(value) for name, value in reached.values.items()}
    for root in reached.roots:
        related.setdefault(root, {}).setdefault(kind, {}).setdefault(reached.table, []).append(row)


def _sort_tables(tables: RowsByTable) -> RowsByTable:
    """Sort tables and columns by name, and rows by content."""
    return {
        name: sorted(({column: row[column] for column in sorted(row)} for row in rows), key=_format_row)
        for name, rows in sorted(tables.items())
    }


def _format_row(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, default=encode_non_json)
