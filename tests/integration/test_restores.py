"""Restores, and the conditions under which they are refused."""

import asyncio
import json

import pytest

from backstay import Backstay, Selection
from backstay.backup.item_links import ItemLinks
from backstay.backup.restore_plan import ConflictKind
from backstay.errors import (
    BackupUnusable,
    ColumnsDiffer,
    ConversationNotFound,
    EmptySelection,
    RestoreConflict,
    RestoreDiffers,
    StoreCorrupt,
)
from support.faults.batch_invariants import violations
from support.stores.kinds import DATABASES
from support.stores.library import ALL, digests, filled
from support.stores.sql import ask, is_server

pytestmark = pytest.mark.promise("K1", "K2")


@pytest.fixture
async def library(path):
    """Open a library of 20 conversations and 5 of a job."""
    await filled(path, 20)
    async with Backstay.open(path) as backstay:
        yield backstay
    assert violations(path, at_rest=False, renewed=frozenset({"job", "half"})) == []


async def _sql(backstay, statement, *values):
    return await asyncio.to_thread(ask, backstay.settings.database_url, statement, *values)


async def _all_rows(backstay):
    # A server compares rows itself: read into Python, NaN would differ from itself.
    # The physical location of a row, which a view over an adopted table exposes, is left out.
    row, turn = (
        [f"(to_jsonb({name}) - 'ctid' - 'tableoid')::text" for name in ("conversations", "turns")]
        if backstay.settings.postgres_url
        else ("*", "*")
    )
    conversations = await _sql(backstay, f"SELECT {row} FROM conversations ORDER BY key")
    return conversations, await _sql(backstay, f"SELECT {turn} FROM turns ORDER BY conversation_key, sequence")


async def test_everything_is_restored_unchanged(library):
    """Every column of every row is restored: ids, order, times, owners and the text of metadata."""
    before = await _all_rows(library)
    deleted = await library.conversations.delete(ALL)
    gone = await _all_rows(library)

    restored = await library.backups.restore(deleted.backup_id)

    assert gone == ([], [])
    assert await _all_rows(library) == before
    assert (restored.restored, restored.relinked) == (25, 5)


async def test_restore_is_idempotent(library):
    """A second restore of the same backup changes nothing."""
    deleted = await library.conversations.delete(ALL)
    await library.backups.restore(deleted.backup_id)
    before = await _all_rows(library)

    again = await library.backups.restore(deleted.backup_id)

    assert (again.restored, again.identical) == (0, 25)
    assert await _all_rows(library) == before


async def test_a_part_is_restored(library):
    """Conversations selected by ids, text or job are restored to their places in the order."""
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
    """A selected id that the backup lacks is named, and nothing is restored."""
    deleted = await library.conversations.delete(ALL)

    with pytest.raises(ConversationNotFound, match="holds no conversation 'none'; nothing was restored"):
        await library.backups.restore(deleted.backup_id, Selection(ids=("c00001", "none")))
    with pytest.raises(EmptySelection, match="No conversation of backup-"):
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
_COLUMNS_OF_A_SERVER = """
    CREATE TYPE mood AS ENUM ('fine', 'so "so"');
    CREATE DOMAIN cents AS integer CHECK (value >= 0);
    ALTER TABLE conversations ADD COLUMN score double precision, ADD COLUMN "my ""notes" text DEFAULT 'none',
        ADD COLUMN embedding bytea, ADD COLUMN big bigint, ADD COLUMN price numeric(40, 20), ADD COLUMN at timestamptz,
        ADD COLUMN took interval, ADD COLUMN tags text[], ADD COLUMN ticket uuid, ADD COLUMN is_good boolean,
        ADD COLUMN mood mood, ADD COLUMN paid cents, ADD COLUMN box jsonb, ADD COLUMN padded char(5),
        ADD COLUMN "50%" text, ADD COLUMN doubled bigint GENERATED ALWAYS AS (key * 2) STORED,
        ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
    ALTER TABLE turns ADD COLUMN audio bytea, ADD COLUMN span int4range;
    UPDATE conversations SET score = key / 3.0, big = 9223372036854775807, embedding = '\\x00ff80',
        tags = ARRAY['a,"b', NULL],
        price = key + 0.00000000000000000001, at = '2025-01-01 01:02:03.000001+09', took = '1 mon -2 days 00:00:00.5',
        ticket = '00000000-0000-4000-8000-000000000001', is_good = key % 2 = 0, mood = 'so "so"', paid = key,
        box = '{"b": 1.10, "a": [null]}', padded = 'ab', "50%" = '100 %s %%';
    UPDATE conversations SET score = 'NaN', "my ""notes" = '["blob", "00"]', price = NULL WHERE key = 2;
    UPDATE turns SET audio = decode(repeat('00', sequence), 'hex'), span = int4range(1, sequence + 1);
    UPDATE conversations SET metadata = '{"b": 1,  "a":1.0e0, "a": 123456789012345678901234567890}' WHERE key = 4;
    UPDATE conversations SET metadata = '{}' WHERE key = 5;
    UPDATE conversations SET metadata = 'no JSON' WHERE key = 6;
"""


@pytest.mark.own_tables("it adds columns to built-in tables")
async def test_user_columns_are_restored(library, path):
    """Values of user columns are restored, even numbers, bytes and text that JSON cannot represent."""
    await _sql(library, _COLUMNS_OF_A_SERVER if is_server(path) else _COLUMNS)
    before = await _all_rows(library)
    deleted = await library.conversations.delete(ALL)

    await library.backups.verify(deleted.backup_id)
    await library.backups.restore(deleted.backup_id)

    assert await _all_rows(library) == before


@pytest.mark.parametrize("path", DATABASES[:1], indirect=True, ids=["sqlite"])
async def test_text_that_is_not_utf_8_is_refused(library):
    """A text column with bytes that are not UTF-8 (SQLite only) prevents the backup and thus the delete."""
    await _sql(library, "UPDATE conversations SET topic = CAST(x'ff' AS TEXT) WHERE key = 3")

    with pytest.raises(StoreCorrupt, match="holds text that is not UTF-8"):
        await library.conversations.delete(Selection(ids=("c00002",)))

    assert await _sql(library, "SELECT count(*) FROM conversations") == [(25,)]


@pytest.mark.own_tables("it adds columns to built-in tables")
async def test_a_change_in_a_user_column_is_noticed(library):
    """A changed user column changes the row version and makes a conversation conflicting."""
    await _sql(library, "ALTER TABLE turns ADD COLUMN score REAL")
    backup = await library.backups.create(ALL)
    await _sql(library, "UPDATE turns SET score = 1 WHERE conversation_key = 3 AND sequence = 1")

    plan = await library.backups.plan_restore(backup.id)

    assert (plan.new, plan.identical) == (0, 24)
    assert [(conflict.id, conflict.kind) for conflict in plan.listed_conflicts] == [("c00002", ConflictKind.CONTENT)]


@pytest.mark.own_tables("it adds columns to built-in tables")
async def test_columns_that_the_backup_lacks_take_their_defaults(library):
    """A column added after the backup gets its default value in a restore."""
    deleted = await library.conversations.delete(ALL)
    await _sql(library, "ALTER TABLE conversations ADD COLUMN rating TEXT NOT NULL DEFAULT 'fresh'")

    await library.backups.restore(deleted.backup_id)

    assert await _sql(library, "SELECT DISTINCT rating FROM conversations") == [("fresh",)]


@pytest.mark.own_tables("it adds columns to built-in tables")
async def test_columns_that_the_table_lacks_are_refused(library):
    """Columns of the backup that the table lacks are named, and nothing is changed."""
    await _sql(library, "ALTER TABLE turns ADD COLUMN score REAL")
    deleted = await library.conversations.delete(ALL)
    await _sql(library, "ALTER TABLE turns DROP COLUMN score")

    with pytest.raises(ColumnsDiffer, match="a column 'score' of turns that this database lacks"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


def _trigger(path, condition):
    """Create a user's trigger that changes restored rows."""
    if is_server(path):
        return f"""
            CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE backstay.conversations SET persona = 'changed' WHERE key = new.key; RETURN new; END $$;
            CREATE TRIGGER t AFTER INSERT ON conversations FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION meddle()"""
    return (
        f"CREATE TRIGGER t AFTER INSERT ON conversations WHEN {condition} "
        "BEGIN UPDATE conversations SET persona = 'changed' WHERE key = new.key; END"
    )


@pytest.mark.own_tables("it creates a trigger on a built-in table")
async def test_a_trigger_that_changes_restored_rows_is_detected(library, path):
    """A restore whose rows a trigger changes is rolled back, and the column is named."""
    await _check_that_a_changed_row_is_refused(library, path)

    assert await library.conversations.count(ALL) == 0


async def _check_that_a_changed_row_is_refused(library, path):
    deleted = await library.conversations.delete(ALL)
    await _sql(library, _trigger(path, "new.id = 'c00017'"))
    with pytest.raises(RestoreDiffers, match="'c00017' would differ from its backup in its persona"):
        await library.backups.restore(deleted.backup_id)


@pytest.mark.own_tables("it creates a trigger on a built-in table")
async def test_without_the_comparison_before_the_commit(library, path, monkeypatch):
    """Control: without the comparison the trigger's change would stay unnoticed."""
    from backstay.storage.sql import restores

    monkeypatch.setattr(restores.RestoreSession, "_compare", lambda *_: None)

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await _check_that_a_changed_row_is_refused(library, path)

    assert [str(stored.id) async for stored in library.conversations.export(ALL) if stored.persona == "changed"] == [
        "c00017"
    ]


# -- conflicts -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def conflicting(library):
    """Make a backup of all, then change two conversations and delete two."""
    backup = await library.backups.create(ALL)
    await library.conversations.delete(Selection(ids=("c00010", "c00011")), backup=False)
    await _sql(library, "UPDATE turns SET content = 'newer' WHERE conversation_key IN (2, 3)")
    return backup


async def test_a_conflict_restores_nothing(library, conflicting):
    """By default a conflict restores nothing and names the conversations and the options."""
    before = await _all_rows(library)

    with pytest.raises(RestoreConflict, match="'c00001' exists with other content, and 1 more"):
        await library.backups.restore(conflicting.id)

    assert await _all_rows(library) == before


async def test_conflicts_may_be_skipped(library, conflicting):
    """With `skip` the conversations without conflicts are restored."""
    result = await library.backups.restore(conflicting.id, on_conflict="skip")

    assert (result.restored, result.identical, result.skipped) == (2, 21, 2)
    assert await _sql(library, "SELECT count(*) FROM turns WHERE content = 'newer'") == [(4,)]


async def test_conflicts_may_be_replaced_after_a_backup_of_them(library, conflicting):
    """With `replace` the conflicting conversations are backed up first, and that backup can be restored."""
    newer = await digests(library)

    result = await library.backups.restore(conflicting.id, on_conflict="replace")
    saved = await library.backups.show(result.replaced_backup_id)
    older = await digests(library)
    await library.backups.restore(saved.id, on_conflict="replace")

    assert (result.restored, result.replaced) == (4, 2)
    assert (saved.state, saved.conversations, saved.reason) == ("verified", 2, "before_restore")
    assert {name for name in newer if newer[name] != older[name]} == {"c00001", "c00002"}
    assert {name: digest for name, digest in (await digests(library)).items() if name in newer} == newer


# -- items of jobs ---------------------------------------------------------------------------------------------------


async def test_a_deleted_conversation_is_not_generated_again(library):
    """The item of a deleted conversation stays completed, and running its job again makes no call."""
    deleted = await library.conversations.delete(Selection(job_id="job"))
    items = [{"id": f"i{number}", "topic": f"job {number}"} for number in range(5)]

    again = await library.batches.run("job", items, "scripted")

    assert (deleted.deleted, again.did_nothing, again.completed) == (5, True, 5)
    assert await library.conversations.count(Selection(job_id="job")) == 0


@pytest.fixture
async def half(library):
    """Run a job with one failed item, so that it keeps its inputs."""

    def picky(item):
        if item.topic == "bad":
            raise ValueError("no")
        from backstay import Conversation, Turn

        return Conversation([Turn("user", item.topic), Turn("assistant", "made")])

    items = [{"id": "a", "topic": "A"}, {"id": "b", "topic": "bad"}]
    await library.batches.run("half", items, picky)

    async def again():
        return await library.batches.resume("half", picky)

    again.processor = picky
    return again


async def test_a_deleted_result_may_be_generated_again(library, half):
    """`retry` accepts a completed item whose conversation was deleted, and restoring the old one then conflicts."""
    deleted = await library.conversations.delete(Selection(job_id="half"))

    retried = await library.batches.retry("half", ["a"])
    waiting = await library.batches.checkpoint("half")
    await half()
    planned = await library.backups.plan_restore(deleted.backup_id)
    with pytest.raises(RestoreConflict, match=r"the item of conversation .* has conversation .* now"):
        await library.backups.restore(deleted.backup_id)
    count = await library.conversations.count(Selection(job_id="half"))
    replaced = await library.backups.restore(deleted.backup_id, on_conflict="replace")

    assert retried == 1
    assert (waiting.counts.pending, waiting.counts.completed, waiting.counts.failed) == (1, 0, 1)
    assert (planned.new, planned.unlinked) == (0, 0)
    assert [str(conflict.kind) for conflict in planned.listed_conflicts] == ["item"]
    assert count == 1
    assert (replaced.restored, replaced.replaced, replaced.relinked, replaced.unlinked) == (1, 1, 1, 0)
    assert await library.conversations.count(Selection(job_id="half")) == 1


@pytest.fixture
async def deleted_twice(library, half):
    """Delete a result, make it again and delete that one too; return both ids, each with its backup."""
    results = []
    for _ in range(2):
        if results:
            await library.batches.retry("half", ["a"])
            await half()
        (conversation,) = await library.conversations.list(Selection(job_id="half"))
        deleted = await library.conversations.delete(Selection(job_id="half"))
        results.append((conversation.id, deleted.backup_id))
    return results


async def test_the_first_to_be_restored_is_the_result(library, deleted_twice):
    """Of two deleted results of one item, the first to be restored is its result, and the other then conflicts."""
    (older, older_backup), (newer, newer_backup) = deleted_twice

    restored = await library.backups.restore(older_backup)
    planned = await library.backups.plan_restore(newer_backup)
    with pytest.raises(RestoreConflict, match=f"the item of conversation '{newer}' has conversation '{older}' now"):
        await library.backups.restore(newer_backup)
    skipped = await library.backups.restore(newer_backup, on_conflict="skip")
    results = await _results(library, "half")
    replaced = await library.backups.restore(newer_backup, on_conflict="replace")

    assert (restored.restored, restored.relinked, restored.unlinked) == (1, 1, 0)
    assert [(each.id, str(each.kind), each.other_id) for each in planned.listed_conflicts] == [(newer, "item", older)]
    assert (skipped.restored, skipped.skipped) == (0, 1)
    assert ("a", "completed", older, None) in results
    assert (replaced.restored, replaced.replaced, replaced.relinked) == (1, 1, 1)
    assert ("a", "completed", newer, None) in await _results(library, "half")
    assert violations(library.settings.database_url, at_rest=False) == []


async def test_without_the_link_an_item_would_have_two(library, deleted_twice, monkeypatch):
    """The control: if a deleted result kept its place, both conversations would be restored, one without its item."""
    (_, older_backup), (_, newer_backup) = deleted_twice
    monkeypatch.setattr(ItemLinks, "_lacks_result", lambda _, item, __: not item.is_completed)

    older = await library.backups.restore(older_backup)
    await library.backups.restore(newer_backup)

    assert (older.restored, older.unlinked) == (1, 1)
    broken = violations(library.settings.database_url, at_rest=False)
    assert "B2: item a of half has 2 conversations" in broken


@pytest.fixture
async def renewed(library, monkeypatch):
    """Discard a job and run it again under its name, so that two conversations name each item."""
    monkeypatch.setattr("backstay.backup.reader.prefetch", _one_by_one)
    await library.batches.discard("job")
    await library.batches.run(
        "job", [{"id": f"i{number}", "topic": f"job {number}"} for number in range(5)], "scripted"
    )
    return await _all_rows(library), await _results(library, "job")


def _one_by_one(chunks):
    """Return the same conversations in chunks of one, since their results must not depend on chunks."""
    return ([stored] for chunk in chunks for stored in chunk)


async def _results(backstay, job):
    return await _sql(
        backstay,
        """SELECT items.id, items.state, items.conversation_id, items.deleted_at
             FROM items JOIN jobs ON jobs.key = items.job_key WHERE jobs.id = ? ORDER BY items.id""",
        job,
    )


@pytest.mark.parametrize("of_which", ["all", "the discarded job's", "the new job's", "one of the discarded job's"])
async def test_a_name_that_is_used_again_is_no_conflict(library, renewed, of_which):
    """Restored conversations of a discarded job do not replace the results of the new job of its name."""
    before, results = renewed
    older = tuple(
        name for (name,) in await _sql(library, "SELECT id FROM conversations WHERE job_id = 'job' ORDER BY key")
    )
    selection, linked, unlinked = {
        "all": (ALL, 5, 5),
        "the discarded job's": (Selection(ids=older[:5]), 0, 5),
        "the new job's": (Selection(ids=older[5:]), 5, 0),
        "one of the discarded job's": (Selection(ids=older[3:4]), 0, 1),
    }[of_which]
    deleted = await library.conversations.delete(selection)

    planned = await library.backups.plan_restore(deleted.backup_id)
    restored = await library.backups.restore(deleted.backup_id)

    assert (planned.new, planned.unlinked, planned.listed_conflicts) == (deleted.deleted, unlinked, [])
    assert (restored.restored, restored.relinked, restored.unlinked) == (deleted.deleted, linked, unlinked)
    assert await _all_rows(library) == before
    assert await _results(library, "job") == results


@pytest.mark.parametrize("chunks", [_one_by_one, iter], ids=["in chunks", "at once"])
async def test_an_item_without_a_result_takes_the_latest(library, half, monkeypatch, chunks):
    """An item without a result gets the latest of two restored conversations that name it."""
    monkeypatch.setattr("backstay.backup.reader.prefetch", chunks)
    await library.batches.discard("half")
    await library.batches.run("half", [{"id": "a", "topic": "A"}, {"id": "b", "topic": "bad"}], half.processor)
    before, results = await _all_rows(library), await _results(library, "half")
    deleted = await library.conversations.delete(Selection(job_id="half"))
    await library.batches.retry("half", ["a"])

    planned = await library.backups.plan_restore(deleted.backup_id)
    restored = await library.backups.restore(deleted.backup_id)

    job = await library.batches.checkpoint("half")
    assert (planned.new, planned.unlinked) == (2, 1)
    assert (restored.restored, restored.relinked, restored.unlinked) == (2, 1, 1)
    assert (await _all_rows(library), await _results(library, "half")) == (before, results)
    assert (job.counts.pending, job.counts.completed, job.counts.failed) == (0, 1, 1)


async def test_a_restored_conversation_completes_its_item_again(library, half):
    """A restored conversation completes its retried item again, with the job's counts and state."""
    deleted = await library.conversations.delete(Selection(job_id="half"))
    await library.batches.retry("half", ["a"])

    await library.backups.restore(deleted.backup_id)

    job = await library.batches.checkpoint("half")
    assert (job.counts.pending, job.counts.completed, job.counts.failed) == (0, 1, 1)
    assert job.state == "completed_with_failures"


async def test_deleted_results_of_a_cleaned_job_are_made_again(library):
    """They are pending until they are made or restored; what was made again meanwhile conflicts with the backup."""
    deleted = await library.conversations.delete(Selection(job_id="job"))
    retried = await library.batches.retry_deleted("job")
    await library.batches.resume("job", limit=2)

    planned = await library.backups.plan_restore(deleted.backup_id)
    with pytest.raises(RestoreConflict, match=r"the item of conversation .* has conversation .* now"):
        await library.backups.restore(deleted.backup_id)
    restored = await library.backups.restore(deleted.backup_id, on_conflict="skip")

    job = await library.batches.checkpoint("job")
    assert (retried.retried, retried.without_input) == (deleted.deleted, 0)
    assert {str(conflict.kind) for conflict in planned.listed_conflicts} == {"item"}
    assert (planned.conflicts, planned.new) == (2, deleted.deleted - 2)
    assert (restored.restored, restored.skipped, restored.relinked) == (deleted.deleted - 2, 2, deleted.deleted - 2)
    assert (str(job.state), job.counts.completed, job.counts.planned) == ("completed", deleted.deleted, deleted.deleted)
    assert await library.conversations.count(Selection(job_id="job")) == deleted.deleted


# -- retention -------------------------------------------------------------------------------------------------------


async def test_an_expired_backup_cannot_be_restored(library):
    """An expired backup, whose file is gone, is refused."""
    backup = await library.backups.create(ALL)
    await _sql(library, "UPDATE backups SET expires_at = created_at")
    cleaned = await library.backups.cleanup(at_once=True)

    with pytest.raises(BackupUnusable, match="has been removed"):
        await library.backups.restore(backup.id)
    assert [decision.action for decision in cleaned.decisions] == ["remove"]
    assert not (await library.backups.path_for(backup)).exists()
    assert await _sql(library, "SELECT count(*) FROM backup_items") == [(0,)]


async def test_the_old_columns_are_shown(library):
    """The view of backups has the original's column names."""
    backup = await library.backups.create(["c00002", "c00001"], reason="why")

    ((shown_ids,),) = await _sql(library, "SELECT conversation_ids FROM backup_exports")
    ((reason, shown_path, owner),) = await _sql(library, "SELECT backup_reason, file_path, user_id FROM backup_exports")

    assert (json.loads(shown_ids) if isinstance(shown_ids, str) else shown_ids) == ["c00001", "c00002"]
    assert (reason, shown_path, owner) == ("why", f"/backups/{backup.id}.json", "local")
