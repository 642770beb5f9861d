"""Conversations come back from a backup, in one transaction of the caller's."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from backstay.backup.backup import Backup, BackupItem
from backstay.backup.restore_plan import (
    NAMED_CLASHES,
    ConflictingConversation,
    ConflictKind,
    OnConflict,
    RestorePlan,
    RestoreResult,
)
from backstay.backup.store import AddedColumns, Documents
from backstay.batch.item import ItemState
from backstay.batch.job import FINISHED, JobState
from backstay.errors import ColumnsDiffer, RestoreConflict, RestoreDiffers
from backstay.library.id_text import quoted_id
from backstay.library.record import Document, Record
from backstay.storage.sql.cascade.closure import CascadeTables
from backstay.storage.sql.cascade.related import RelatedRequest, RelatedRowsOfRestore, differs
from backstay.storage.sql.cascade.tables import OURS
from backstay.storage.sql.jobs import find_job, lock_job, set_state
from backstay.storage.sql.records import StoredColumns, at_keys, by_ids, delete, lock, lock_by_ids, put
from backstay.storage.sql.relink import ItemLinks, KeySet, SourceItem, items_named, result_of
from backstay.storage.sql.session import Row, Session
from backstay.storage.sql.verified_entries import VerifiedEntry, verify_entries

_NONE = KeySet()
_COMPARED = 500  # conversations read at once


@dataclass(frozen=True, slots=True)
class _ClassifiedChunk:
    """A chunk, by what has to be done with it."""

    new: Sequence[VerifiedEntry]
    identical: int
    clashes: Sequence[tuple[VerifiedEntry, ConflictingConversation]]
    items: Mapping[Row, SourceItem]
    """Of the new and the clashing ones, by the names of job and item."""


def plan(session: Session, backup: Backup, documents: Documents, added: AddedColumns) -> RestorePlan:
    """Say what a restore would do."""
    columns = _columns(session, added)
    new, identical, conflicts, linking = 0, 0, 0, ItemLinks()
    clashes: list[ConflictingConversation] = []
    in_the_way: list[str] = []
    for entries in verify_entries(session, backup, documents, columns):
        found = _classify(session, backup.owner, entries, columns)
        new += len(found.new)
        identical += found.identical
        conflicts += len(found.clashes)
        clashes += [clash for _, clash in found.clashes[: NAMED_CLASHES - len(clashes)]]
        in_the_way += [clash.other_id for _, clash in found.clashes if clash.other_id is not None]
        linking.from_entries(found.new, found.items)
    return RestorePlan(backup.id, new, identical, linking.unlinked, conflicts, clashes, in_the_way)


class RestoreSession:
    """One restore."""

    def __init__(
        self,
        session: Session,
        backup: Backup,
        added: AddedColumns,
        on_conflict: OnConflict,
        now: int,
    ) -> None:
        self._session = session
        self._backup = backup
        self._columns = _columns(session, added)
        self._on_conflict = on_conflict
        self._now = now
        self._linking = ItemLinks()
        self._relinked: dict[tuple[str, int], Counter[ItemState]] = defaultdict(Counter)
        self._count = RestoreResult(backup.id, 0, 0, 0, 0, 0, 0)

    def delete_conflicting(self, saved: Backup) -> None:
        """Delete what is replaced: everything in its backup. Raises RestoreConflict: it was changed since."""
        columns = StoredColumns.from_session(self._session)
        # Compare all before deleting any: what one takes along may be part of another.
        for items in self._saved(saved):
            versions = {item.id: item.row_version for item in items}
            for live in lock_by_ids(self._session, saved.owner, list(versions), columns).values():
                if live.version != versions[live.id]:
                    raise _changed(live.id)
        for items in self._saved(saved):
            keys = lock(self._session, saved.owner, [item.id for item in items], columns).keys
            self._add(replaced=len(delete(self._session, saved.owner, keys)))

    def _saved(self, saved: Backup) -> Iterator[list[BackupItem]]:
        values = {"key": saved.key, "owner": saved.owner, "limit": _COMPARED}
        for first in range(0, saved.conversations, _COMPARED):
            yield list(map(BackupItem._make, self._session.rows("backup_items_after", {**values, "first": first})))

    def run(self, documents: Documents, on_progress: Callable[[int], None]) -> RestoreResult:
        """Bring everything back; raises as `BackupStore.restore`."""
        done, related = 0, RelatedRowsOfRestore(self._session, self._backup, self._columns)
        for entries in verify_entries(self._session, self._backup, documents, self._columns):
            found = _classify(
                self._session, self._backup.owner, entries, self._columns, held=True, linked=self._linking.places
            )
            coming = [*found.new, *self._check_conflicts(found)]
            self._put(coming)
            self._relink(coming, found)
            self._add(restored=len(coming), identical=found.identical)
            related.note(entry.coming.position for entry in sorted(coming, key=_position))
            done += len(entries)
            on_progress(done)
        for table in OURS:
            self._session.tables.advance(table)
        related.restore(lambda: _wanted(verify_entries(self._session, self._backup, documents, self._columns)))
        self._add(related=related.brought, left=related.left)
        for (job_id, key), states in self._relinked.items():
            self._recount(job_id, key, states)
        return replace(self._count, relinked=self._linking.linked, unlinked=self._linking.unlinked)

    def _check_conflicts(self, found: _ClassifiedChunk) -> list[VerifiedEntry]:
        """Return what comes although something else was its item's result; what was in the way is gone before."""
        if not found.clashes:
            return []
        if self._on_conflict is OnConflict.SKIP:
            self._add(skipped=len(found.clashes))
            return []
        busy = any(clash.kind is ConflictKind.BUSY for _, clash in found.clashes)
        if self._on_conflict is OnConflict.FAIL or busy:
            raise restore_conflict(self._backup.id, [clash for _, clash in found.clashes])
        others = [clash.other_id for _, clash in found.clashes if clash.other_id is not None]
        live = lock_by_ids(self._session, self._backup.owner, others, StoredColumns.from_session(self._session))
        for other in live:
            raise _changed(other)
        return [entry for entry, _ in found.clashes]

    def _put(self, coming: Sequence[VerifiedEntry]) -> None:
        if not coming:
            return
        asked: list[Row] = [(entry.key,) for entry in coming]
        taken = {key for (key,) in self._session.select_rows("taken_conversation_keys", asked)}
        new = iter(self._session.rows("new_conversation_keys", {"count": len(taken)}))
        keyed = [(next(new)[0] if entry.key in taken else entry.key, entry.coming.rows) for entry in coming]
        put(self._session, keyed, self._columns)
        if self._columns.closure.keys:
            if taken:
                entry = next(entry for entry in coming if entry.key in taken)
                raise differs(self._backup, entry.id, orjson.loads(entry.coming.line), None)
            return  # compared once the rows of other tables are there
        keys = [key for key, _ in keyed]
        live = {record.id: record for record in at_keys(self._session, self._backup.owner, keys, self._columns)}
        for entry in coming:
            if entry.id not in live or live[entry.id].digest != entry.digest:
                raise _differs(self._backup, entry, live.get(entry.id))

    def _relink(self, coming: Sequence[VerifiedEntry], found: _ClassifiedChunk) -> None:
        heirs = {clash.id for _, clash in found.clashes if clash.kind is ConflictKind.ITEM}
        results = self._linking.from_entries(coming, found.items, heirs=heirs)
        rows: list[Row] = [(*place, entry.id) for place, (entry, _) in results.items()]
        self._session.execute_rows("relink_items", rows)
        for _, item in results.values():
            self._relinked[item.job_id, item.job_key][item.state] += 1

    def _recount(self, job_id: str, key: int, states: Counter[ItemState]) -> None:
        """Have a job's counts, and its state, say what its items say."""
        moved = {str(state): states[state] for state in (ItemState.PENDING, ItemState.FAILED, ItemState.SKIPPED)}
        if not any(moved.values()):
            return
        owner = self._backup.owner
        lock_job(self._session, owner, job_id)
        self._session.execute("job_relinked", {"job_key": key, "owner": owner, **moved})
        _, job = find_job(self._session, owner, job_id)
        if (
            job.counts.all_settled
            and not job.lacks_items
            and job.state in (*FINISHED, JobState.PENDING, JobState.RUNNING, JobState.PAUSED)
        ):
            state = JobState.COMPLETED_WITH_FAILURES if job.counts.failed else JobState.COMPLETED
            set_state(self._session, owner, key, state, self._now)

    def _add(self, **more: int) -> None:
        self._count = replace(
            self._count, **{name: getattr(self._count, name) + number for name, number in more.items()}
        )


def _changed(conversation_id: str) -> RestoreConflict:
    return RestoreConflict(
        f"Conversation {quoted_id(conversation_id)} was changed while it was being backed up; try again",
        conversation_id=conversation_id,
    )


def restore_conflict(backup_id: str, clashes: Sequence[ConflictingConversation]) -> RestoreConflict:
    """Return the error that tells what is in the way."""
    first = clashes[0]
    match first.kind:
        case ConflictKind.CONTENT:
            what = f"conversation {quoted_id(first.id)} is there with other content"
        case ConflictKind.TIMES:
            what = f"conversation {quoted_id(first.id)} is there with the same content and other times"
        case ConflictKind.ITEM:
            what = (
                f"the item of conversation {quoted_id(first.id)} has conversation {quoted_id(str(first.other_id))} now"
            )
        case ConflictKind.BUSY:
            what = f"the item of conversation {quoted_id(first.id)} is being worked on; pause its job first"
    more = f", and {len(clashes) - 1:,} more are in conflict" if len(clashes) > 1 else ""
    remedy = "" if first.kind is ConflictKind.BUSY else "; --on-conflict skip restores the others, replace restores all"
    return RestoreConflict(
        f"Nothing was restored from {backup_id}: {what}{more}{remedy}",
        backup_id=backup_id,
        conflicts=[{"id": clash.id, "kind": str(clash.kind), "other": clash.other_id} for clash in clashes[:100]],
    )


def _columns(session: Session, added: AddedColumns) -> StoredColumns:
    here = StoredColumns.from_session(session).as_mapping()
    for table, names in added.items():
        for name in names:
            if table in OURS and name not in here.get(table, {}):
                raise ColumnsDiffer(
                    f"The backup has a column {name!r} of {table} that this database lacks; add it, then restore again",
                    table=table,
                    column=name,
                )
    return StoredColumns(
        added.get("conversations", {}), added.get("turns", {}), CascadeTables.from_session(session).only(added)
    )


def _classify(
    session: Session,
    owner: str,
    entries: Sequence[VerifiedEntry],
    columns: StoredColumns,
    *,
    held: bool = False,
    linked: KeySet = _NONE,
) -> _ClassifiedChunk:
    """Compare a chunk with what is there; `linked` are the items that have got a result of this restore."""
    live = by_ids(session, owner, [entry.id for entry in entries], columns)
    absent = [entry for entry in entries if entry.id not in live or live[entry.id].digest != entry.digest]
    items = items_named(session, owner, absent, held=held)
    new, clashes = [], []
    for entry in absent:
        clash = _conflict(entry, live.get(entry.id), items.get(result_of(entry)), linked)
        if clash is None:
            new.append(entry)
        else:
            clashes.append((entry, clash))
    return _ClassifiedChunk(new, len(entries) - len(absent), clashes, items)


def _conflict(
    entry: VerifiedEntry, live: Record | None, item: SourceItem | None, linked: KeySet
) -> ConflictingConversation | None:
    if item is not None and item.state is ItemState.RUNNING:
        return ConflictingConversation(entry.id, ConflictKind.BUSY, None)
    if live is not None:
        is_same = _without_times(entry.coming.line) == _without_times(live.line)
        return ConflictingConversation(entry.id, ConflictKind.TIMES if is_same else ConflictKind.CONTENT, entry.id)
    if item is None or item.is_deleted or item.conversation_id in (None, entry.id) or item.place in linked:
        return None
    # What is older than the job was made by another of its name, which was discarded.
    return (
        ConflictingConversation(entry.id, ConflictKind.ITEM, item.conversation_id)
        if entry.coming.created_at >= item.since
        else None
    )


def _without_times(line: bytes) -> Document:
    return {name: value for name, value in orjson.loads(line).items() if name not in ("created_at", "updated_at")}


def _differs(backup: Backup, entry: VerifiedEntry, live: Record | None) -> RestoreDiffers:
    found = orjson.loads(live.line) if live is not None else None
    return differs(backup, entry.id, orjson.loads(entry.coming.line), found)


def _position(entry: VerifiedEntry) -> int:
    return entry.coming.position


def _wanted(chunks: Iterator[list[VerifiedEntry]]) -> Iterator[list[RelatedRequest]]:
    for entries in chunks:
        yield [RelatedRequest(_position(one), one.id, one.key, one.digest, one.coming.line) for one in entries]
