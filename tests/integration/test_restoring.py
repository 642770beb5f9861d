"""What a restore brings back, and what it refuses."""

import json

import pytest

from holdfast import Holdfast, Selection
from holdfast.backup.restoring import ClashKind
from holdfast.errors import (
    BackupUnusable,
    ColumnsDiffer,
    ConversationNotFound,
    EmptySelection,
    IllegalMove,
    RestoreConflict,
    RestoreDiffers,
    StoreCorrupt,
)
from support.invariants import violations
from support.library import ALL, digests, filled


@pytest.fixture
async def library(tmp_path):
    """An open library of 20 conversations, and 5 of a job."""
    await filled(tmp_path / "library.db", 20)
    async with Holdfast.open(tmp_path / "library.db") as hold:
        yield hold
    assert violations(tmp_path / "library.db", at_rest=False) == []


def _sql(hold, statement, *values):
    return hold._store._database.write(lambda c: c.execute(statement, values).fetchall())


async def _all_rows(hold):
    conversations = await _sql(hold, "SELECT * FROM conversations ORDER BY key")
    return conversations, await _sql(hold, "SELECT * FROM turns ORDER BY conversation_key, sequence")


async def test_everything_comes_back_as_it_was(library):
    """Every column of every row: ids, order, times, owners, text of metadata."""
    before = await _all_rows(library)
    deleted = await library.conversations.delete(ALL)
    gone = await _all_rows(library)

    restored = await library.backups.restore(deleted.backup_id)

    assert gone == ([], [])
    assert await _all_rows(library) == before
    assert (restored.restored, restored.relinked) == (25, 5)


async def test_restoring_twice_is_safe(library):
    """The second time there is nothing to do."""
    deleted = await library.conversations.delete(ALL)
    await library.backups.restore(deleted.backup_id)
    before = await _all_rows(library)

    again = await library.backups.restore(deleted.backup_id)

    assert (again.restored, again.identical) == (0, 25)
    assert await _all_rows(library) == before


async def test_a_part_is_restored(library):
    """By ids, by text, by job: in its place in the order."""
    before = list(await digests(library))
    deleted = await library.conversations.delete(ALL)

    await library.backups.restore(deleted.backup_id, Selection(ids=("c00003", "c00001")))
    by_ids = list(await digests(library))
    await library.backups.restore(deleted.backup_id, Selection(search="TOPIC 7"))
    by_text = list(await digests(library))
    await library.backups.restore(deleted.backup_id, Selection(job_id="job"))
    await library.backups.restore(deleted.backup_id, Selection(persona="Ünïcode"))
    await library.backups.restore(deleted.backup_id)

    assert by_ids == ["c00001", "c00003"]
    assert by_text == ["c00001", "c00003", "c00007"]
    assert list(await digests(library)) == before


async def test_a_part_that_is_not_there_is_refused(library):
    """Named, and nothing is restored."""
    deleted = await library.conversations.delete(ALL)

    with pytest.raises(ConversationNotFound, match="holds no conversation 'none'; nothing was restored"):
        await library.backups.restore(deleted.backup_id, Selection(ids=("c00001", "none")))
    with pytest.raises(EmptySelection, match="Nothing of backup-"):
        await library.backups.restore(deleted.backup_id, Selection(search="no such words"))

    assert await library.conversations.count(ALL) == 0


_COLUMNS = """
    ALTER TABLE conversations ADD COLUMN score REAL;
    ALTER TABLE conversations ADD COLUMN "my ""notes" TEXT DEFAULT 'none';
    ALTER TABLE conversations ADD COLUMN embedding BLOB;
    ALTER TABLE conversations ADD COLUMN big INTEGER;
    ALTER TABLE turns ADD COLUMN audio;
    UPDATE conversations SET score = key / 3.0, big = 9223372036854775807, embedding = x'00ff80';
    UPDATE conversations SET score = 9e999, "my ""notes" = '["blob", "00"]' WHERE key = 2;
    UPDATE turns SET audio = zeroblob(sequence) WHERE sequence = 1;
    UPDATE turns SET audio = 'text' WHERE sequence = 2;
    UPDATE conversations SET metadata = '{"b": 1,  "a":1.0e0, "a": 123456789012345678901234567890}' WHERE key = 4;
    UPDATE conversations SET metadata = '{}' WHERE key = 5;
    UPDATE conversations SET metadata = 'no JSON' WHERE key = 6;
    UPDATE conversations SET metadata = x'7b7d' WHERE key = 7;
"""


async def test_columns_of_a_users_own_come_back(library):
    """Whatever is in them, numbers, bytes and text that no JSON has a word for included."""
    await _sql(library, _COLUMNS)
    before = await _all_rows(library)
    deleted = await library.conversations.delete(ALL)

    await library.backups.verify(deleted.backup_id)
    await library.backups.restore(deleted.backup_id)

    assert await _all_rows(library) == before


async def test_text_that_is_no_text_is_told(library):
    """Bytes in a column of text that are not UTF-8: no backup, and so no delete."""
    await _sql(library, "UPDATE conversations SET topic = CAST(x'ff' AS TEXT) WHERE key = 3")

    with pytest.raises(StoreCorrupt, match="holds text that is not UTF-8"):
        await library.conversations.delete(Selection(ids=("c00002",)))

    assert await _sql(library, "SELECT count(*) FROM conversations") == [(25,)]


async def test_a_change_in_a_users_own_column_is_noticed(library):
    """It is part of the row version, and of what tells identical from conflicting."""
    await _sql(library, "ALTER TABLE turns ADD COLUMN score REAL")
    backup = await library.backups.create(ALL)
    await _sql(library, "UPDATE turns SET score = 1 WHERE conversation_key = 3 AND sequence = 1")

    plan = await library.backups.plan_restore(backup.id)

    assert (plan.new, plan.identical) == (0, 24)
    assert [(clash.id, clash.kind) for clash in plan.clashes] == [("c00002", ClashKind.CONTENT)]


async def test_columns_that_the_backup_lacks_take_their_defaults(library):
    """A column that was added after the backup is no obstacle."""
    deleted = await library.conversations.delete(ALL)
    await _sql(library, "ALTER TABLE conversations ADD COLUMN rating TEXT NOT NULL DEFAULT 'fresh'")

    await library.backups.restore(deleted.backup_id)

    assert await _sql(library, "SELECT DISTINCT rating FROM conversations") == [("fresh",)]


async def test_columns_that_the_table_lacks_are_refused(library):
    """Named, and nothing is changed."""
    await _sql(library, "ALTER TABLE turns ADD COLUMN score REAL")
    deleted = await library.conversations.delete(ALL)
    await _sql(library, "ALTER TABLE turns DROP COLUMN score")

    with pytest.raises(ColumnsDiffer, match="a column 'score' of turns that this database lacks"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


async def test_a_trigger_that_changes_what_comes_back_is_found_out(library):
    """All is rolled back, and the column named."""
    deleted = await library.conversations.delete(ALL)
    await _sql(
        library,
        "CREATE TRIGGER t AFTER INSERT ON conversations WHEN new.id = 'c00017' "
        "BEGIN UPDATE conversations SET persona = 'changed' WHERE key = new.key; END",
    )

    with pytest.raises(RestoreDiffers, match="'c00017' would not come back as it was: its persona reads otherwise"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


async def test_without_the_comparison_before_the_commit(library, monkeypatch):
    """The control: the trigger's work would be taken for what was backed up."""
    from holdfast.storage.sqlite import restoring

    deleted = await library.conversations.delete(ALL)
    await _sql(
        library,
        "CREATE TRIGGER t AFTER INSERT ON conversations "
        "BEGIN UPDATE conversations SET persona = 'changed' WHERE key = new.key; END",
    )
    monkeypatch.setattr(restoring, "_differs", lambda *_: None)
    monkeypatch.setattr(restoring.Restoring, "_put", _put_unchecked)

    await library.backups.restore(deleted.backup_id)

    assert {one.persona async for one in library.conversations.export(ALL)} == {"changed"}


def _put_unchecked(self, coming):
    from holdfast.storage.sqlite import restoring

    restoring.put(
        self._connection, self._backup.owner, [(entry.key, entry.document) for entry in coming], self._columns
    )


# -- conflicts -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def conflicting(library):
    """A backup of all, of which two were changed since, and two more are gone."""
    backup = await library.backups.create(ALL)
    await library.conversations.delete(Selection(ids=("c00010", "c00011")), backup=False)
    await _sql(library, "UPDATE turns SET content = 'newer' WHERE conversation_key IN (2, 3)")
    return backup


async def test_a_conflict_restores_nothing(library, conflicting):
    """By default; the message names what is in the way, and what may be done."""
    before = await _all_rows(library)

    with pytest.raises(RestoreConflict, match="'c00001' is there with other content, and 1 more"):
        await library.backups.restore(conflicting.id)

    assert await _all_rows(library) == before


async def test_conflicts_may_be_skipped(library, conflicting):
    """The others come back."""
    done = await library.backups.restore(conflicting.id, on_conflict="skip")

    assert (done.restored, done.identical, done.skipped) == (2, 21, 2)
    assert await _sql(library, "SELECT count(*) FROM turns WHERE content = 'newer'") == [(4,)]


async def test_conflicts_may_be_replaced_after_a_backup_of_them(library, conflicting):
    """And what was replaced can be brought back in turn."""
    newer = await digests(library)

    done = await library.backups.restore(conflicting.id, on_conflict="replace")
    saved = await library.backups.show(done.replaced_backup_id)
    older = await digests(library)
    await library.backups.restore(saved.id, on_conflict="replace")

    assert (done.restored, done.replaced) == (4, 2)
    assert (saved.state, saved.conversations, saved.reason) == ("verified", 2, "before_restore")
    assert {name for name in newer if newer[name] != older[name]} == {"c00001", "c00002"}
    assert {name: digest for name, digest in (await digests(library)).items() if name in newer} == newer


# -- items of jobs ---------------------------------------------------------------------------------------------------


async def test_a_deleted_conversation_is_not_generated_again(library):
    """Its item stays completed, and running the job again is free."""
    deleted = await library.conversations.delete(Selection(job_id="job"))
    items = [{"id": f"i{number}", "topic": f"job {number}"} for number in range(5)]

    again = await library.batches.run("job", items, "scripted")

    assert (deleted.deleted, again.did_nothing, again.completed) == (5, True, 5)
    assert await library.conversations.count(Selection(job_id="job")) == 0


@pytest.fixture
async def half(library):
    """A job with one failed item, so that it keeps what its items were given."""

    def picky(item):
        if item.topic == "bad":
            raise ValueError("no")
        from holdfast import Conversation, Turn

        return Conversation([Turn("user", item.topic), Turn("assistant", "made")])

    items = [{"id": "a", "topic": "A"}, {"id": "b", "topic": "bad"}]
    await library.batches.run("half", items, picky)

    async def again():
        return await library.batches.resume("half", picky)

    return again


async def test_a_deleted_result_may_be_generated_again(library, half):
    """`retry` takes a completed item whose conversation was deleted; restoring the old one is a conflict then."""
    deleted = await library.conversations.delete(Selection(job_id="half"))

    retried = await library.batches.retry("half", ["a"])
    waiting = await library.batches.checkpoint("half")
    await half()
    with pytest.raises(RestoreConflict, match=r"the item of conversation .* has conversation .* now"):
        await library.backups.restore(deleted.backup_id)
    kept = await library.conversations.count(Selection(job_id="half"))
    replaced = await library.backups.restore(deleted.backup_id, on_conflict="replace")

    assert retried == 1
    assert (waiting.counts.pending, waiting.counts.completed, waiting.counts.failed) == (1, 0, 1)
    assert kept == 1
    assert (replaced.restored, replaced.replaced, replaced.relinked) == (1, 1, 1)
    assert await library.conversations.count(Selection(job_id="half")) == 1


async def test_a_restored_conversation_completes_its_item_again(library, half):
    """An item that was put back meanwhile is done, and the counts and the state of its job say so."""
    deleted = await library.conversations.delete(Selection(job_id="half"))
    await library.batches.retry("half", ["a"])

    await library.backups.restore(deleted.backup_id)

    job = await library.batches.checkpoint("half")
    assert (job.counts.pending, job.counts.completed, job.counts.failed) == (0, 1, 1)
    assert job.state == "completed_with_failures"


async def test_an_item_whose_inputs_were_cleaned_cannot_be_generated_again(library):
    """A job completed without failures has cleaned them; the message says what else there is."""
    await library.conversations.delete(Selection(job_id="job"))

    with pytest.raises(IllegalMove, match=r"what it was given was cleaned with its job\. Restore its conversation"):
        await library.batches.retry("job", ["i1"])


# -- retention -------------------------------------------------------------------------------------------------------


async def test_an_expired_backup_cannot_be_restored(library):
    """Its record says so, and its file is gone."""
    backup = await library.backups.create(ALL)
    await _sql(library, "UPDATE backups SET expires_at = created_at")
    cleaned = await library.backups.cleanup()

    with pytest.raises(BackupUnusable, match="has expired, its file is gone"):
        await library.backups.restore(backup.id)
    assert [decision.action for decision in cleaned.decisions] == ["remove"]
    assert not (await library.backups.path_of(backup)).exists()
    assert await _sql(library, "SELECT count(*) FROM backup_items") == [(0,)]


async def test_the_old_columns_are_shown(library):
    """The view has the original's names."""
    backup = await library.backups.create(["c00002", "c00001"], reason="why")

    ((shown,),) = await _sql(library, "SELECT conversation_ids FROM backup_exports")
    ((reason, path, owner),) = await _sql(library, "SELECT backup_reason, file_path, user_id FROM backup_exports")

    assert json.loads(shown) == ["c00001", "c00002"]
    assert (reason, path, owner) == ("why", f"/backups/{backup.id}.json", "local")
