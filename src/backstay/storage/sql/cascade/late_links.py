"""Sets foreign keys that a restore could not set when it inserted their rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backstay.storage.sql.cascade.tables import ForeignKey, OnDelete, Row, TableCatalog


class ExistingRows:
    """The values that are known to exist in the columns that foreign keys refer to."""

    def __init__(self, tables: TableCatalog) -> None:
        self._tables = tables
        self._values: dict[tuple[str, tuple[str, ...]], set[Row]] = defaultdict(set)

    def forget(self) -> None:
        """Forget all, so that memory does not grow with the number of conversations."""
        self._values.clear()

    def add(self, key: ForeignKey, *values: Row) -> None:
        """Note that rows with these values exist, to which a foreign key refers."""
        self._values[key.parent, key.parent_columns].update(values)

    def missing(self, key: ForeignKey, references: Mapping[Row, Row], *, look_up: bool = True) -> dict[Row, Row]:
        """Return the references, by row, whose target does not exist or, without `look_up`, is not known to."""
        existing = self._values[key.parent, key.parent_columns]
        unknown = list(dict.fromkeys(values for values in references.values() if values not in existing))
        if look_up and unknown:
            matches = self._tables.matching(key.parent, key.parent_columns, unknown, ())
            existing.update(unknown[number] for number, *_ in matches)
        return {row: values for row, values in references.items() if values not in existing}


@dataclass(frozen=True, slots=True)
class _Link:
    """A foreign key to be set in some rows, which the columns `match` identify."""

    key: ForeignKey
    match: tuple[str, ...]
    is_counted: bool
    """Whether the rows existed before the restore, so that setting the key counts as restoring them."""


class LateLinks:
    """The foreign keys to be set, each when the row that it refers to exists."""

    def __init__(self, tables: TableCatalog, existing: ExistingRows) -> None:
        self._tables = tables
        self._existing = existing
        self._pending: dict[_Link, list[Row]] = defaultdict(list)
        """The rows, each as its identifying values followed by its foreign key values."""
        self._set_since: set[tuple[str, Row]] = set()
        """Rows whose foreign key has been set to something else since the delete."""
        self.restored = 0
        """Rows that existed, and refer to their conversation again."""

    @property
    def not_restored(self) -> int:
        """Rows whose target does not exist, or whose foreign key has been set to something else."""
        return sum(map(len, self._pending.values())) + len(self._set_since)

    def note(self, key: ForeignKey, match: Sequence[str], values: Row, *, is_counted: bool) -> None:
        """Note a row whose foreign key was set to null, or its default, by the delete."""
        self._pending[_Link(key, tuple(match), is_counted)].append(values)

    def note_null(self, key: ForeignKey, match: Sequence[str], values: Row) -> None:
        """Note a row that was inserted with null in its foreign key, whatever the default."""
        self.note(replace(key, on_delete=OnDelete.SET_NULL), match, values, is_counted=False)

    def set_existing(self) -> None:
        """Set the foreign keys whose targets exist."""
        for link, rows in self._pending.items():
            width = len(link.match)
            missing = self._existing.missing(link.key, {row: row[width:] for row in rows})
            ready = [row for row in rows if row not in missing]
            self._pending[link] = [row for row in rows if row in missing]
            count = self._tables.relink(link.key, link.match, ready)
            if link.is_counted:
                self.restored += count
                if count < len(ready):  # the others were set to something else since the delete, or are set already
                    self._set_since |= {(link.key.table, row) for row in self._not_linked(link, ready)}

    def _not_linked(self, link: _Link, rows: Sequence[Row]) -> set[Row]:
        linked = self._tables.matching(link.key.table, (*link.match, *link.key.columns), rows, ())
        return set(rows) - {rows[number] for number, *_ in linked}

    def unset(self) -> dict[tuple[str, tuple[str, ...]], set[Row]]:
        """Return the values of the foreign keys that were not set, by table and columns."""
        values: dict[tuple[str, tuple[str, ...]], set[Row]] = defaultdict(set)
        for link, rows in self._pending.items():
            values[link.key.table, link.key.columns] |= {row[len(link.match) :] for row in rows}
        return values
