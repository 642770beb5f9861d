"""Restores the conversations of a backup, in one transaction of the caller."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from backstay.backup.backup import Backup, BackupItem
from backstay.backup.restore_plan import (
    MAX_LISTED_CONFLICTS,
    ConflictingConversation,
    ConflictKind,
    RestorePlan,
    RestoreResult,
)
from backstay.backup.store import BackupEntries, UserColumns
from backstay.batch.item import ItemState
from backstay.batch.job import FINISHED, JobState
from backstay.errors import ColumnsDiffer, RestoreConflict, RestoreDiffers
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.id_text import quoted_id
from backstay.library.record import Document, Record
from backstay.remedy import Remedy
from backstay.storage.sql.cascade.closure import CascadeTables
from backstay.storage.sql.cascade.related import RelatedEntry, RelatedRowsPass, restore_differs
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.jobs import find_job, lock_job, set_state
from backstay.storage.sql.records import StoredColumns, at_keys, by_ids, delete, lock, lock_by_ids, put
from backstay.storage.sql.relink import ItemLinks, KeySet, SourceItem, item_name, source_items
from backstay.storage.sql.session import Row, Session
from backstay.storage.sql.verified_entries import VerifiedEntry, verify_entries

_NO_ITEMS = KeySet()
_BATCH_SIZE = 500  # conversations read at once


@dataclass(frozen=True, slots=True)
class _ClassifiedChunk:
    """A chunk of a backup, compared with the database: what is new, identical, or in conflict."""

    new: Sequence[VerifiedEntry]
    identical: int
    conflicts: Sequence[tuple[VerifiedEntry, ConflictingConversation]]
    items: Mapping[Row, SourceItem]
    """The items that the new and the conflicting conversations name, by job id and item id."""


def plan(session: Session, backup: Backup, documents: BackupEntries, added: UserColumns) -> RestorePlan:
    """Return what a restore would do. Raises BackupDamaged, ColumnsDiffer."""
    columns = _columns(session, added)
    new, identical, conflicts, links = 0, 0, 0, ItemLinks()
    examples: list[ConflictingConversation] = []
    conflicting_ids: list[str] = []
    for entries in verify_entries(session, backup, documents, columns):
        chunk = _classify(session, backup.owner, entries, columns)
        new += len(chunk.new)
        identical += chunk.identical
        conflicts += len(chunk.conflicts)
        examples += [conflict for _, conflict in chunk.conflicts[: MAX_LISTED_CONFLICTS - len(examples)]]
        conflicting_ids += [conflict.other_id for _, conflict in chunk.conflicts if conflict.other_id is not None]
        links.link(chunk.new, chunk.items)
    return RestorePlan(backup.id, new, identical, links.unlinked, conflicts, examples, conflicting_ids)


class RestoreSession:
    """One restore."""

    def __init__(
        self,
        session: Session,
        backup: Backup,
        added: UserColumns,
        on_conflict: RestoreConflictPolicy,
        now: int,
    ) -> None:
        self._session = session
        self._backup = backup
        self._columns = _columns(session, added)
        self._on_conflict = on_conflict
        self._now = now
        self._links = ItemLinks()
        self._relinked: dict[tuple[str, int], Counter[ItemState]] = defaultdict(Counter)
        self._count = RestoreResult(backup.id, 0, 0, 0, 0, 0, 0)

    def delete_conflicting(self, saved: Backup) -> None:
        """Delete the conversations that the restore replaces: all in the backup `saved`, which was made of them.

        Raises RestoreConflict: one was changed since.
        """
        columns = StoredColumns.from_session(self._session)
        # Deleting one conversation may change related rows of another: compare all before deleting any.
        for items in self._saved(saved):
            versions = {item.id: item.row_version for item in items}
            for live in lock_by_ids(self._session, saved.owner, list(versions), columns).values():
                if live.version != versions[live.id]:
                    raise _changed(live.id)
        for items in self._saved(saved):
            keys = lock(self._session, saved.owner, [item.id for item in items], columns).keys
            self._add(replaced=len(delete(self._session, saved.owner, keys)))

    def _saved(self, saved: Backup) -> Iterator[list[BackupItem]]:
        values = {"key": saved.key, "owner": saved.owner, "limit": _BATCH_SIZE}
        for first in range(0, saved.conversations, _BATCH_SIZE):
            yield list(map(BackupItem._make, self._session.rows("backup_items_after", {**values, "first": first})))

    def run(self, documents: BackupEntries, on_progress: Callable[[int], None]) -> RestoreResult:
        """Restore all conversations and their related rows. Raises like `BackupStore.restore`."""
        count, related = 0, RelatedRowsPass(self._session, self._backup, self._columns)
        for entries in verify_entries(self._session, self._backup, documents, self._columns):
            chunk = _classify(
                self._session, self._backup.owner, entries, self._columns, locked=True, linked=self._links.items
            )
            restored = [*chunk.new, *self._check_conflicts(chunk)]
            self._store(restored)
            self._relink(restored, chunk)
            self._add(restored=len(restored), identical=chunk.identical)
            related.note(_position(entry) for entry in sorted(restored, key=_position))
            count += len(entries)
            on_progress(count)
        for table in BUILT_IN_TABLES:
            self._session.tables.advance(table)
        related.run(lambda: _related_entries(verify_entries(self._session, self._backup, documents, self._columns)))
        self._add(related=related.restored, left=related.not_restored)
        for (job_id, key), states in self._relinked.items():
            self._recount(job_id, key, states)
        return replace(self._count, relinked=self._links.linked, unlinked=self._links.unlinked)

    def _check_conflicts(self, chunk: _ClassifiedChunk) -> list[VerifiedEntry]:
        """Return the conflicting conversations to restore, none if they are skipped. Raises RestoreConflict.

        What they conflict with has been deleted by `delete_conflicting`.
        """
        if not chunk.conflicts:
            return []
        if self._on_conflict is RestoreConflictPolicy.SKIP:
            self._add(skipped=len(chunk.conflicts))
            return []
        busy = any(conflict.kind is ConflictKind.BUSY for _, conflict in chunk.conflicts)
        if self._on_conflict is RestoreConflictPolicy.FAIL or busy:
            raise restore_conflict(self._backup.id, [conflict for _, conflict in chunk.conflicts])
        others = [conflict.other_id for _, conflict in chunk.conflicts if conflict.other_id is not None]
        live = lock_by_ids(self._session, self._backup.owner, others, StoredColumns.from_session(self._session))
        for other in live:
            raise _changed(other)
        return [entry for entry, _ in chunk.conflicts]

    def _store(self, entries: Sequence[VerifiedEntry]) -> None:
        if not entries:
            return
        key_rows: list[Row] = [(entry.key,) for entry in entries]
        existing = {key for (key,) in self._session.select_rows("taken_conversation_keys", key_rows)}
        new = iter(self._session.rows("allocate_conversation_keys", {"count": len(existing)}))
        keyed = [(next(new)[0] if entry.key in existing else entry.key, entry.archived.rows) for entry in entries]
        put(self._session, keyed, self._columns)
        if self._columns.cascade.foreign_keys:
            if existing:
                entry = next(entry for entry in entries if entry.key in existing)
                raise restore_differs(self._backup, entry.id, orjson.loads(entry.archived.line), None)
            return  # `RelatedRowsPass` compares them when their related rows are restored
        keys = [key for key, _ in keyed]
        live = {record.id: record for record in at_keys(self._session, self._backup.owner, keys, self._columns)}
        for entry in entries:
            if entry.id not in live or live[entry.id].digest != entry.digest:
                raise _differs(self._backup, entry, live.get(entry.id))

    def _relink(self, restored: Sequence[VerifiedEntry], chunk: _ClassifiedChunk) -> None:
        replacing = {conflict.id for _, conflict in chunk.conflicts if conflict.kind is ConflictKind.ITEM}
        results = self._links.link(restored, chunk.items, replacing=replacing)
        rows: list[Row] = [(*item_key, entry.id) for item_key, (entry, _) in results.items()]
        self._session.execute_rows("relink_items", rows)
        for _, item in results.values():
            self._relinked[item.job_id, item.job_key][item.state] += 1

    def _recount(self, job_id: str, key: int, states: Counter[ItemState]) -> None:
        """Update a job's counts and state after its items became completed; `states` are what they were before."""
        moved = {str(state): states[state] for state in (ItemState.PENDING, ItemState.FAILED, ItemState.SKIPPED)}
        if not any(moved.values()):
            return
        owner = self._backup.owner
        lock_job(self._session, owner, job_id)
        self._session.execute("record_relinked_items", {"job_key": key, "owner": owner, **moved})
        _, job = find_job(self._session, owner, job_id)
        if job.counts.all_settled and job.state in (*FINISHED, JobState.PENDING, JobState.RUNNING, JobState.PAUSED):
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


def restore_conflict(backup_id: str, conflicts: Sequence[ConflictingConversation]) -> RestoreConflict:
    """Return the error that describes the first conflict and counts the others."""
    first = conflicts[0]
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
    more = f", and {len(conflicts) - 1:,} more are in conflict" if len(conflicts) > 1 else ""
    return RestoreConflict(
        f"Nothing was restored from {backup_id}: {what}{more}",
        remedy=None if first.kind is ConflictKind.BUSY else Remedy.SKIP_OR_REPLACE,
        backup_id=backup_id,
        conflicts=[{"id": item.id, "kind": str(item.kind), "other": item.other_id} for item in conflicts[:100]],
    )


def _columns(session: Session, added: UserColumns) -> StoredColumns:
    here = StoredColumns.from_session(session).as_mapping()
    for table, names in added.items():
        for name in names:
            if table in BUILT_IN_TABLES and name not in here.get(table, {}):
                raise ColumnsDiffer(
                    f"The backup has a column {name!r} of {table} that this database lacks; add it, then restore again",
                    table=table,
                    column=name,
                )
    return StoredColumns(
        added.get("conversations", {}), added.get("turns", {}), CascadeTables.from_session(session).restricted_to(added)
    )


def _classify(
    session: Session,
    owner: str,
    entries: Sequence[VerifiedEntry],
    columns: StoredColumns,
    *,
    locked: bool = False,
    linked: KeySet = _NO_ITEMS,
) -> _ClassifiedChunk:
    """Compare a chunk with the database. `linked` are the items that this restore has given a result.

    With `locked`, lock the items that the conversations name.
    """
    live = by_ids(session, owner, [entry.id for entry in entries], columns)
    absent = [entry for entry in entries if entry.id not in live or live[entry.id].digest != entry.digest]
    items = source_items(session, owner, absent, locked=locked)
    new, conflicts = [], []
    for entry in absent:
        conflict = _conflict(entry, live.get(entry.id), items.get(item_name(entry)), linked)
        if conflict is None:
            new.append(entry)
        else:
            conflicts.append((entry, conflict))
    return _ClassifiedChunk(new, len(entries) - len(absent), conflicts, items)


def _conflict(
    entry: VerifiedEntry, live: Record | None, item: SourceItem | None, linked: KeySet
) -> ConflictingConversation | None:
    if item is not None and item.state is ItemState.RUNNING:
        return ConflictingConversation(entry.id, ConflictKind.BUSY, None)
    if live is not None:
        is_same = _without_times(entry.archived.line) == _without_times(live.line)
        return ConflictingConversation(entry.id, ConflictKind.TIMES if is_same else ConflictKind.CONTENT, entry.id)
    if item is None or item.is_deleted or item.conversation_id in (None, entry.id) or item.key in linked:
        return None
    # A conversation older than the job was made by a discarded job of the same id.
    return (
        ConflictingConversation(entry.id, ConflictKind.ITEM, item.conversation_id)
        if entry.archived.created_at >= item.job_created_at
        else None
    )


def _without_times(line: bytes) -> Document:
    return {name: value for name, value in orjson.loads(line).items() if name not in ("created_at", "updated_at")}


def _differs(backup: Backup, entry: VerifiedEntry, live: Record | None) -> RestoreDiffers:
    now = orjson.loads(live.line) if live is not None else None
    return restore_differs(backup, entry.id, orjson.loads(entry.archived.line), now)


def _position(entry: VerifiedEntry) -> int:
    return entry.archived.position


def _related_entries(chunks: Iterator[list[VerifiedEntry]]) -> Iterator[list[RelatedEntry]]:
    for entries in chunks:
        yield [
            RelatedEntry(_position(entry), entry.id, entry.key, entry.digest, entry.archived.line) for entry in entries
        ]
