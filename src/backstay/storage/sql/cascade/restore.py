"""Restores the related rows of conversations, in an order that foreign keys allow."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from backstay.errors import ColumnsDiffer
from backstay.library.record import RELATED, TURNS, Document, beyond_json, value_from_line
from backstay.storage.sql.cascade.closure import CascadeTables, late_columns
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, CONVERSATIONS, ForeignKey, OnDelete, Row
from backstay.storage.sql.cascade.tables import TURNS as TURNS_TABLE
from backstay.storage.sql.session import Session

_IDENTIFYING_COLUMNS = {CONVERSATIONS: ("key",), TURNS_TABLE: ("conversation_key", "sequence")}


@dataclass(frozen=True, slots=True)
class LinkedConversation:
    """A conversation that has been restored, with its key and its document from the backup."""

    key: int
    owner: str
    document: Document


@dataclass(slots=True)
class _RowCounts:
    """Rows of one table, with the number of times that each occurs."""

    columns: tuple[str, ...]
    rows: Counter[Row]

    def values(self, names: Sequence[str]) -> dict[Row, tuple[Any, ...]]:
        """Return the values of these columns, by row."""
        indexes = [self.columns.index(name) for name in names]
        return {row: tuple([row[index] for index in indexes]) for row in self.rows}


class RelatedRowsRestore:
    """The related rows of one restore.

    `add` takes some conversations at a time. It inserts the rows whose parents were added in the same call, and
    postpones the others: `finish` inserts those whose parents exist by then. A foreign key that may be null is set
    after the insert (a late link) if the row that it refers to does not exist yet.
    """

    def __init__(self, session: Session, cascade: CascadeTables) -> None:
        self._tables = session.tables
        self._cascade = cascade
        self._order = _parents_first(cascade)
        self._keys: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in cascade.foreign_keys:
            self._keys[key.table].append(key)
        self._existing: dict[_Target, set[Row]] = defaultdict(set)
        """Values that are known to exist in the columns that foreign keys refer to."""
        self._postponed: dict[str, Counter[Row]] = {name: Counter() for name in self._order}
        self._late_links: dict[tuple[ForeignKey, tuple[str, ...]], list[Row]] = defaultdict(list)
        """Identifying values and foreign key values of rows, by the foreign key and the identifying columns."""
        self._missing: set[tuple[str, bytes]] = set()
        """Rows that were not restored, by table."""
        self._unset: dict[tuple[str, tuple[str, ...]], set[Row]] = defaultdict(set)
        """Foreign key values that were not restored, by table and columns."""
        self._relinked_since: set[tuple[str, Row]] = set()
        """Rows whose foreign key has been set to something else since the delete."""
        self.restored = 0
        """Rows that were inserted, or whose foreign key was set again."""
        self.not_restored = 0
        """Rows that were not, because what they refer to does not exist, or their foreign key has been set since."""

    def add(self, restored: Sequence[LinkedConversation]) -> None:
        """Restore the rows that are related to these conversations. Raises ColumnsDiffer."""
        self._existing.clear()
        deleted: dict[str, Counter[Row]] = {name: Counter() for name in self._order}
        for conversation in restored:
            self._note_conversation(conversation)
            for table, rows in _related(conversation.document, "deleted").items():
                self._check(table, rows)
                columns = self._cascade.columns[table]
                deleted[table] |= Counter(tuple(value_from_line(row[name]) for name in columns) for row in rows)
            for table, rows in _related(conversation.document, "changed").items():
                self._check(table, rows)
                for row in rows:
                    self._note_updated(table, row)
        for name in self._order:
            # A row with a parent elsewhere may be listed with other conversations too: it is inserted once, at the end.
            self._postponed[name] |= self._insert(name, deleted[name], known_parents_only=True)
        self._set_links()

    def finish(self) -> None:
        """Restore the postponed rows whose parents exist."""
        self._existing.clear()
        progress = True
        while progress:
            progress = False
            for name in self._order:
                before = self._postponed[name]
                self._postponed[name] = self._insert(name, before, known_parents_only=False) if before else before
                progress |= self._postponed[name].total() < before.total()
        for name in self._order:
            for row in self._postponed[name]:
                self._missing.add((name, _format_row(dict(zip(self._cascade.columns[name], row, strict=True)))))
            self.not_restored += self._postponed[name].total()
        self._set_links()
        for (key, match), rows in self._late_links.items():
            self._unset[key.table, key.columns] |= {row[len(match) :] for row in rows}
            self.not_restored += len(rows)
        self.not_restored += len(self._relinked_since)
        for name in self._order:
            self._tables.advance(name)

    def _check(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        known = self._cascade.columns.get(table)
        missing = next((name for row in rows for name in row if known is not None and name not in known), None)
        if known is None or missing is not None:
            what = f"a column {missing!r} of {table}" if missing is not None else f"rows of {table}, by a foreign key"
            raise ColumnsDiffer(
                f"The backup has {what} that this database lacks; add it, then restore again",
                table=table,
                column=missing,
            )

    # -- deleted rows

    def _note_conversation(self, conversation: LinkedConversation) -> None:
        document, key, owner = conversation.document, conversation.key, conversation.owner
        self._note_built_in(CONVERSATIONS, {**document, "key": key, "owner": owner})
        for turn in document[TURNS]:
            self._note_built_in(TURNS_TABLE, {**turn, "conversation_key": key, "owner": owner})

    def _note_built_in(self, table: str, row: Mapping[str, Any]) -> None:
        """Note what refers to a restored row of a built-in table, and which of its own links are late."""
        for key in self._cascade.foreign_keys:
            if key.parent == table:
                values = [self._tables.referred(table, name, value_from_line(row[name])) for name in key.parent_columns]
                self._existing[_target(key)].add(tuple(values))
        late = late_columns(self._cascade, table)
        for key in self._keys[table]:
            reference = tuple(value_from_line(row.get(name)) for name in key.columns)
            if None not in reference and set(key.columns) <= late:
                match = _IDENTIFYING_COLUMNS[table]
                self._late_links[_with_null(key), match].append((*(row[name] for name in match), *reference))

    def _insert(self, table: str, rows: Counter[Row], *, known_parents_only: bool) -> Counter[Row]:
        """Insert the rows whose parents exist, and return the others.

        With `known_parents_only`, a parent counts as existing only if it was added in the same call of `add`.
        """
        columns = self._cascade.columns[table]
        ready = _RowCounts(columns, rows.copy())
        late: dict[ForeignKey, dict[Row, Row]] = {}
        for key in self._keys[table]:
            if self._may_be_late(key):
                references = _without_null(ready.values(key.columns))
                self._look_up(key, () if known_parents_only else references.values())
                late[key] = self._without_target(key, references)
        immediate = [key for key in self._keys[table] if not self._may_be_late(key)]
        while True:
            dropped: set[Row] = set()
            for key in immediate:
                references = _without_null(ready.values(key.columns))
                own = set(ready.values(key.parent_columns).values()) if key.parent == table else set()
                elsewhere = {row: values for row, values in references.items() if values not in own}
                missing = self._without_target(key, elsewhere)
                self._look_up(key, () if known_parents_only else missing.values())
                dropped |= self._without_target(key, missing).keys()
            if not dropped:
                break
            for row in dropped:
                del ready.rows[row]
        self._insert_ready(table, ready, late)
        return rows - ready.rows

    def _insert_ready(self, table: str, ready: _RowCounts, late: Mapping[ForeignKey, Mapping[Row, Row]]) -> None:
        """Insert rows, with null in their late foreign keys, and note the late links."""
        match = self._cascade.tables[table].key
        inserted = []
        for row, number in ready.rows.items():
            nulled: set[str] = set()
            for key, references in late.items():
                if row in references:
                    nulled |= set(key.columns)
                    identifying = [row[ready.columns.index(name)] for name in match]
                    self._late_links[_with_null(key), match].append((*identifying, *references[row]))
            values = tuple(None if name in nulled else value for name, value in zip(ready.columns, row, strict=True))
            inserted += [values] * number
        if inserted:
            self._tables.insert(table, ready.columns, inserted)
        self.restored += len(inserted)
        for key in self._cascade.foreign_keys:
            if key.parent == table:
                self._existing[_target(key)] |= set(ready.values(key.parent_columns).values())

    def _may_be_late(self, key: ForeignKey) -> bool:
        """Return whether a foreign key can and should be set after its row was inserted."""
        table = self._cascade.tables[key.table]
        if set(key.columns) & table.required or not table.key or set(key.columns) & set(table.key):
            return False
        is_parent_first = key.parent in BUILT_IN_TABLES or (
            key.parent in self._order and self._order.index(key.parent) < self._order.index(key.table)
        )
        return key.on_delete.updates or not (is_parent_first or key.parent == key.table)

    def _look_up(self, key: ForeignKey, references: Iterable[Row]) -> None:
        """Find out which of the rows that are referred to exist."""
        existing = self._existing[_target(key)]
        unknown = list(dict.fromkeys(values for values in references if values not in existing))
        for number, *_ in self._tables.matching(key.parent, key.parent_columns, unknown, ()) if unknown else ():
            existing.add(unknown[number])

    def _without_target(self, key: ForeignKey, references: Mapping[Row, Row]) -> dict[Row, Row]:
        existing = self._existing[_target(key)]
        return {row: values for row, values in references.items() if values not in existing}

    # -- updated rows, and late links

    def _note_updated(self, table: str, row: Mapping[str, Any]) -> None:
        match = self._cascade.tables[table].key
        for key in self._keys[table]:
            if key.on_delete.updates and set(row) == {*match, *key.columns}:
                values = tuple(value_from_line(row[name]) for name in (*match, *key.columns))
                self._late_links[key, match].append(values)
                return

    def _set_links(self) -> None:
        """Set the foreign keys whose targets exist; leave the others in `_late_links`."""
        for (key, match), rows in list(self._late_links.items()):
            self._look_up(key, [row[len(match) :] for row in rows])
            existing = self._existing[_target(key)]
            ready = [row for row in rows if row[len(match) :] in existing]
            self._late_links[key, match] = [row for row in rows if row[len(match) :] not in existing]
            count = self._tables.relink(key, match, ready)
            if key.table not in BUILT_IN_TABLES and key.table not in self._order:
                self.restored += count
                if count < len(ready):  # the others have been set to something else since, or were set before
                    self._relinked_since |= {(key.table, row) for row in self._not_linked(key, match, ready)}

    def _not_linked(self, key: ForeignKey, match: Sequence[str], rows: Sequence[Row]) -> set[Row]:
        linked = self._tables.matching(key.table, (*match, *key.columns), rows, ())
        return set(rows) - {rows[number] for number, *_ in linked}

    # -- comparison

    def is_unchanged(self, before: Document, now: Document) -> bool:
        """Return whether a conversation is as it was before, apart from rows and links that were not restored."""
        updated_before, updated_now = _related(before, "changed"), _related(now, "changed")
        return self._without_missing(before) == self._without_missing(now) and all(
            row in updated_before.get(name, ()) for name, rows in updated_now.items() for row in rows
        )

    def _without_missing(self, document: Document) -> Document:
        own = {name: value for name, value in document.items() if name != RELATED}
        expected = self._without_unset(CONVERSATIONS, own)
        expected[TURNS] = [self._without_unset(TURNS_TABLE, turn) for turn in document[TURNS]]
        deleted = {
            name: sorted(
                _format_row(self._without_unset(name, row))
                for row in rows
                if (name, _format_row(_from_line(row))) not in self._missing
            )
            for name, rows in _related(document, "deleted").items()
        }
        return {**expected, RELATED: {name: rows for name, rows in deleted.items() if rows}}

    def _without_unset(self, table: str, row: Mapping[str, Any]) -> Document:
        expected = dict(row)
        for (name, columns), unset in self._unset.items():
            if name == table and tuple(value_from_line(row.get(column)) for column in columns) in unset:
                expected |= dict.fromkeys(columns)
        return expected


_Target = tuple[str, tuple[str, ...]]
"""What foreign keys refer to: columns of a table."""


def _target(key: ForeignKey) -> _Target:
    return key.parent, key.parent_columns


def _with_null(key: ForeignKey) -> ForeignKey:
    """Return the foreign key of a row that was inserted with null in it: it is null now, whatever its default."""
    return replace(key, on_delete=OnDelete.SET_NULL)


def _without_null(references: Mapping[Row, Row]) -> dict[Row, Row]:
    return {row: values for row, values in references.items() if None not in values}


def _format_row(row: Mapping[str, Any]) -> bytes:
    """Format a row so that equal rows are equal bytes."""
    return orjson.dumps(dict(sorted(row.items())), default=beyond_json)


def _from_line(row: Mapping[str, Any]) -> Document:
    return {name: value_from_line(value) for name, value in row.items()}


def _related(document: Document, kind: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    related: Mapping[str, Sequence[Mapping[str, Any]]] = document.get(RELATED, {}).get(kind, {})
    return related


def _parents_first(cascade: CascadeTables) -> list[str]:
    """Return the tables whose rows are deleted, each after those that it refers to, unless they refer to each other."""
    remaining, order = list(cascade.deleted_by_cascade), list[str]()
    while remaining:
        free = [
            name
            for name in remaining
            if not any(
                key.table == name and key.parent in remaining and key.parent != name for key in cascade.foreign_keys
            )
        ]
        following = free or remaining[:1]
        order += following
        remaining = [name for name in remaining if name not in following]
    return order
