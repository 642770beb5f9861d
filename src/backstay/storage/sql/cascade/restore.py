"""Restores the related rows of conversations, in an order that foreign keys allow."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from backstay.backup.restore_policy import columns_differ_error
from backstay.backup.store import ArchivedConversation
from backstay.library.record import TURNS, Document, value_from_line
from backstay.storage.sql.batched import batched
from backstay.storage.sql.cascade.closure import CascadeTables
from backstay.storage.sql.cascade.late_links import ExistingRows, LateLinks
from backstay.storage.sql.cascade.related_rows import ReadBackup, RelatedRowsRestore
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, CONVERSATIONS, ForeignKey, Row, TableCatalog
from backstay.storage.sql.cascade.tables import TURNS as TURNS_TABLE
from backstay.storage.sql.cascade.unrestored_rows import UnrestoredRows, get_related

_BATCH_SIZE = 256  # conversations
_IDENTIFYING_COLUMNS = {CONVERSATIONS: ("key",), TURNS_TABLE: ("conversation_key", "sequence")}


@dataclass(slots=True)
class _RowCounts:
    """Rows of one table, with the number of times that each occurs."""

    columns: tuple[str, ...]
    rows: Counter[Row]

    def values(self, names: Sequence[str]) -> dict[Row, Row]:
        """Return the values of these columns, by row."""
        indexes = [self.columns.index(name) for name in names]
        return {row: tuple([row[index] for index in indexes]) for row in self.rows}

    def references(self, key: ForeignKey) -> dict[Row, Row]:
        """Return what the rows refer to by a foreign key, unless that is null."""
        return {row: values for row, values in self.values(key.columns).items() if None not in values}


class CascadeRestore(RelatedRowsRestore):
    """The related rows of one restore. They are read from the backup a second time, when all conversations are stored.

    With each batch of conversations, the rows whose parents belong to that batch are inserted; the others are postponed
    to the end. A foreign key that may be null is set after the insert (a late link) if its target does not exist yet.
    """

    needs_former_keys = True

    def __init__(self, tables: TableCatalog, cascade: CascadeTables, owner: str) -> None:
        self._tables = tables
        self._cascade = cascade
        self._owner = owner
        self._order = cascade.insert_order
        self._keys: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in cascade.foreign_keys:
            self._keys[key.table].append(key)
        self._late_columns = {table: cascade.late_columns(table) for table in BUILT_IN_TABLES}
        self._positions = array("q")  # of the restored conversations, in order
        self._existing = ExistingRows(tables)
        self._links = LateLinks(tables, self._existing)
        self._postponed: dict[str, Counter[Row]] = {name: Counter() for name in self._order.tables}
        self._unrestored = UnrestoredRows({}, {}, {})
        self._inserted = 0

    @property
    def restored(self) -> int:
        return self._inserted + self._links.restored

    @property
    def not_restored(self) -> int:
        return sum(rows.total() for rows in self._postponed.values()) + self._links.not_restored

    def note(self, conversations: Sequence[ArchivedConversation]) -> Sequence[ArchivedConversation]:
        self._positions.extend(conversation.position for conversation in conversations)
        return ()

    def run(self, read: ReadBackup) -> Iterator[list[ArchivedConversation]]:
        if not self._positions:
            return
        for batch in self._read_restored(read):
            self._add(batch)
        self._finish()
        yield from self._read_restored(read)

    def is_unchanged(self, before: Document, now: Document) -> bool:
        return self._unrestored.is_all_that_differs(before, now)

    def _read_restored(self, read: ReadBackup) -> Iterator[list[ArchivedConversation]]:
        """Yield the restored conversations among all that the backup holds."""
        index = 0
        with closing(read()) as chunks:  # type: ignore[type-var]  # a generator
            for chunk in chunks:
                restored = []
                for conversation in chunk:
                    if index < len(self._positions) and self._positions[index] == conversation.position:
                        restored.append(conversation)
                        index += 1
                yield from batched(restored, _BATCH_SIZE)

    def _add(self, conversations: Sequence[ArchivedConversation]) -> None:
        """Restore the rows that are related to a batch of conversations. Raises ColumnsDiffer."""
        self._existing.forget()
        deleted: dict[str, Counter[Row]] = {name: Counter() for name in self._order.tables}
        for conversation in conversations:
            key, document = conversation.key, conversation.document
            self._note_built_in(CONVERSATIONS, {**document, "key": key, "owner": self._owner})
            for turn in document[TURNS]:
                self._note_built_in(TURNS_TABLE, {**turn, "conversation_key": key, "owner": self._owner})
            for table, rows in get_related(document, "deleted").items():
                if table not in deleted:
                    raise columns_differ_error(table, None)
                self._check(table, rows)
                columns = self._cascade.columns[table]
                deleted[table] |= Counter(tuple(value_from_line(row[name]) for name in columns) for row in rows)
            for table, rows in get_related(document, "changed").items():
                self._check(table, rows)
                for row in rows:
                    self._note_updated(table, row)
        for name in self._order.tables:
            # A row with a parent elsewhere may be listed with other conversations too: it is inserted once, at the end.
            self._postponed[name] |= self._insert(name, deleted[name], known_parents_only=True)
        self._links.set_existing()

    def _finish(self) -> None:
        """Restore the postponed rows whose parents exist."""
        self._existing.forget()
        has_inserted = True
        while has_inserted:
            has_inserted = False
            for name in self._order.tables:
                before = self._postponed[name]
                self._postponed[name] = self._insert(name, before, known_parents_only=False) if before else before
                has_inserted |= self._postponed[name].total() < before.total()
        self._links.set_existing()
        self._unrestored = UnrestoredRows(self._cascade.columns, self._postponed, self._links.unset())
        for name in self._order.tables:
            self._tables.advance(name)

    def _check(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = self._cascade.columns.get(table)
        missing = next((name for row in rows for name in row if columns is not None and name not in columns), None)
        if columns is None or missing is not None:
            raise columns_differ_error(table, missing)

    def _note_built_in(self, table: str, row: Mapping[str, Any]) -> None:
        """Note what refers to a restored row of a built-in table, and which of its own links are late."""
        for key in self._cascade.foreign_keys:
            if key.parent == table:
                values = [self._tables.referred(table, name, value_from_line(row[name])) for name in key.parent_columns]
                self._existing.add(key, tuple(values))
        for key in self._keys[table]:
            reference = tuple(value_from_line(row.get(name)) for name in key.columns)
            if None not in reference and set(key.columns) <= self._late_columns[table]:
                match = _IDENTIFYING_COLUMNS[table]
                self._links.note_null(key, match, (*(row[name] for name in match), *reference))

    def _note_updated(self, table: str, row: Mapping[str, Any]) -> None:
        match = self._cascade.tables[table].key
        for key in self._keys[table]:
            if key.on_delete.updates and set(row) == {*match, *key.columns}:
                values = tuple(value_from_line(row[name]) for name in (*match, *key.columns))
                self._links.note(key, match, values, is_counted=table not in (*BUILT_IN_TABLES, *self._order.tables))
                return

    def _insert(self, table: str, rows: Counter[Row], *, known_parents_only: bool) -> Counter[Row]:
        """Insert the rows whose parents exist, and return the others.

        With `known_parents_only`, a parent counts as existing only if it belongs to the same batch.
        """
        ready = _RowCounts(self._cascade.columns[table], rows.copy())
        keys = self._keys[table]
        late = {
            key: self._existing.missing(key, ready.references(key), look_up=not known_parents_only)
            for key in keys
            if key in self._order.late
        }
        immediate = [key for key in keys if key not in self._order.late]
        while True:
            dropped: set[Row] = set()
            for key in immediate:
                own = set(ready.values(key.parent_columns).values()) if key.parent == table else set()
                elsewhere = {row: values for row, values in ready.references(key).items() if values not in own}
                dropped |= self._existing.missing(key, elsewhere, look_up=not known_parents_only).keys()
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
                    self._links.note_null(key, match, (*identifying, *references[row]))
            values = tuple(None if name in nulled else value for name, value in zip(ready.columns, row, strict=True))
            inserted += [values] * number
        if inserted:
            self._tables.insert(table, ready.columns, inserted)
        self._inserted += len(inserted)
        for key in self._cascade.foreign_keys:
            if key.parent == table:
                self._existing.add(key, *ready.values(key.parent_columns).values())
