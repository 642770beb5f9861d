"""The second pass of a restore: the related rows, and the comparison that has to wait for them."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import orjson

from backstay.backup.backup import Backup
from backstay.errors import RestoreDiffers
from backstay.library.id_text import quoted_id
from backstay.library.record import RELATED, TURNS, Document
from backstay.storage.sql.cascade.restore import LinkedConversation, RelatedRowsRestore
from backstay.storage.sql.records import StoredColumns, at_keys
from backstay.storage.sql.session import Session

_BATCH_SIZE = 256  # conversations


class RelatedEntry(NamedTuple):
    """A conversation of the backup, reduced to what the second pass needs."""

    position: int
    id: str
    key: int
    digest: bytes
    line: bytes


Entries = Callable[[], Iterator[list[RelatedEntry]]]
"""Opens a backup's conversations in batches; each call begins at the first."""


class RelatedRowsPass:
    """The second pass of a restore: it begins when all conversations of the first are stored."""

    def __init__(self, session: Session, backup: Backup, columns: StoredColumns) -> None:
        self._session = session
        self._backup = backup
        self._columns = columns
        self._work = RelatedRowsRestore(session, columns.cascade)
        self._restored = array("q")  # positions, in order

    @property
    def restored(self) -> int:
        """Rows that were inserted, or whose foreign key was set again."""
        return self._work.restored

    @property
    def not_restored(self) -> int:
        """Rows that were not, because what they refer to does not exist, or their foreign key has been set since."""
        return self._work.not_restored

    def note(self, positions: Iterable[int]) -> None:
        """Note that the conversations at these positions were restored. Positions must ascend over all calls."""
        if self._columns.cascade.foreign_keys:
            self._restored.extend(positions)

    def run(self, entries: Entries) -> None:
        """Restore the related rows of the noted conversations, then compare these with the backup.

        Raises ColumnsDiffer, RestoreDiffers.
        """
        if not self._restored:
            return
        for batch in self._batches(entries):
            documents = [orjson.loads(entry.line) for entry in batch]
            self._work.add(
                [LinkedConversation(entry.key, self._backup.owner, document)
                 for entry, document in zip(batch, documents, strict=True)]
            )  # fmt: skip
        self._work.finish()
        for batch in self._batches(entries):
            self._compare(batch)

    def _batches(self, entries: Entries) -> Iterator[list[RelatedEntry]]:
        at = 0
        with closing(entries()) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                restored = []
                for entry in chunk:
                    if at < len(self._restored) and self._restored[at] == entry.position:
                        restored.append(entry)
                        at += 1
                for start in range(0, len(restored), _BATCH_SIZE):
                    yield restored[start : start + _BATCH_SIZE]

    def _compare(self, batch: Sequence[RelatedEntry]) -> None:
        keys = [entry.key for entry in batch]
        live = {record.id: record for record in at_keys(self._session, self._backup.owner, keys, self._columns)}
        for entry in batch:
            record = live.get(entry.id)
            if record is not None and record.digest == entry.digest:
                continue
            before, now = orjson.loads(entry.line), orjson.loads(record.line) if record is not None else None
            if now is None or not self._work.is_unchanged(before, now):
                raise restore_differs(self._backup, entry.id, before, now)


def restore_differs(backup: Backup, conversation_id: str, before: Document, now: Document | None) -> RestoreDiffers:
    """Return the error that names the first part of a conversation that differs from the backup."""
    column = _first_difference(before, now) if now is not None else "id"
    return RestoreDiffers(
        f"Conversation {quoted_id(conversation_id)} would differ from its backup in its {column}, "
        "perhaps because of a trigger; nothing was restored",
        backup_id=backup.id,
        conversation_id=conversation_id,
        column=column,
    )


def _first_difference(before: Document, now: Document) -> str:
    if len(before[TURNS]) != len(now[TURNS]):
        return "number of turns"
    for number, (turn, other) in enumerate(zip(before[TURNS], now[TURNS], strict=True), start=1):
        for name in turn:
            if turn[name] != other.get(name):
                return f"{name} of turn {number}"
    if before.get(RELATED) != now.get(RELATED):
        return f"rows in {_first_table(before, now)}"
    return next((name for name in before if before[name] != now.get(name)), "columns")


def _first_table(before: Document, now: Document) -> str:
    for kind in ("deleted", "changed"):
        tables, tables_now = (document.get(RELATED, {}).get(kind, {}) for document in (before, now))
        for name in sorted({*tables, *tables_now}):
            if tables.get(name) != tables_now.get(name):
                return str(name)
    return "other tables"
