"""Records of backups, snapshots and bounded deletes, on every database."""

from datetime import timedelta

import orjson
import pytest

from backstay.backup.backup import SealedFile
from backstay.errors import BackupNotFound, BackupUnusable
from backstay.library.record import TURNS
from backstay.library.selection import Selection
from support.data.conversations import conversation
from support.data.verdicts import completed
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create

pytestmark = pytest.mark.promise("K1", "K2")

_ALL = Selection(everything=True)
_COLUMNS = (
    "id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at", TURNS
)  # fmt: skip
_TURN_COLUMNS = ("sequence", "id", "role", "content", "metadata")
_SEALED = SealedFile(conversations=3, turns=6, content_bytes=1, file_bytes=1, file_sha256=b"s")


async def _library(store):
    """Store three conversations of a job."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 3)
    stored = [conversation(str(number), id=f"c{number}") for number in range(3)]
    await commit(store, lease, *map(completed, held, stored))
    await store.batches.work.release(lease)


async def _records(store, selection=_ALL, owner=OWNER):
    async with store.backups.creation.snapshot(owner, selection) as snapshot:
        return [record async for chunk in snapshot.chunks() for record in chunk]


async def _begun(store, owner=OWNER):
    return await store.backups.creation.begin(
        owner, "backup-1-a", reason="why", folder=None, host="here", retention=timedelta(days=1)
    )


async def _verified(store, *, deleting):
    """Make a verified backup of the whole library."""
    await _library(store)
    backup = await _begun(store)
    records = await _records(store)
    await store.backups.creation.add_items(backup, 0, records, [record.version for record in records])
    return await store.backups.creation.mark_verified(backup, _SEALED, deleting=deleting)


def _is_file_complete():
    return True


async def test_a_snapshot_is_of_one_moment(store):
    """A snapshot shows the library as it was when it began, whatever is written meanwhile."""
    await _library(store)
    before = await _records(store)

    async with store.backups.creation.snapshot(OWNER, _ALL) as snapshot:
        store.sql("UPDATE turns SET content = 'newer'")
        store.sql("DELETE FROM conversations WHERE id = 'c2'")
        during = [record async for chunk in snapshot.chunks() for record in chunk]

    assert during == before
    assert [record.id for record in await _records(store)] == ["c0", "c1"]
    store.is_left_unchecked = True


async def test_a_snapshot_may_be_left_in_the_middle(store):
    """A snapshot that is abandoned half-way does not block other work."""
    await _library(store)
    store.sql(f"UPDATE turns SET content = '{'x' * 4_000_000}'")
    store.is_left_unchecked = True

    async with store.backups.creation.snapshot(OWNER, _ALL) as snapshot:
        first = await anext(aiter(snapshot.chunks()))

    assert first[0].id == "c0"
    assert [record.id for record in await _records(store)] == ["c0", "c1", "c2"]
    assert await store.conversations.count(OWNER, _ALL) == 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE conversations SET persona = 'p' WHERE id = 'c1'",
        "UPDATE conversations SET metadata = '{}' WHERE id = 'c1'",
        "UPDATE turns SET role = 'system' WHERE conversation_key = 2 AND sequence = 1",
        "DELETE FROM turns WHERE conversation_key = 2 AND sequence = 2",
        "UPDATE turns SET sequence = 9 WHERE conversation_key = 2 AND sequence = 2",
    ],
)
async def test_row_version_changes_with_any_change(store, change):
    """Any change of a conversation or its turns changes its row version, but not those of the others."""
    await _library(store)
    before = {record.id: record.version for record in await _records(store)}

    store.sql(change)
    after = {record.id: record.version for record in await _records(store)}

    assert {name for name in before if before[name] != after[name]} == {"c1"}


async def test_a_backup_goes_through_its_states(store):
    """A backup changes its state only from the states that allow it."""
    backup = await _begun(store)
    with pytest.raises(BackupUnusable, match="is running; there is nothing to pin"):
        await store.backups.records.pin(OWNER, backup.id, pinned=True)

    verified = await store.backups.creation.mark_verified(backup, _SEALED, deleting=False)
    late = await store.backups.records.mark_failed(backup, "too late")
    pinned = await store.backups.records.pin(OWNER, backup.id, pinned=True)
    refused = await store.backups.retention.mark_expired(pinned, early=True)
    await store.backups.records.pin(OWNER, backup.id, pinned=False)
    store.clock.move(86_399)
    early = await store.backups.retention.mark_expired(verified, early=False)
    store.clock.move(1)
    expired = await store.backups.retention.mark_expired(verified, early=False)

    assert (verified.state, verified.expires_at - verified.verified_at) == ("verified", timedelta(days=1))
    assert (late, refused, early, expired) == (False, False, False, True)
    assert (await store.backups.records.backup(OWNER, backup.id)).state == "expired"


async def test_damage_stays_until_it_is_known_to_be_cleared(store):
    """Only a verification begun after the damage was recorded clears it; a damaged backup can be pinned and expires."""
    verified = await _verified(store, deleting=False)
    first = await store.backups.records.mark_damaged(verified)
    since = store.clock.now()
    store.clock.move(10)
    second = await store.backups.records.mark_damaged(verified)
    damaged = await store.backups.records.mark_intact(verified)
    cleared = await store.backups.records.mark_intact(damaged)
    await store.backups.records.mark_damaged(cleared)
    newer = await store.backups.records.mark_intact(damaged)
    await store.backups.records.pin(OWNER, newer.id, pinned=True)
    await store.backups.records.pin(OWNER, newer.id, pinned=False)
    expired = await store.backups.retention.mark_expired(newer, early=True)

    assert (first, second, expired) == (True, False, True)
    assert (damaged.state, damaged.damaged_at) == ("damaged", since)
    assert (cleared.state, cleared.damaged_at) == ("verified", None)
    assert (newer.state, newer.damaged_at) == ("damaged", store.clock.now())


async def test_no_step_of_a_delete_is_made_behind_a_damaged_backup(store):
    """A delete step checks the backup in its own transaction and refuses if it is damaged."""
    backup = await _verified(store, deleting=True)
    await store.backups.records.mark_damaged(backup)

    with pytest.raises(BackupUnusable, match="is damaged since"):
        await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=_is_file_complete)
    by_itself = await store.backups.retention.mark_expired(backup, early=False)
    expired = await store.backups.retention.mark_expired(backup, early=True)

    assert store.sql("SELECT count(*) FROM conversations") == [(3,)]
    assert (by_itself, expired) == (False, True)
    assert (await store.backups.records.backup(OWNER, backup.id)).deletion == "abandoned"


async def test_a_writer_that_was_taken_for_dead_verifies_nothing(store):
    """A backup's writer that was declared dead cannot verify it, since its file was removed."""
    backup = await _begun(store)
    assert await store.backups.records.mark_failed(backup, "its writer died")

    with pytest.raises(BackupUnusable, match="was marked as failed by another process"):
        await store.backups.creation.mark_verified(backup, _SEALED, deleting=True)


async def test_a_delete_goes_in_steps(store):
    """Each step of a delete is one transaction, and the retention time begins after the last one."""
    backup = await _verified(store, deleting=True)
    store.sql("UPDATE turns SET content = 'newer' WHERE conversation_key = 2")

    first = await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=_is_file_complete)
    store.clock.move(100)
    last = await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=_is_file_complete)

    assert (first.is_last, first.backup.deleted, first.backup.changed, first.backup.expires_at) == (False, 1, 1, None)
    assert (last.is_last, last.backup.deleted, last.backup.deletion) == (True, 2, "deleted")
    assert last.backup.expires_at == store.clock.now() + timedelta(days=1)
    assert await store.backups.deletes.delete_outcomes(backup, limit=10) == [("c1", "changed")]
    assert store.sql("SELECT id FROM conversations") == [("c1",)]
    assert store.sql("SELECT count(*) FROM turns") == [(2,)]


async def test_a_delete_needs_its_backup(store):
    """A delete requires a backup that is verified, made for a delete, and has its file."""
    backup = await _verified(store, deleting=True)

    with pytest.raises(BackupUnusable, match="is missing or incomplete; nothing further is deleted"):
        await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=lambda: False)
    await store.backups.deletes.delete_step(backup, limit=3, is_file_complete=_is_file_complete)
    with pytest.raises(BackupUnusable, match="is deleted; it has no delete to resume"):
        await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=_is_file_complete)


async def test_a_backup_for_no_delete_deletes_nothing(store):
    """A backup that was not made for a delete cannot be used for one, in any way."""
    backup = await _verified(store, deleting=False)

    with pytest.raises(BackupUnusable, match="is verified; it has no delete to resume"):
        await store.backups.deletes.delete_step(backup, limit=2, is_file_complete=_is_file_complete)
    assert store.sql("SELECT count(*) FROM conversations") == [(3,)]


async def test_a_plan_knows_the_size_of_the_lines(store):
    """The size in a plan omits only the escapes of JSON and the user columns, which adopted tables have."""
    await _library(store)
    store.sql("UPDATE conversations SET persona = 'ein Wärter', content = 'c', metadata = '{\"a\":1}' WHERE id = 'c1'")
    store.sql("DELETE FROM turns WHERE conversation_key = 3 AND sequence > 1")
    store.is_left_unchecked = True

    async def sizes():
        lines = sum(len(_without_user_columns(record.line)) + len(b",\n") for record in await _records(store))
        return lines, (await store.backups.deletes.measure(OWNER, _ALL, sample=0)).estimated_bytes

    lines, estimated = await sizes()
    store.sql("UPDATE conversations SET topic = 'a\"b\"' WHERE id = 'c1'")
    escaped, still = await sizes()

    assert estimated == lines
    assert escaped - still == 2
    nobody = Selection(persona="nobody")
    assert (await store.backups.deletes.measure(OWNER, nobody, sample=0)).estimated_bytes == 0


def _without_user_columns(line: bytes) -> bytes:
    document = {name: value for name, value in orjson.loads(line).items() if name in _COLUMNS}
    turns = [{name: value for name, value in turn.items() if name in _TURN_COLUMNS} for turn in document[TURNS]]
    return orjson.dumps({**document, TURNS: turns})


async def test_owners_never_see_each_others(store):
    """An owner finds no backups of others in lists, by id, or through an id that both have."""
    backup = await _verified(store, deleting=False)
    other = await _begun(store, owner="me")

    assert await _records(store, owner="me") == []
    assert [
        record.key for record in await store.backups.records.backups("me", include_removed=True, before=None, limit=10)
    ] == [other.key]
    assert await store.backups.records.digests(other, first=0, limit=10) == []
    assert [record.key for record in await store.backups.retention.with_files(OWNER)] == [backup.key]
    assert (await store.backups.deletes.measure("me", _ALL, sample=5)).conversations == 0
    for act in (
        store.backups.records.backup("you", backup.id),
        store.backups.records.pin("you", backup.id, pinned=True),
    ):
        with pytest.raises(BackupNotFound):
            await act
    assert await store.backups.records.unknown_ids([backup.id, "backup-2-b"]) == ["backup-2-b"]


async def test_a_selection_is_met_by_search_persona_and_age(store):
    """A selection gives the same conversations in a snapshot and in pages, regardless of letter case."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 3)
    stored = [
        conversation("STRASSE", id="a", persona="p"),
        conversation("other", id="b", topic="die Straße"),
        conversation("none", id="c", persona="Ärztin"),
    ]
    await commit(store, lease, *map(completed, held, stored))
    await store.batches.work.release(lease)

    async def ids(**conditions):
        selection = Selection(**conditions)
        page = await store.conversations.page(OWNER, selection, after=0, limit=10)
        listed = [record.id for record in await _records(store, selection)]
        assert listed == [stored.id for stored in page.conversations]
        assert len(listed) == await store.conversations.count(OWNER, selection)
        return listed

    assert await ids(search="straße") == ["a", "b"]
    assert await ids(search="ärztin") == ["c"]
    assert await ids(search="%") == []
    assert await ids(persona="p") == ["a"]
    assert await ids(persona="P") == []
    assert await ids(created_before=store.clock.now()) == []
    assert await ids(created_before=store.clock.now() + timedelta(seconds=1)) == ["a", "b", "c"]
