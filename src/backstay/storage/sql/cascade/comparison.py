"""Compares restored conversations with their backup, apart from related rows that could not be restored. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from backstay.library.record import RELATED, TURNS, Document, encode_non_json, value_from_line
from backstay.storage.sql.cascade.tables import CONVERSATIONS, Row
from backstay.storage.sql.cascade.tables import TURNS as TURNS_TABLE


class UnrestoredRows:
    """The rows and foreign keys that could not be restored, because what they refer to does not exist."""

    def __init__(self) -> None:
        self._rows: set[tuple[str, bytes]] = set()
        self._links: Mapping[tuple[str, tuple[str, ...]], Collection[Row]] = {}

    def note(
        self,
        columns: Mapping[str, Sequence[str]],
        rows: Mapping[str, Iterable[Row]],
        links: Mapping[tuple[str, tuple[str, ...]], Collection[Row]],
    ) -> None:
        """Note rows by table, and values of foreign keys by table and columns."""
        for table, missing in rows.items():
            self._rows |= {(table, _format_row(dict(zip(columns[table], row, strict=True)))) for row in missing}
        self._links = links

    def is_all_that_differs(self, before: Document, now: Document) -> bool:
        """Return whether a conversation is as it was before, apart from what was not restored."""
        updated_before, updated_now = get_related(before, "changed"), get_related(now, "changed")
        return self._expected(before) == self._expected(now) and all(
            row in updated_before.get(name, ()) for name, rows in updated_now.items() for row in rows
        )

    def _expected(self, document: Document) -> Document:
        """Return a conversation without what was not restored, and without the rows that were only updated."""
        own = {name: value for name, value in document.items() if name != RELATED}
        expected = self._without_unset(CONVERSATIONS, own)
        expected[TURNS] = [self._without_unset(TURNS_TABLE, turn) for turn in document[TURNS]]
        deleted = {
            name: sorted(
                _format_row(self._without_unset(name, row))
                for row in rows
                if (name, _format_row({column: value_from_line(value) for column, value in row.items()}))
                not in self._rows
            )
            for name, rows in get_related(document, "deleted").items()
        }
        return {**expected, RELATED: {name: rows for name, rows in deleted.items() if rows}}

    def _without_unset(self, table: str, row: Mapping[str, Any]) -> Document:
        expected = dict(row)
        for (name, columns), unset in self._links.items():
            if name == table and tuple(value_from_line(row.get(column)) for column in columns) in unset:
                expected |= dict.fromkeys(columns)
        return expected


def get_related(document: Document, kind: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the related rows of a conversation that a delete has `deleted` or `changed`, by table."""
    related: Mapping[str, Sequence[Mapping[str, Any]]] = document.get(RELATED, {}).get(kind, {})
    return related


def _format_row(row: Mapping[str, Any]) -> bytes:
    """Format a row so that equal rows are equal bytes."""
    return orjson.dumps(dict(sorted(row.items())), default=encode_non_json)
