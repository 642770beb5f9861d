"""The second half of a restore: rows of other tables, and the comparison that has to wait for them."""

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

_MOST_TOGETHER = 256


class RelatedRequest(NamedTuple):
    """A conversation of the backup, as far as its related rows are concerned."""

    position: int
    id: str
    key: int
    digest: bytes
    line: bytes


Entries = Callable[[], Iterator[list[RelatedRequest]]]
"""Opens a backup's conversations, many at a time; each call begins anew."""


class RelatedRowsOfRestore:
    """Remembers which conversations have come back, and brings their rows when all of them have."""

    def __init__(self, session: Session, backup: Backup, columns: StoredColumns) -> None:
        self._session = session
        self._backup = backup
        self._columns = columns
        self._work = RelatedRowsRestore(session, columns.closure)
        self._restored = array("q")  # positions, in order

    @property
    def brought(self) -> int:
        """Rows that are back, or refer again to what they referred to."""
        return self._work.brought

    @property
    def left(self) -> int:
        """Rows that are not: what they refer to is missing, or they refer to something else by now."""
        return self._work.left

    def note(self, positions: Iterable[int]) -> None:
        """Conversations of these positions are back; in the order of the file."""
        if self._columns.closure.keys:
            self._restored.extend(positions)

    def restore(self, entries: Entries) -> None:
        """Bring back what belongs to them, and compare all of it. Raises ColumnsDiffer, RestoreDiffers."""
        if not self._restored:
            return
        for wanted in self._wanted(entries):
            documents = [orjson.loads(one.line) for one in wanted]
            self._work.add(
                [LinkedConversation(one.key, self._backup.owner, document)
                 for one, document in zip(wanted, documents, strict=True)]
            )  # fmt: skip
        self._work.finish()
        for wanted in self._wanted(entries):
            self._compare(wanted)

    def _wanted(self, entries: Entries) -> Iterator[list[RelatedRequest]]:
        at = 0
        with closing(entries()) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                found = []
                for one in chunk:
                    if at < len(self._restored) and self._restored[at] == one.position:
                        found.append(one)
                        at += 1
                for start in range(0, len(found), _MOST_TOGETHER):
                    yield found[start : start + _MOST_TOGETHER]

    def _compare(self, wanted: Sequence[RelatedRequest]) -> None:
        keys = [one.key for one in wanted]
        live = {record.id: record for record in at_keys(self._session, self._backup.owner, keys, self._columns)}
        for one in wanted:
            record = live.get(one.id)
            if record is not None and record.digest == one.digest:
                continue
            before, now = orjson.loads(one.line), orjson.loads(record.line) if record is not None else None
            if now is None or not self._work.is_unchanged(before, now):
                raise differs(self._backup, one.id, before, now)


def differs(backup: Backup, conversation_id: str, wanted: Document, found: Document | None) -> RestoreDiffers:
    """Return the error that names what did not come back as it was."""
    column = _first_difference(wanted, found) if found is not None else "id"
    return RestoreDiffers(
        f"Conversation {quoted_id(conversation_id)} would not come back as it was: its {column} reads otherwise, "
        "perhaps because of a trigger; nothing was restored",
        backup_id=backup.id,
        conversation_id=conversation_id,
        column=column,
    )


def _first_difference(wanted: Document, found: Document) -> str:
    if len(wanted[TURNS]) != len(found[TURNS]):
        return "number of turns"
    for number, (turn, other) in enumerate(zip(wanted[TURNS], found[TURNS], strict=True), start=1):
        for name in turn:
            if turn[name] != other.get(name):
                return f"{name} of turn {number}"
    if wanted.get(RELATED) != found.get(RELATED):
        return f"rows in {_first_table(wanted, found)}"
    return next((name for name in wanted if wanted[name] != found.get(name)), "columns")


def _first_table(wanted: Document, found: Document) -> str:
    for kind in ("deleted", "changed"):
        before, now = (document.get(RELATED, {}).get(kind, {}) for document in (wanted, found))
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                return str(name)
    return "other tables"
