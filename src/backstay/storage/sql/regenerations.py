"""Plans and records the making again of conversations. Implements `regeneration.store.RegenerationStore`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from backstay.backup.backup import Backup, BackupItem
from backstay.backup.key_set import KeySet
from backstay.batch.item import NewItem
from backstay.batch.job import Job
from backstay.batch.store import StagedJob
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.provenance import named_revision
from backstay.library.record import metadata_as_dict, metadata_from_line
from backstay.library.selection import Selection
from backstay.regeneration.plan import ConversationHistory, Replacement
from backstay.regeneration.store import Candidate, PlannedReplacement
from backstay.storage.sql.backup_records import items_from
from backstay.storage.sql.conversation_records import StoredColumns, find_by_ids
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.input_blocks import StoredInput, stored_inputs
from backstay.storage.sql.kept_recipes import find_recipes
from backstay.storage.sql.leases import fence
from backstay.storage.sql.selection_conditions import selection_values
from backstay.storage.sql.times import from_micros


class SqlRegenerations(SqlStore):
    """The making again of a database's conversations."""

    async def selected_keys(self, owner: str, selection: Selection) -> KeySet:
        def selected_keys(session: Session) -> KeySet:
            values = selection_values(owner, selection)
            return _key_set(session.stream("selected_conversation_keys", values, selection=selection))

        return await self._database.read(selected_keys, owner=owner)

    async def selected_jobs(self, owner: str, selection: Selection) -> Sequence[str]:
        values = selection_values(owner, selection)
        return await self._database.read(
            lambda s: [job_id for (job_id,) in s.rows("selected_jobs", values, selection=selection)], owner=owner
        )

    async def candidates(self, owner: str, keys: Sequence[int]) -> Sequence[Candidate]:
        return await self._database.read(lambda s: _candidates(s, owner, keys), owner=owner)

    async def backup_items(self, backup: Backup, *, first: int, limit: int) -> Sequence[BackupItem]:
        return await self._database.read(lambda s: items_from(s, backup, first, limit), owner=backup.owner)

    async def record_regeneration(self, staged: StagedJob, source: Job, backup_id: str) -> None:
        values = {
            "job_key": staged.job_key,
            "owner": staged.owner,
            "source_job_key": source.key,
            "source_job_id": source.id,
            "backup_id": backup_id,
        }

        def record(session: Session) -> None:
            fence(session, staged.owner, staged.job_key, staged.token)
            session.execute("insert_regeneration", values)

        await self._database.write(record)

    async def plan_replacements(self, staged: StagedJob, replacements: Sequence[PlannedReplacement]) -> None:
        def plan(session: Session) -> None:
            fence(session, staged.owner, staged.job_key, staged.token)
            session.execute_many("insert_replacements", replacements, staged.job_key)

        await self._database.write(plan)

    async def backup_id(self, job: Job) -> str:
        values = {"job_key": job.key, "owner": job.owner}
        return str(await self._database.read(lambda s: s.value("regeneration_backup", values), owner=job.owner))

    async def unreplaced_keys(self, job: Job) -> KeySet:
        values = {"job_key": job.key, "owner": job.owner}
        return await self._database.read(
            lambda s: _key_set(s.stream("unreplaced_conversation_keys", values)), owner=job.owner
        )

    async def set_backup(self, job: Job, backup: Backup) -> None:
        values = {"job_key": job.key, "owner": job.owner}

        def set_backup(session: Session) -> None:
            session.execute("set_regeneration_backup", {**values, "backup_id": backup.id})
            session.execute("forget_backup_positions", values)
            session.execute("record_backup_positions", {**values, "backup_key": backup.key})

        await self._database.write(set_backup)

    async def history(self, owner: str, conversation_id: str) -> ConversationHistory:
        def history(session: Session) -> ConversationHistory:
            recipes = _recipes_of(session, owner, conversation_id)
            return replace(history_of(session, owner, conversation_id), recipes=recipes)

        return await self._database.read(history, owner=owner)

    async def replaced_ids(self, owner: str, backup_id: str) -> Sequence[str]:
        values = {"owner": owner, "backup_id": backup_id}
        return await self._database.read(
            lambda s: [old_id for (old_id,) in s.rows("replaced_in_backup", values)], owner=owner
        )


def history_of(session: Session, owner: str, conversation_id: str) -> ConversationHistory:
    """Return how a conversation replaced another one and was replaced, the last time each."""
    rows = session.rows("replacements_of_conversation", {"owner": owner, "id": conversation_id})
    all_ = [
        Replacement(old_id, new_id, backup_id, from_micros(replaced_at))
        for old_id, new_id, backup_id, replaced_at in rows
    ]
    return ConversationHistory(
        next((each for each in all_ if each.new_id == conversation_id), None),
        next((each for each in all_ if each.old_id == conversation_id), None),
    )


def _recipes_of(session: Session, owner: str, conversation_id: str) -> Sequence[ArchivedRecipe]:
    columns = StoredColumns.from_session(session, related=False)
    record = find_by_ids(session, owner, [conversation_id], columns).get(conversation_id)
    if record is None:
        return ()
    name = named_revision(record.job_id, metadata_as_dict(metadata_from_line(orjson.loads(record.line)["metadata"])))
    return () if name is None else find_recipes(session, owner, [name])


def _candidates(session: Session, owner: str, keys: Sequence[int]) -> list[Candidate]:
    rows = session.select_many("regeneration_candidates", [(key,) for key in keys], owner)
    inputs = _inputs(session, owner, rows)
    return [
        Candidate(
            key, conversation_id, job_id, item_id, job_key, position, bool(is_result), other_job_id,
            _item(item_id, digest, position, inputs.get((job_key, position))),
        )
        for key, conversation_id, job_id, item_id, job_key, position, digest, is_result, other_job_id in rows
    ]  # fmt: skip


def _inputs(session: Session, owner: str, rows: Iterable[Row]) -> Mapping[tuple[int, int], StoredInput]:
    """Return the inputs of the items of candidates, by job and position."""
    positions: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        job_key, position = row[4:6]
        if position is not None:
            positions[job_key].append(position)
    return {
        (job_key, position): stored
        for job_key, of_job in positions.items()
        for position, stored in stored_inputs(session, owner, job_key, of_job).items()
    }


def _item(item_id: str, digest: bytes, position: int, stored: StoredInput | None) -> NewItem | None:
    if stored is None:
        return None
    return NewItem(item_id, item_id, bytes(digest), stored.topic, stored.persona, stored.parameters, stored.line)


def _key_set(rows: Iterable[Row]) -> KeySet:
    keys = KeySet()
    for (key,) in rows:
        keys.add(key)
    return keys
