"""Restores the conversations of a backup, in one transaction. Implements `backup.store.RestoreStore`."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import orjson

from backstay.backup import restore_policy
from backstay.backup.backup import Backup, BackupItem, BackupState
from backstay.backup.error_messages import backup_unusable_error, replaced_lost_error
from backstay.backup.item_links import ItemKeySet, ItemLinks, SourceItem, SourceItems
from backstay.backup.key_set import KeySet
from backstay.backup.restore_plan import MAX_LISTED_CONFLICTS, ConflictingConversation, RestorePlan, RestoreResult
from backstay.backup.restore_policy import ClassifiedChunk
from backstay.backup.store import ArchivedConversation, RestoreSource, UserColumns
from backstay.batch.item import ItemState
from backstay.batch.job import FINISHED, JobState
from backstay.clock import to_text
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.record import Document
from backstay.storage.sql.backup_records import find_backup, items_from, record_key
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.conversation_records import (
    StoredColumns,
    delete,
    find_by_ids,
    find_by_keys,
    find_keys,
    lock,
    lock_by_ids,
    put,
    rows_maker,
)
from backstay.storage.sql.curation import NO_CURATION, Curations
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.jobs import find_job, lock_job, set_state, settled_state
from backstay.storage.sql.kept_recipes import keep_recipes
from backstay.storage.sql.times import from_micros, now_micros

_NO_ITEMS = ItemKeySet()
_BATCH_SIZE = 500  # conversations read at once


def _no_rows(_: Document) -> None:
    """Convert nothing, where conversations are read and not inserted."""


class SqlRestores(SqlStore):
    """The restores of a database's conversations."""

    async def plan_restore(self, source: RestoreSource) -> RestorePlan:
        return await self._database.read(lambda s: _plan(s, source), owner=source.backup.owner)

    async def keys_to_replace(self, source: RestoreSource) -> KeySet:
        return await self._database.read(lambda s: _keys_to_replace(s, source), owner=source.backup.owner)

    async def restore(
        self,
        source: RestoreSource,
        *,
        on_conflict: RestoreConflictPolicy,
        replaced: Backup | None,
        is_file_complete: Callable[[], bool],
        on_progress: Callable[[int], None],
    ) -> RestoreResult:
        backup = source.backup

        def restore(session: Session) -> RestoreResult:
            session.lock("lock_library", {"owner": backup.owner})
            find_backup(session, backup.owner, backup.id, name="locked_backup")
            now = now_micros(self._clock)
            work = RestoreSession(session, source, on_conflict, now)
            if replaced is not None:
                locked = find_backup(session, backup.owner, replaced.id, name="locked_backup")
                if locked.state is not BackupState.VERIFIED:
                    raise backup_unusable_error(locked)
                work.delete_conflicting(replaced)
            restored = work.run(on_progress)
            if source.is_whole:
                session.execute("mark_delete_undone", {**record_key(backup), "now": now})
            # Checked last, because everything before took time.
            if replaced is not None and not is_file_complete():
                raise replaced_lost_error(replaced.id)
            return restored

        return await self._database.write(restore)


def _plan(session: Session, source: RestoreSource) -> RestorePlan:
    """Return what a restore would do. Raises BackupDamaged, ColumnsDiffer."""
    new, identical, conflicts, links = 0, 0, 0, ItemLinks()
    examples: list[ConflictingConversation] = []
    for chunk in _classified(session, source):
        new += len(chunk.new)
        identical += chunk.identical
        conflicts += len(chunk.conflicts)
        examples += [conflict for _, conflict in chunk.conflicts[: MAX_LISTED_CONFLICTS - len(examples)]]
        links.link(chunk.new, chunk.items)
    return RestorePlan(source.backup.id, new, identical, links.unlinked, conflicts, examples)


def _keys_to_replace(session: Session, source: RestoreSource) -> KeySet:
    keys = KeySet()
    for chunk in _classified(session, source):
        for key in find_keys(session, source.backup.owner, chunk.in_the_way):
            keys.add(key)
    return keys


def _classified(session: Session, source: RestoreSource) -> Iterator[ClassifiedChunk]:
    """Compare a backup with the library, chunk by chunk. Raises BackupDamaged, ColumnsDiffer."""
    columns = _columns(session, source.columns)
    for conversations in source.conversations(partial(items_from, session, source.backup), _no_rows):
        yield _classify(session, source.backup.owner, conversations, columns)


class RestoreSession:
    """One restore, in one transaction."""

    def __init__(self, session: Session, source: RestoreSource, on_conflict: RestoreConflictPolicy, now: int) -> None:
        self._session = session
        self._source = source
        self._backup = source.backup
        self._columns = _columns(session, source.columns)
        self._related = self._columns.related.restore(source.backup.owner)
        self._curations = Curations(session, source.backup.owner)
        self._on_conflict = on_conflict
        self._now = now
        self._links = ItemLinks()
        self._relinked: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._counts: Counter[str] = Counter()

    def delete_conflicting(self, saved: Backup) -> None:
        """Delete the conversations that the restore replaces: all in the backup `saved`, which was made of them.

        Raises RestoreConflict: one was changed since.
        """
        columns = StoredColumns.from_session(self._session)
        # Deleting one conversation may change related rows of another: compare all before deleting any.
        for items in self._saved(saved):
            by_id = {item.id: item for item in items}
            locked = lock_by_ids(self._session, saved.owner, list(by_id), columns)
            for live in locked.values():
                if live.version != by_id[live.id].row_version:
                    raise restore_policy.changed_meanwhile_error(live.id)
            # Read only now: the first review of all may have been made before the locks were taken.
            curations = Curations(self._session, saved.owner)
            curations.record_late(saved, {live.key: by_id[live.id] for live in locked.values()})
        for items in self._saved(saved):
            keys = lock(self._session, saved.owner, [item.id for item in items], columns).keys
            self._counts["replaced"] += len(delete(self._session, saved.owner, keys))

    def _saved(self, saved: Backup) -> Iterator[list[BackupItem]]:
        for first in range(0, saved.conversations, _BATCH_SIZE):
            yield items_from(self._session, saved, first, _BATCH_SIZE)

    def run(self, on_progress: Callable[[int], None]) -> RestoreResult:
        """Restore all conversations and their related rows. Raises like `RestoreStore.restore`."""
        recorded = partial(items_from, self._session, self._backup)
        to_rows, count = rows_maker(self._backup.owner, self._columns), 0
        for conversations in self._source.conversations(recorded, to_rows):
            chunk = _classify(
                self._session,
                self._backup.owner,
                conversations,
                self._columns,
                locked=True,
                linked=self._links.linked_items,
            )
            restored = self._insert(self._choose(chunk))
            self._relink(restored, chunk)
            self._compare(self._related.note(restored))
            count += len(conversations)
            on_progress(count)
        keep_recipes(self._session, self._backup.owner, self._source.recipes())
        for table in BUILT_IN_TABLES:
            self._session.tables.advance(table)
        for restored in self._related.run(lambda: self._source.conversations(recorded, _no_rows)):
            self._compare(restored)
        for (job_id, key), states in self._relinked.items():
            self._recount(job_id, key, states)
        return RestoreResult(
            self._backup.id,
            restored=self._counts["restored"],
            identical=self._counts["identical"],
            skipped=self._counts["skipped"],
            replaced=self._counts["replaced"],
            relinked=self._links.linked,
            unlinked=self._links.unlinked,
            related=self._related.restored,
            related_not_restored=self._related.not_restored,
        )

    def _choose(self, chunk: ClassifiedChunk) -> list[ArchivedConversation]:
        """Return the conversations to restore. Raises RestoreConflict."""
        to_restore = restore_policy.choose(chunk, self._on_conflict, self._backup.id)
        skipped = len(chunk.new) + len(chunk.conflicts) - len(to_restore)
        if chunk.conflicts and not skipped:  # `delete_conflicting` has deleted what they conflict with
            columns = StoredColumns.from_session(self._session)
            for other in lock_by_ids(self._session, self._backup.owner, chunk.in_the_way, columns):
                raise restore_policy.changed_meanwhile_error(other)
        self._counts.update(restored=len(to_restore), skipped=skipped, identical=chunk.identical)
        return to_restore

    def _insert(self, conversations: Sequence[ArchivedConversation]) -> list[ArchivedConversation]:
        """Insert each conversation under its former key or, if another one has that key now, under a new key."""
        rows: list[Row] = [(conversation.key,) for conversation in conversations]
        used_keys = {key for (key,) in self._session.select_many("taken_conversation_keys", rows)}
        if used_keys and self._related.needs_former_keys:
            moved = next(conversation for conversation in conversations if conversation.key in used_keys)
            raise restore_policy.restore_differs_error(self._backup.id, moved.document, None)
        keys = iter(self._session.rows("allocate_conversation_keys", {"count": len(used_keys)}) if used_keys else ())
        keyed = [
            conversation._replace(key=next(keys)[0]) if conversation.key in used_keys else conversation
            for conversation in conversations
        ]
        put(self._session, [(conversation.key, conversation.rows) for conversation in keyed], self._columns)
        self._insert_curations(keyed)
        return keyed

    def _insert_curations(self, conversations: Sequence[ArchivedConversation]) -> None:
        """Insert reviews and earlier versions, and compare them with the backup. Raises RestoreDiffers."""
        curations = {
            each.key: (each.id, each.curation) for each in conversations if each.curation not in (None, NO_CURATION)
        }
        self._curations.insert({key: curation for key, (_, curation) in curations.items()})
        stored = self._curations.find(list(curations))
        for key, (conversation_id, curation) in curations.items():
            if stored.get(key) != curation:
                raise restore_policy.curation_differs_error(self._backup.id, conversation_id)

    def _relink(self, restored: Sequence[ArchivedConversation], chunk: ClassifiedChunk) -> None:
        """Make restored conversations the results of their items again."""
        results = self._links.link(restored, chunk.items, replacing_ids=chunk.replacing)
        rows: list[Row] = [(*item_key, conversation.id) for item_key, (conversation, _) in results.items()]
        self._session.execute_many("relink_items", rows)
        for _, item in results.values():
            self._relinked[item.job_id, item.job_key][item.state] += 1

    def _compare(self, restored: Sequence[ArchivedConversation]) -> None:
        """Compare restored conversations with the backup. Raises RestoreDiffers."""
        keys = [conversation.key for conversation in restored]
        live = {record.id: record for record in find_by_keys(self._session, self._backup.owner, keys, self._columns)}
        for conversation in restored:
            record = live.get(conversation.id)
            if record is None or record.digest != conversation.digest:
                before = conversation.document
                now = orjson.loads(record.line) if record is not None else None
                if now is None or not self._related.is_unchanged(before, now):
                    raise restore_policy.restore_differs_error(self._backup.id, before, now)

    def _recount(self, job_id: str, key: int, states: Counter[str]) -> None:
        """Update a job's counts and state after items became completed; `states` counts their former states."""
        moved = {str(state): states[state] for state in (ItemState.PENDING, ItemState.FAILED, ItemState.SKIPPED)}
        if not any(moved.values()):
            return
        owner = self._backup.owner
        lock_job(self._session, owner, job_id)
        self._session.execute("record_relinked_items", {"job_key": key, "owner": owner, **moved})
        job = find_job(self._session, owner, job_id)
        state = settled_state(job.counts)
        if state and job.state in (*FINISHED, JobState.PENDING, JobState.RUNNING, JobState.PAUSED):
            set_state(self._session, owner, key, state, self._now)


def _columns(session: Session, added: UserColumns) -> StoredColumns:
    """Return the columns of a backup. Raises ColumnsDiffer."""
    current = StoredColumns.from_session(session)
    current_names = current.as_mapping()
    for table in BUILT_IN_TABLES:
        for name in added.get(table, {}):
            if name not in current_names.get(table, {}):
                raise restore_policy.columns_differ_error(table, name)
    return StoredColumns(added.get("conversations", {}), added.get("turns", {}), current.related.restricted_to(added))


def _classify(
    session: Session,
    owner: str,
    conversations: Sequence[ArchivedConversation],
    columns: StoredColumns,
    *,
    locked: bool = False,
    linked: ItemKeySet = _NO_ITEMS,
) -> ClassifiedChunk:
    """Compare a chunk with the database. `linked` are the items that this restore has given a result.

    With `locked`, lock the items that the conversations name.
    """
    live = find_by_ids(session, owner, [conversation.id for conversation in conversations], columns)
    differing = [
        conversation
        for conversation in conversations
        if conversation.id not in live or live[conversation.id].digest != conversation.digest
    ]
    items = _source_items(session, owner, differing, locked=locked)
    return restore_policy.classify(differing, len(conversations) - len(differing), live, items, linked)


def _source_items(
    session: Session, owner: str, conversations: Sequence[ArchivedConversation], *, locked: bool
) -> SourceItems:
    """Return the items that these conversations name, by name. With `locked`, lock them until the transaction ends."""
    names = [name for name in dict.fromkeys(conversation.item for conversation in conversations) if None not in name]
    if locked:
        session.lock_many("lock_items_of_conversations", names, owner)
    rows = session.select_many("items_of_conversations", names, owner)
    return {
        (job_id, item_id): SourceItem(
            job_id, job_key, position, state, result, deleted_at is not None, to_text(from_micros(created_at))
        )
        for job_id, item_id, job_key, position, state, result, deleted_at, created_at in rows
    }
