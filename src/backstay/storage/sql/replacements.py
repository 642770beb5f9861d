"""Puts new conversations in the place of those that a job makes again, in the transaction that stores them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backstay.backup.backup import BackupItem, BackupState
from backstay.backup.error_messages import backup_unusable_error
from backstay.batch.item import ItemState
from backstay.batch.outcome import Verdict
from backstay.batch.store import Lease
from backstay.errors import BackupUnusable, ReplacementRefused
from backstay.library.id_text import quoted_id
from backstay.library.record import Record
from backstay.storage.sql.backup_records import find_backup, record_key
from backstay.storage.sql.conversation_records import StoredColumns, delete, find_by_keys, lock
from backstay.storage.sql.curation import Curations
from backstay.storage.sql.database import Row, Session


@dataclass(frozen=True, slots=True)
class _Planned:
    """A planned replacement: the conversation that is replaced, as it was when the job was created."""

    old_id: str
    row_version: bytes
    backup_position: int | None


@dataclass(frozen=True, slots=True)
class _SourceItem:
    """The item whose conversation is replaced."""

    position: int
    state: str
    conversation_id: str | None


class _Replacer:
    """The replacements of one transaction: first `delete_old`, then, once the new ones are stored, `record`."""

    def __init__(self, session: Session, lease: Lease, now: int) -> None:
        self._session = session
        self._lease = lease
        self._now = now
        values = {"job_key": lease.job_key, "owner": lease.owner}
        self._source_job_key, self.source_job_id, backup_id = session.rows("locked_regeneration", values)[0]
        # Backup, conversations, items: the order in which deletes and restores lock them, too.
        self._backup = find_backup(session, lease.owner, backup_id, name="locked_backup")
        self._items: dict[int, _SourceItem] = {}
        self._deleted: set[int] = set()

    def delete_old(self, verdicts: Sequence[Verdict]) -> None:
        """Delete the conversations that these verdicts replace. Raises like `replace_conversations`."""
        planned = self._find_planned(verdicts)
        old_ids = [each.old_id for each in planned.values()]
        columns = StoredColumns.from_session(self._session)
        keys = lock(self._session, self._lease.owner, old_ids, columns).keys
        live = {record.id: record for record in find_by_keys(self._session, self._lease.owner, keys, columns)}
        sources = self._lock_source_items(verdicts)
        old: dict[int, tuple[int, Record]] = {}
        for verdict in verdicts:
            position = verdict.claimed.position
            self._items[position] = self._check_item(sources.get(verdict.claimed.item.id), planned[position])
            record = live.get(planned[position].old_id)
            if record is None:
                continue  # it was deleted meanwhile, so the new one just becomes the item's result
            self._check_version(record, planned[position].row_version)
            old[record.key] = (position, record)
        if old:
            self._delete(old, planned)

    def record(self, ids: Mapping[int, str]) -> None:
        """Link the new conversations, by their items' positions, to the items of the old ones."""
        rows: list[Row] = [
            (position, new_id, self._backup.id if position in self._deleted else None)
            for position, new_id in ids.items()
        ]
        self._session.execute_many("record_replacements", rows, self._lease.job_key, self._now)
        links: list[Row] = [
            (self._source_job_key, self._items[position].position, new_id) for position, new_id in ids.items()
        ]
        self._session.execute_many("relink_items", links)

    def _find_planned(self, verdicts: Sequence[Verdict]) -> dict[int, _Planned]:
        rows: list[Row] = [(verdict.claimed.position,) for verdict in verdicts]
        found = self._session.select_many("replacements_at", rows, self._lease.job_key)
        return {position: _Planned(*values) for position, *values in found}

    def _lock_source_items(self, verdicts: Sequence[Verdict]) -> dict[str, _SourceItem]:
        names: list[Row] = [(self.source_job_id, verdict.claimed.item.id) for verdict in verdicts]
        self._session.lock_many("lock_items_of_conversations", names, self._lease.owner)
        return {
            item_id: _SourceItem(position, state, conversation_id)
            for _, item_id, job_key, position, state, conversation_id, *_ in self._session.select_many(
                "items_of_conversations", names, self._lease.owner
            )
            if job_key == self._source_job_key  # otherwise it is of a new job of the same name
        }

    def _check_item(self, item: _SourceItem | None, planned: _Planned) -> _SourceItem:
        if item is None:
            raise ReplacementRefused(
                f"Job {quoted_id(self.source_job_id)} was discarded, so conversation {quoted_id(planned.old_id)} stays",
                conversation_id=planned.old_id,
            )
        if item.state != ItemState.COMPLETED or item.conversation_id != planned.old_id:
            raise ReplacementRefused(
                f"Conversation {quoted_id(planned.old_id)} is no longer the result of its item",
                conversation_id=planned.old_id,
            )
        return item

    def _delete(self, old: dict[int, tuple[int, Record]], planned: dict[int, _Planned]) -> None:
        self._check_backup()
        positions = {key: planned[position].backup_position for key, (position, _) in old.items()}
        rows: list[Row] = [(position,) for position in positions.values() if position is not None]
        found = [BackupItem._make(row) for row in self._session.select_many("backup_items_at", rows, self._backup.key)]
        by_position: dict[int | None, BackupItem] = {item.position: item for item in found}
        held: dict[int, BackupItem] = {}
        for key, (_, record) in old.items():
            item = by_position.get(positions[key])
            if item is None or item.id != record.id:
                raise _changed_error(record.id)
            self._check_version(record, item.row_version)
            held[key] = item
        Curations(self._session, self._lease.owner).record_late(self._backup, held)
        deleted = delete(self._session, self._lease.owner, list(old))
        for key, (position, record) in old.items():
            if key not in deleted:
                raise ReplacementRefused(
                    f"A trigger keeps conversation {quoted_id(record.id)}, so it was not replaced",
                    conversation_id=record.id,
                )
            self._deleted.add(position)
        self._session.execute("extend_backup", {**record_key(self._backup), "now": self._now})

    @staticmethod
    def _check_version(record: Record, row_version: bytes) -> None:
        if record.version != row_version:
            raise _changed_error(record.id)

    def _check_backup(self) -> None:
        backup, checked = self._backup, self._lease.backup
        if backup.state is not BackupState.VERIFIED:
            raise backup_unusable_error(backup)
        if checked is None or checked.id != backup.id or not checked.is_file_complete():
            raise BackupUnusable(
                f"The file of {backup.id} is missing or incomplete; nothing was replaced", backup_id=backup.id
            )


def _changed_error(conversation_id: str) -> ReplacementRefused:
    return ReplacementRefused(
        f"Conversation {quoted_id(conversation_id)} was changed after it was backed up, so it stays",
        conversation_id=conversation_id,
    )


def replace_conversations(
    session: Session,
    lease: Lease,
    verdicts: Sequence[Verdict],
    now: int,
    insert: Callable[[str], Mapping[int, str]],
) -> None:
    """Store the conversations of verdicts in the place of those that they replace.

    `insert` stores them as made by the job that is passed, and returns their ids by the positions of their items.

    Raises:
        ReplacementRefused: one of the old conversations may not be replaced.
        BackupUnusable: the backup that holds them cannot be used any more.
    """
    replacer = _Replacer(session, lease, now)
    replacer.delete_old(verdicts)
    replacer.record(insert(replacer.source_job_id))
