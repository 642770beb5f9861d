"""Conversations come back from a backup, in one transaction of the caller's."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import apsw
import orjson

from holdfast.backup.backup import Backup
from holdfast.backup.restoring import Clash, ClashKind, OnConflict, Restored, RestorePlan
from holdfast.backup.store import AddedColumns, Documents
from holdfast.batch.item import ItemState
from holdfast.batch.job import FINISHED, JobState
from holdfast.errors import BackupDamaged, ColumnsDiffer, RestoreConflict, RestoreDiffers
from holdfast.library.record import TURNS, Document, Record, digest_of_document
from holdfast.storage.sqlite.jobs import find_job, set_state
from holdfast.storage.sqlite.queries import Row, execute_rows, query, select_rows
from holdfast.storage.sqlite.records import Columns, by_ids, put


@dataclass(frozen=True, slots=True)
class _Entry:
    """A conversation of the backup, and what the snapshot noted of it."""

    document: Document
    key: int
    digest: bytes

    @property
    def id(self) -> str:
        return str(self.document["id"])


@dataclass(frozen=True, slots=True)
class _Item:
    """The item that a conversation was the result of."""

    job_id: str
    job_key: int
    position: int
    state: ItemState
    conversation_id: str | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A chunk, by what has to be done with it."""

    new: Sequence[_Entry]
    identical: int
    clashes: Sequence[tuple[_Entry, Clash]]
    items: Mapping[str, _Item]
    """Of the new and the clashing ones, by the conversation's id."""


def plan(connection: apsw.Connection, backup: Backup, documents: Documents, added: AddedColumns) -> RestorePlan:
    """Say what a restore would do."""
    columns = _columns(connection, added)
    new, identical, clashes = 0, 0, []
    for entries in _entries(connection, backup, documents):
        found = _sort(connection, backup.owner, entries, columns)
        new += len(found.new)
        identical += found.identical
        clashes += [clash for _, clash in found.clashes]
    return RestorePlan(backup.id, new, identical, clashes)


class Restoring:
    """One restore."""

    def __init__(
        self,
        connection: apsw.Connection,
        backup: Backup,
        added: AddedColumns,
        on_conflict: OnConflict,
        replaced: Mapping[str, bytes],
        now: int,
    ) -> None:
        self._connection = connection
        self._backup = backup
        self._columns = _columns(connection, added)
        self._on_conflict = on_conflict
        self._replaced = replaced
        self._now = now
        self._next_key = connection.execute(query("last_conversation_key")).get + 1
        self._relinked: dict[tuple[str, int], Counter[ItemState]] = defaultdict(Counter)
        self._count = Restored(backup.id, 0, 0, 0, 0, 0)

    def do(self, documents: Documents, on_progress: Callable[[int], None]) -> Restored:
        """Bring everything back; raises as `BackupStore.restore`."""
        done = 0
        for entries in _entries(self._connection, self._backup, documents):
            found = _sort(self._connection, self._backup.owner, entries, self._columns)
            coming = [*found.new, *self._heed(found)]
            self._put(coming)
            self._relink([(entry, found.items[entry.id]) for entry in coming if entry.id in found.items])
            self._add(restored=len(coming), identical=found.identical)
            done += len(entries)
            on_progress(done)
        for (job_id, key), states in self._relinked.items():
            self._recount(job_id, key, states)
        return self._count

    def _heed(self, found: _Sorted) -> list[_Entry]:
        """Return what comes in spite of something in its way, which is gone then."""
        if not found.clashes:
            return []
        if self._on_conflict is OnConflict.SKIP:
            self._add(skipped=len(found.clashes))
            return []
        busy = any(clash.kind is ClashKind.BUSY for _, clash in found.clashes)
        if self._on_conflict is OnConflict.FAIL or busy:
            raise conflict(self._backup.id, [clash for _, clash in found.clashes])
        others = [clash.other_id for _, clash in found.clashes if clash.other_id is not None]
        live = by_ids(self._connection, self._backup.owner, others, Columns.of(self._connection))
        for other in live.values():
            if self._replaced.get(other.id) != other.version:
                raise RestoreConflict(
                    f"Conversation {other.id!r} was changed while it was being backed up; try again",
                    conversation_id=other.id,
                )
        keys: list[Row] = [(other.key,) for other in live.values()]
        execute_rows(self._connection, "delete_conversations", keys, self._backup.owner)
        self._add(replaced=len(live))
        return [entry for entry, _ in found.clashes]

    def _put(self, coming: Sequence[_Entry]) -> None:
        if not coming:
            return
        asked: list[Row] = [(entry.key,) for entry in coming]
        taken = {key for (key,) in select_rows(self._connection, "taken_conversation_keys", asked)}
        keyed = []
        for entry in coming:
            key = entry.key
            if key in taken:
                key, self._next_key = self._next_key, self._next_key + 1
            keyed.append((key, entry.document))
            self._next_key = max(self._next_key, key + 1)
        put(self._connection, self._backup.owner, keyed, self._columns)
        live = by_ids(self._connection, self._backup.owner, [entry.id for entry in coming], self._columns)
        for entry in coming:
            if entry.id not in live or live[entry.id].digest != entry.digest:
                raise _differs(self._backup, entry, live.get(entry.id))

    def _relink(self, results: Sequence[tuple[_Entry, _Item]]) -> None:
        rows: list[Row] = [(item.job_key, item.position, entry.id) for entry, item in results]
        execute_rows(self._connection, "relink_items", rows)
        for _, item in results:
            self._relinked[item.job_id, item.job_key][item.state] += 1
        self._add(relinked=len(rows))

    def _recount(self, job_id: str, key: int, states: Counter[ItemState]) -> None:
        """Have a job's counts, and its state, say what its items say."""
        moved = {str(state): states[state] for state in (ItemState.PENDING, ItemState.FAILED, ItemState.SKIPPED)}
        if not any(moved.values()):
            return
        owner = self._backup.owner
        self._connection.execute(query("job_relinked"), {"job_key": key, "owner": owner, **moved})
        _, job = find_job(self._connection, owner, job_id)
        if job.counts.all_settled and job.state in (*FINISHED, JobState.PENDING, JobState.RUNNING, JobState.PAUSED):
            state = JobState.COMPLETED_WITH_FAILURES if job.counts.failed else JobState.COMPLETED
            set_state(self._connection, owner, key, state, self._now)

    def _add(self, **more: int) -> None:
        self._count = replace(
            self._count, **{name: getattr(self._count, name) + number for name, number in more.items()}
        )


def conflict(backup_id: str, clashes: Sequence[Clash]) -> RestoreConflict:
    """Return the error that tells what is in the way."""
    first = clashes[0]
    match first.kind:
        case ClashKind.CONTENT:
            what = f"conversation {first.id!r} is there with other content"
        case ClashKind.ITEM:
            what = f"the item of conversation {first.id!r} has conversation {first.other_id!r} now"
        case ClashKind.BUSY:
            what = f"the item of conversation {first.id!r} is being worked on; pause its job first"
    more = f", and {len(clashes) - 1:,} more are in conflict" if len(clashes) > 1 else ""
    remedy = "" if first.kind is ClashKind.BUSY else "; --on-conflict skip restores the others, replace restores all"
    return RestoreConflict(
        f"Nothing was restored from {backup_id}: {what}{more}{remedy}",
        backup_id=backup_id,
        conflicts=[{"id": clash.id, "kind": str(clash.kind), "other": clash.other_id} for clash in clashes[:100]],
    )


def _columns(connection: apsw.Connection, added: AddedColumns) -> Columns:
    here = Columns.of(connection).as_mapping()
    for table, names in added.items():
        for name in names:
            if name not in here.get(table, {}):
                raise ColumnsDiffer(
                    f"The backup has a column {name!r} of {table} that this database lacks; add it, then restore again",
                    table=table,
                    column=name,
                )
    return Columns(added.get("conversations", {}), added.get("turns", {}))


def _entries(connection: apsw.Connection, backup: Backup, documents: Documents) -> Iterator[list[_Entry]]:
    """Yield the documents, each of them proven to be what the snapshot found."""
    for chunk in documents():
        if not chunk:
            continue
        first, last = chunk[0][0], chunk[-1][0]
        values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": last - first + 1}
        noted = {row[0]: row[1:4] for row in connection.execute(query("backup_items_after"), values)}
        entries = []
        for position, document, line in chunk:
            conversation_id, key, digest = noted.get(position, (None, 0, b""))
            # Most lines are canonical as they stand.
            is_same = hashlib.sha256(line).digest() == digest or digest_of_document(document) == digest
            if conversation_id != document["id"] or not is_same:
                raise BackupDamaged(
                    f"Conversation {position + 1:,} of {backup.id} is not what was backed up; nothing was restored",
                    backup_id=backup.id,
                )
            entries.append(_Entry(document, key, digest))
        yield entries


def _sort(connection: apsw.Connection, owner: str, entries: Sequence[_Entry], columns: Columns) -> _Sorted:
    live = by_ids(connection, owner, [entry.id for entry in entries], columns)
    absent = [entry for entry in entries if entry.id not in live or live[entry.id].digest != entry.digest]
    items = _items(connection, owner, absent)
    new, clashes = [], []
    for entry in absent:
        clash = _clash(entry, entry.id in live, items.get(entry.id))
        if clash is None:
            new.append(entry)
        else:
            clashes.append((entry, clash))
    return _Sorted(new, len(entries) - len(absent), clashes, items)


def _clash(entry: _Entry, is_there: bool, item: _Item | None) -> Clash | None:
    if item is not None and item.state is ItemState.RUNNING:
        return Clash(entry.id, ClashKind.BUSY, None)
    if is_there:
        return Clash(entry.id, ClashKind.CONTENT, entry.id)
    if item is None or item.is_deleted or item.conversation_id in (None, entry.id):
        return None
    return Clash(entry.id, ClashKind.ITEM, item.conversation_id)


def _items(connection: apsw.Connection, owner: str, entries: Sequence[_Entry]) -> dict[str, _Item]:
    asked: dict[Row, str] = {}
    for entry in entries:
        result_of = (entry.document["job_id"], entry.document["item_id"])
        if None not in result_of:
            asked[result_of] = entry.id
    found = select_rows(connection, "items_of_conversations", list(asked), owner)
    return {
        asked[job_id, item_id]: _Item(job_id, job_key, position, ItemState(state), result, deleted_at is not None)
        for job_id, item_id, job_key, position, state, result, deleted_at in found
    }


def _differs(backup: Backup, entry: _Entry, live: Record | None) -> RestoreDiffers:
    column = _first_difference(entry.document, orjson.loads(live.line)) if live is not None else "id"
    return RestoreDiffers(
        f"Conversation {entry.id!r} would not come back as it was: its {column} reads otherwise, perhaps because of a "
        "trigger; nothing was restored",
        backup_id=backup.id,
        conversation_id=entry.id,
        column=column,
    )


def _first_difference(wanted: Document, found: Document) -> str:
    if len(wanted[TURNS]) != len(found[TURNS]):
        return "number of turns"
    for number, (turn, other) in enumerate(zip(wanted[TURNS], found[TURNS], strict=True), start=1):
        for name in turn:
            if turn[name] != other.get(name):
                return f"{name} of turn {number}"
    return next((name for name in wanted if wanted[name] != found.get(name)), "columns")
