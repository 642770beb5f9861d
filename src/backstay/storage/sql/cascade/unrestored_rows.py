"""What a restore had to leave out, and the comparison of restored conversations with their backup apart from it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from backstay.library.record import RELATED, TURNS, Document, encode_non_json, value_from_line
from backstay.storage.sql.cascade.tables import CONVERSATIONS, Row
from backstay.storage.sql.cascade.tables import TURNS as TURNS_TABLE


class UnrestoredRows:
    """The related rows and the foreign keys that were not restored, because what they refer to does not exist.

    Args:
        columns: The columns of each table.
        rows: The rows that were not inserted, by table.
        null_keys: The values of foreign keys that stayed null instead, by table and columns.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        rows: Mapping[str, Iterable[Row]],
        null_keys: Mapping[tuple[str, tuple[str, ...]], Collection[Row]],
    ) -> None:
        self._rows = {
            (table, _format_row(dict(zip(columns[table], row, strict=True))))
            for table, missing in rows.items()
            for row in missing
        }
        self._null_keys = null_keys

    def is_all_that_differs(self, before: Document, now: Document) -> bool:
        """Return whether a conversation is as it was before, apart from what was not restored."""
        changed_before, changed_now = get_related(before, "changed"), get_related(now, "changed")
        # A delete of what is there now may change fewer rows than the delete before: those that were not restored.
        return self._comparable(before) == self._comparable(now) and all(
            row in changed_before.get(name, ()) for name, rows in changed_now.items() for row in rows
        )

    def _comparable(self, document: Document) -> Document:
        """Return a conversation with the restored part of its related rows, except those that a delete only changes."""
        own = {name: value for name, value in document.items() if name != RELATED}
        comparable = self._with_null_keys(CONVERSATIONS, own)
        comparable[TURNS] = [self._with_null_keys(TURNS_TABLE, turn) for turn in document[TURNS]]
        deleted = {
            name: sorted(
                _format_row(self._with_null_keys(name, row))
                for row in rows
                if (name, _format_row({column: value_from_line(value) for column, value in row.items()}))
                not in self._rows
            )
            for name, rows in get_related(document, "deleted").items()
        }
        return {**comparable, RELATED: {name: rows for name, rows in deleted.items() if rows}}

    def _with_null_keys(self, table: str, row: Mapping[str, Any]) -> Document:
        """Return a row in which the foreign keys that were not restored are null."""
        changed = dict(row)
        for (name, columns), values in self._null_keys.items():
            if name == table and tuple(value_from_line(row.get(column)) for column in columns) in values:
                changed |= dict.fromkeys(columns)
        return changed


def get_related(document: Document, kind: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the related rows of a conversation that a delete has `deleted` or `changed`, by table."""
    related: Mapping[str, Sequence[Mapping[str, Any]]] = document.get(RELATED, {}).get(kind, {})
    return related


def _format_row(row: Mapping[str, Any]) -> bytes:
    """Format a row so that equal rows are equal bytes."""
    return orjson.dumps(dict(sorted(row.items())), default=encode_non_json)
