"""Imports from the original library: unfinished jobs continue, live backups are restorable, nothing is done twice."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.pq import TransactionStatus

from backstay import Backstay, Conversation, Turn
from backstay.backup.backup import BackupState
from backstay.batch.job import JobState
from backstay.errors import (
    BackupFailed,
    BackupNotFound,
    InputUnreadable,
    ItemsDiffer,
    JobDiffers,
    JobNotFound,
    SettingsError,
    StoreDenied,
)
from backstay.legacy.backup_source import LegacyFileSource
from backstay.legacy.service import _recorded_ids, _settled_items
from backstay.library.selection import Selection
from backstay.remedy import Remedy
from backstay.storage.postgres.schema_migration import migrations
from support.data.conversations import with_tools
from support.faults.batch_invariants import violations
from support.faults.scene import Scene
from support.harness.sampling import FULL
from support.stores.original_app import BACKUP, MADE_AT, TABLES, conversation, original

pytestmark = pytest.mark.promise("B5", "K1", "K2")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Create one database for all tests: emptying it is several times faster than creating another."""
    with original(tmp_path_factory.mktemp("nothing")) as made:
        yield made


@pytest.fixture
def app(database, tmp_path):
    """Create an app of the original library with empty tables."""
    database.empty()
    return replace(database, folder=tmp_path)


class Calls:
    """Processor that counts its calls."""

    def __init__(self):
        self.by_item = Counter()

    async def __call__(self, item):
        self.by_item[item.id] += 1
        return Conversation([Turn("user", item.topic), Turn("assistant", "Yes.")])


def items(count):
    return [{"id": str(number), "topic": f"topic {number}"} for number in range(1, count + 1)]


async def taken(app, **options):
    """Import, and return the report."""
    return (await app.backstay().migrate_from_original(**options)).report


def left(report):
    return {item.id: item.reason for item in report.skipped}


# -- jobs --------------------------------------------------------------------------------------------------------------


async def test_a_run_generates_what_is_left_and_nothing_else(app):
    """A run of an imported job calls each unfinished item once, and no finished or failed one."""
    app.checkpoint("batch-1", ["1", {"id": 2}, 3], ["4", {"itemId": "5", "error": "rate limit"}])
    before, calls = app.everything(), Calls()
    await taken(app)

    async with app.backstay() as backstay:
        (waiting,) = await backstay.waiting_imports.list()
        unfinished = await backstay.batches.incomplete()
        result = await backstay.batches.run("batch-1", items(20), calls)
        failed = {failure.item_id: failure.error_message async for failure in backstay.batches.failed("batch-1")}
        again = await backstay.batches.run("batch-1", items(20), calls)
        first = dict(calls.by_item)
        retried = await backstay.batches.resume("batch-1", calls, retry_failed=True)

    assert (waiting.job_id, waiting.completed, waiting.failed, unfinished) == ("batch-1", 3, 2, [])
    assert failed == {"4": "the original library recorded no reason", "5": "rate limit"}
    assert (result.state, result.completed, result.failed) == (JobState.COMPLETED_WITH_FAILURES, 18, 2)
    assert again.did_nothing
    assert first == {str(number): 1 for number in range(6, 21)}
    assert (retried.state, retried.completed) == (JobState.COMPLETED, 20)
    assert calls.by_item == {str(number): 1 for number in range(4, 21)}
    assert app.everything() == before
    assert violations(app.url, planned=20) == []


async def test_without_the_import_all_would_be_generated(app):
    """Without the import, a run would call every item."""
    app.checkpoint("batch-1", ["1", "2", "3"], ["4", "5"])
    calls = Calls()

    async with app.backstay() as backstay:
        await backstay.batches.run("batch-1", items(20), calls)

    assert calls.by_item == {str(number): 1 for number in range(1, 21)}


async def test_many_runs_at_once_share_what_is_left(app):
    """Many runs of an imported job at once call each unfinished item once."""
    app.checkpoint("batch-1", map(str, range(1, 31)))
    await taken(app)
    calls = Calls()

    async def run():
        async with app.backstay() as backstay:
            return await backstay.batches.run("batch-1", items(60), calls, concurrency=2)

    results = await asyncio.gather(*[run() for _ in range(4)])

    assert {result.state for result in results} <= {JobState.COMPLETED, JobState.RUNNING}
    assert calls.by_item == {str(number): 1 for number in range(31, 61)}
    assert violations(app.url, planned=60) == []


# Bringing the items in one transaction, and the first results.
@pytest.mark.sweep
@pytest.mark.parametrize("die", [f"{w}:{n}" for n in range(1, 9) for w in ("before", "after")] if FULL else ["after:3"])
def test_a_run_that_is_killed_is_continued(app, die):
    """A run that is killed before or after it has added the items calls no finished item again."""
    app.checkpoint("job", [f"i{number}" for number in range(30)], ["i30"])
    asyncio.run(taken(app))
    scene = Scene(app.folder, database=app.url)
    scene.items, scene.concurrency = 60, 4

    try:
        assert scene.start(die=die).wait(timeout=60) == -9
        assert scene.start().wait(timeout=60) == 0
    finally:
        scene.end()

    called = Counter(item for item, _, _ in scene.witness().calls)
    assert not called.keys() & {f"i{number}" for number in range(31)}
    assert sum(called.values()) <= 29 + 4
    assert violations(app.url, planned=60, may_fail=frozenset(["i30"])) == []


async def test_ids_that_are_others_are_refused_before_any_call(app):
    """A run whose items lack imported ids is refused before any call, unless new items are accepted."""
    app.checkpoint("batch-1", ["1", "2", "gone"])
    await taken(app)
    calls = Calls()

    async with app.backstay() as backstay:
        with pytest.raises(ItemsDiffer, match=r"3 missing \(missing: 1; missing: 2\)"):
            await backstay.batches.run("batch-1", [{"topic": "no id"}], calls)
        with pytest.raises(ItemsDiffer, match=r"1 missing \(missing: gone\)"):
            await backstay.batches.run("batch-1", items(3), calls)
        assert not calls.by_item
        result = await backstay.batches.run("batch-1", items(3), calls, accept_new_items=True)
        with pytest.raises(ItemsDiffer, match="1 new"):
            await backstay.batches.run(
                "batch-1", [*items(3), {"id": "4", "topic": "more"}], calls, accept_new_items=False
            )

    assert (result.state, result.completed, calls.by_item) == (JobState.COMPLETED, 3, {"3": 1})


async def test_only_a_run_with_all_items_continues(app):
    """An imported job continues only by a run with all its items, and then is a job like any other."""
    app.checkpoint("batch-1", ["1"], ["2"])
    await taken(app)

    async with app.backstay() as backstay:
        for going_on in (backstay.batches.resume, backstay.batches.prepare_resume, backstay.batches.retry):
            with pytest.raises(JobNotFound) as caught:
                await going_on("batch-1")
            assert caught.value.remedy is Remedy.RUN_IMPORTED_JOB
        with pytest.raises(JobNotFound):
            await backstay.batches.resume("batch-1", Calls(), accept_new_items=items(3))
        await backstay.batches.create("batch-1", items(3), "scripted")
        with pytest.raises(JobDiffers):
            await backstay.batches.run("batch-1", items(3), Calls())
        result = await backstay.batches.resume("batch-1")

    assert (result.completed, result.failed) == (2, 1)


async def test_a_discarded_one_can_be_imported_again(app):
    """An imported job that waits cannot be cancelled; once discarded, it can be imported again."""
    app.checkpoint("batch-1", ["1"])
    await taken(app)

    async with app.backstay() as backstay:
        with pytest.raises(JobNotFound, match="was imported and waits"):
            await backstay.batches.cancel("batch-1")
        assert (await taken(app)).job_totals.already_imported == 1
        await backstay.batches.discard("batch-1")
        assert await backstay.waiting_imports.list() == []

    assert [job.id for job in (await taken(app)).jobs] == ["batch-1"]


async def test_what_says_that_it_is_finished_is_left(app):
    """A finished checkpoint is not imported; a large one that rounds to 100 percent is."""
    app.checkpoint("done", map(str, range(50)), progress=100)
    app.checkpoint("rounded", map(str, range(300)), progress=100)
    app.checkpoint("nothing-yet", progress=0)

    report = await taken(app)

    assert report.job_totals.ended == 1
    assert [(job.id, job.completed) for job in report.jobs] == [("nothing-yet", 0), ("rounded", 300)]


_OTHER_TYPES = """
CREATE SCHEMA other;
CREATE TABLE other.batch_checkpoints (job_id uuid, completed_items {kind}, progress_percentage text);
INSERT INTO other.batch_checkpoints VALUES
    ('00000000-0000-4000-8000-000000000001', {value}, 'half'),
    ('00000000-0000-4000-8000-000000000002', NULL, NULL);
"""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", """'["a", "b"]'"""),
        ("json", """'["a", {"item": {"id": "b"}}]'"""),
        ("jsonb", """'"[\\"a\\", \\"b\\"]"'"""),  # what JSON.stringify makes of it on its way into a jsonb column
        ("text[]", "'{a,b}'"),
        ("varchar(9)[]", "'{a,b,a}'"),
    ],
)
async def test_columns_may_be_of_other_types_or_missing(app, kind, value):
    """The import accepts other array types, missing failed items, a UUID job_id and no table of backups."""
    app.sql(_OTHER_TYPES.format(kind=kind, value=value))
    report = await taken(app, source="other")

    assert [(job.id[-1], job.completed, job.failed) for job in report.jobs] == [("1", 2, 0), ("2", 0, 0)]
    assert not report.skipped


async def test_rows_of_one_job_are_taken_together(app):
    """An item that any row of a job lists as completed is imported as completed."""
    app.checkpoint("twice", ["1", "2"], ["3"])
    app.checkpoint("twice", ["3", "1"], ["4", "1"], 10)

    report = await taken(app)

    assert [(job.id, job.completed, job.failed) for job in report.jobs] == [("twice", 3, 1)]


_HOSTILE = [
    ("null-list", "null", None),
    ("object", '{"1": true}', "completed_items must be an array"),
    ("number", "17", "completed_items must be an array"),
    ("text", '"no json"', "completed_items is text, and not JSON"),
    ("text-of-text", '"\\"[]\\""', "completed_items must be an array"),
    ("null-item", '["1", null]', "completed_items[1] is null"),
    ("nested", '[["1"]]', "completed_items[0] is an array"),
    ("no-id", '[{"topic": "x"}]', "completed_items[0] is an object without an id"),
    ("id-of-object", '[{"id": {"$oid": "x"}}]', "completed_items[0] is an object"),
    ("fraction", "[1.5]", "completed_items[0] is a number that is not whole"),
    ("huge-number", "[1e600]", "completed_items[0] is longer than 512"),
    ("long", json.dumps(["x" * 1_000_000]), "completed_items[0] is longer than 512"),
    ("controls", '["a\\u0007b"]', "completed_items[0] has a control character or a line break; remove it"),
    ("empty-id", '[""]', "completed_items[0] is empty"),
    ("", "[]", "the job_id is empty"),
    ("a\nb", "[]", "the job_id has a control character or a line break; remove it"),
    ("x" * 600, "[]", "the job_id is longer than 512"),
]


async def test_unusable_checkpoints_are_named_and_others_imported(app):
    """A checkpoint with an unusable value is not imported, and is named; others are imported."""
    for job_id, completed, _ in _HOSTILE:
        app.sql("INSERT INTO batch_checkpoints (job_id, completed_items) VALUES (%s, %s::jsonb)", job_id, completed)
    app.sql("INSERT INTO batch_checkpoints (job_id, failed_items) VALUES ('failed', '{}')")
    app.sql("INSERT INTO batch_checkpoints (job_id) VALUES (NULL)")
    app.checkpoint("fine", ["1"])

    report = await taken(app)

    assert sorted(job.id for job in report.jobs) == ["fine", "null-list"]
    reasons = left(report)
    for job_id, _, reason in _HOSTILE:
        assert reason is None or reason in reasons.pop(job_id), job_id
    assert reasons.pop("failed") == "failed_items must be an array, not object"
    assert reasons == {"(without a job_id)": "a checkpoint must name its job"}


async def test_a_large_checkpoint_is_imported(app):
    """A large checkpoint is imported in chunks, and repeated ids count once."""
    app.sql(
        "INSERT INTO batch_checkpoints (job_id, completed_items, failed_items) VALUES ('large',"
        " (SELECT jsonb_agg(n % 20000) FROM generate_series(1, 30000) AS n),"
        " (SELECT jsonb_agg(jsonb_build_object('id', n, 'error', repeat('e', 9000)))"
        "    FROM generate_series(19990, 20009) AS n))"
    )

    report = await taken(app)
    async with app.backstay() as backstay:
        (waiting,) = await backstay.waiting_imports.list()
        every = [{"id": str(number), "topic": "t"} for number in range(20_010)]
        result = await backstay.batches.run("large", every, "scripted")
        (*_, failure) = [item async for item in backstay.batches.failed("large")]

    assert (waiting.completed, waiting.failed) == (result.completed, result.failed) == (20_000, 10)
    assert [(job.completed, job.failed) for job in report.jobs] == [(20_000, 10)]
    assert len(failure.error_message) == 2_000
    assert violations(app.url, planned=20_010, may_fail=frozenset(map(str, range(20_000, 20_010)))) == []


# -- backups -----------------------------------------------------------------------------------------------------------


def _of_file(record):
    """Return the conversation that the original library's file must become."""
    own = {"id", "content", "persona", "created_at", "conversation_turns"}
    moment = datetime.fromisoformat(record["created_at"]).astimezone(UTC)
    return {
        "id": record["id"],
        "topic": None,
        "persona": record["persona"],
        "content": record["content"],
        "metadata": {name: value for name, value in record.items() if name not in own},
        "created_at": moment,
        "turns": [
            (turn["role"], turn["content"], turn["id"], {"token_count": turn["token_count"]})
            for turn in record["conversation_turns"]
        ],
    }


def _of_ours(restored):
    return {
        "id": restored.id,
        "topic": restored.topic,
        "persona": restored.persona,
        "content": restored.content,
        "metadata": dict(restored.metadata),
        "created_at": restored.created_at,
        "turns": [(turn.role, turn.content, turn.id, dict(turn.metadata or {})) for turn in restored.turns],
    }


async def test_what_is_restored_is_what_the_file_says(app):
    """An imported backup is verified and restores what its file contains, with the app's own columns; idempotent."""
    value = [conversation(number, turns=number % 5 + 1) for number in range(40)]
    app.backup(value)
    before = app.everything()
    report = await taken(app)

    async with app.backstay() as backstay:
        backup = await backstay.backups.verify(BACKUP)
        restored = await backstay.backups.restore(BACKUP)
        again = await backstay.backups.restore(BACKUP)
        result = {item["id"]: _of_ours(await backstay.conversations.show(item["id"])) for item in value}
        output = b"".join([block async for block in backstay.backups.download(BACKUP)])

    (expires_at,) = app.sql("SELECT expires_at FROM backup_exports")[0]
    assert (backup.state, backup.reason, backup.expires_at) == (BackupState.VERIFIED, "bulk_delete", expires_at)
    assert (backup.conversations, backup.is_pinned, report.skipped) == (40, False, [])
    assert (restored.restored, again.restored, again.identical) == (40, 0, 40)
    assert result == {item["id"]: _of_file(item) for item in value}
    assert json.loads(output)["createdAt"] == MADE_AT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert app.everything() == before
    assert violations(app.url) == []


@pytest.mark.parametrize("are_columns", [False, True], ids=["in metadata", "in columns"])
async def test_fields_of_turns_are_taken_from_metadata_and_columns(app, are_columns):
    """Fields of turns and tools that an app had in metadata, or in columns of its own, are restored equal."""
    whole = with_tools().to_dict()
    turns = whole.pop("conversation_turns")
    made = {"id": "conv-1", "created_at": MADE_AT.isoformat(), "topic": whole["topic"]}
    if are_columns:
        turns = [{**turn, **turn["metadata"], "metadata": {}} for turn in turns]
        made |= whole["metadata"]
    else:
        made["metadata"] = whole["metadata"]
    app.backup([{**made, "conversation_turns": turns}])
    report = await taken(app)

    async with app.backstay() as backstay:
        await backstay.backups.restore(BACKUP)
        restored = await backstay.conversations.show("conv-1")

    assert report.skipped == []
    assert (restored.turns, restored.tools, restored.metadata) == (
        with_tools().turns,
        with_tools().tools,
        with_tools().metadata,
    )


async def test_a_conversation_that_was_changed_since_is_in_conflict(app):
    """A restore of an imported backup reports a changed conversation as a conflict."""
    app.backup([conversation(1)])
    await taken(app)

    async with app.backstay() as backstay:
        await backstay.backups.restore(BACKUP)
        deleted = await backstay.conversations.delete(Selection(ids=("conv-1",)))
        assert (await backstay.backups.restore(BACKUP)).restored == 1
        assert (await backstay.backups.restore(deleted.backup_id)).identical == 1


async def test_a_large_file_is_imported_in_pieces(app):
    """A large file on one line is imported in pieces."""
    value = [conversation(number, text="ü" * 40_000) for number in range(150)]
    app.backup(value, indent=None)

    report = await taken(app)
    async with app.backstay() as backstay:
        backup = await backstay.backups.verify(BACKUP)
        await backstay.backups.restore(BACKUP)
        output = await backstay.conversations.show("conv-149")

    assert [item.conversations for item in report.backups] == [150]
    assert backup.content_bytes > 12_000_000
    assert _of_ours(output) == _of_file(value[149])


async def test_owners_see_their_own(app):
    """An imported backup belongs to the user of its record, otherwise to the owner of the settings."""
    ann = "00000000-0000-4000-8000-00000000000a"
    app.backup([conversation(1)], "backup-1-ann", user_id=ann)
    app.backup([conversation(1)], "backup-2-nobody")
    app.checkpoint("batch-1", ["1"])

    report = (await app.backstay(owner="team").migrate_from_original()).report

    assert [(item.id, item.owner) for item in report.backups] == [("backup-1-ann", ann), ("backup-2-nobody", "team")]
    assert [item.owner for item in report.jobs] == ["team"]
    async with app.backstay(owner="team") as backstay:
        for services, mine, others in (
            (backstay.for_owner(ann), "backup-1-ann", "backup-2-nobody"),
            (backstay.for_owner("team"), "backup-2-nobody", "backup-1-ann"),
        ):
            assert (await services.backups.restore(mine)).restored == 1
            with pytest.raises(BackupNotFound):
                await services.backups.show(others)


async def test_one_id_is_not_given_to_two_owners(app):
    """A backup id is imported for one owner only, since both files would have one name."""
    app.backup([conversation(1)])
    await taken(app)

    report = (await app.backstay(owner="other").migrate_from_original()).report

    assert left(report) == {BACKUP: "a backup of another owner has this id"}
    async with app.backstay() as backstay:
        await backstay.backups.verify(BACKUP)


async def test_what_never_expires_is_pinned(app):
    """A backup without expiry is imported as pinned; an expired one is only counted."""
    app.backup([conversation(1)], "backup-1-kept", lives=None, reason=None)
    app.backup([conversation(1)], "backup-2-old", lives=timedelta(seconds=-1))

    report = await taken(app)
    async with app.backstay() as backstay:
        (backup,) = await backstay.backups.list()

    assert (backup.id, backup.is_pinned, backup.reason) == ("backup-1-kept", True, "legacy_backup")
    assert backup.expires_at > datetime.now(UTC) + timedelta(days=6)
    assert (report.backup_totals.ended, report.skipped) == (1, [])


@pytest.mark.parametrize("reading", ["ids of a backup", "items of a checkpoint"])
async def test_a_reading_that_fails_ends_its_transaction(app, reading):
    """A reading that is given up leaves no transaction open, whose late end would break another reading."""
    app.backup([conversation(1)], "backup-1-x", said=["conv-1", None])
    app.checkpoint("j", ["1", None], [])

    with Backstay.open(app.url)._store.legacy.open("public") as tables:
        with pytest.raises(InputUnreadable) as given_up:
            _recorded_ids(tables, "backup-1-x") if reading.startswith("ids") else _settled_items(tables, "j")
        status = tables._connection.info.transaction_status

    assert status is TransactionStatus.IDLE
    assert given_up.traceback  # which keeps the frames of the reading alive


async def test_unusable_backups_are_named_and_others_imported(app):
    """A backup whose file is missing, damaged or another's is named and leaves nothing; others are imported."""
    expected = {}

    def broken(number, reason, spoil=None, *, conversations=None, **options):
        name = f"backup-{number}-x"
        path = app.backup([conversation(number)] if conversations is None else conversations, name, **options)
        expected[name] = reason
        if spoil is not None:
            spoil(path)

    def link(path):
        path.rename(path.with_suffix(".real"))
        path.symlink_to(path.with_suffix(".real"))

    def pipe(path):
        path.unlink()
        os.mkfifo(path)

    def folder(path):
        path.unlink()
        path.mkdir()

    broken(1, "its file was not found: looked for", lambda path: path.unlink())
    broken(2, "the file may be truncated", lambda path: path.write_bytes(path.read_bytes()[:-40]))
    broken(3, "has data after its end", lambda path: path.write_bytes(path.read_bytes() + b"{}"))
    broken(4, "not a backup as the original library writes it", lambda path: path.write_bytes(b"[]"))
    broken(5, "cannot be opened (it is a link)", link)
    broken(6, "is not a file", pipe)
    broken(7, "is not a file", folder)
    broken(8, "lacks conversations of its conversation_ids: conv-9", said=["conv-8", "conv-9"])
    broken(9, "holds conversations that are not among its conversation_ids: conv-9", said=[])
    broken(10, "a conversation that the file has twice", conversations=[conversation(1), conversation(1)])
    broken(11, "the conversation has no turns", conversations=[{**conversation(11), "conversation_turns": []}])
    broken(12, "contains a NUL character", conversations=[conversation(12, topic="a\0b")])
    broken(13, "conversation_ids[1] is null", said=["conv-13", None])
    broken(14, "its file holds no conversation", conversations=[])
    app.backup([conversation(1)], "weekly")
    expected["weekly"] = "its id does not have the form backup-1730720400123-abc123"
    app.backup([conversation(1)], "backup-15-x")
    app.sql("UPDATE backup_exports SET file_path = '/etc/passwd' WHERE backup_id = 'backup-15-x'")
    expected["backup-15-x"] = "its file_path does not end in backup-15-x.json"
    app.backup([conversation(1)], "backup-16-x")
    app.sql("UPDATE backup_exports SET conversation_ids = '\"conv-1\"' WHERE backup_id = 'backup-16-x'")
    expected["backup-16-x"] = "conversation_ids is text, and not JSON"
    app.backup([conversation(1)])

    report = await taken(app)

    reasons = left(report)
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name], name
        assert "\n" not in reasons[name]
    assert [item.id for item in report.backups] == [BACKUP]
    async with app.backstay() as backstay:
        assert [item.id for item in await backstay.backups.list(include_removed=True)] == [BACKUP]
    assert left(await taken(app, check=True)) == reasons


async def test_a_file_may_be_where_its_record_says(app, tmp_path):
    """A backup file outside the backup folder is found at its recorded path."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = app.backup([conversation(1)])
    path.rename(elsewhere / path.name)
    app.sql("UPDATE backup_exports SET file_path = %s", str(elsewhere / path.name))

    assert [item.id for item in (await taken(app)).backups] == [BACKUP]


async def test_a_file_that_changes_while_it_is_read_is_left(app, monkeypatch):
    """A file that changes while it is read is not imported, but the next import takes it."""
    path = app.backup([conversation(1)])
    examine = LegacyFileSource.examine

    def looking(self):
        held = examine(self)
        path.write_text(path.read_text().replace("Content of 1", "Content of 2"))
        return held

    monkeypatch.setattr(LegacyFileSource, "examine", looking)
    report = await taken(app)
    monkeypatch.undo()

    assert left(report) == {BACKUP: "its file was changed while it was read; try again"}
    assert [item.id for item in (await taken(app)).backups] == [BACKUP]
    async with app.backstay() as backstay:
        await backstay.backups.verify(BACKUP)


async def test_without_its_comparison_a_change_would_go_unseen(app, monkeypatch):
    """Without the comparison, a file that changes while it is read would be imported."""
    path = app.backup([conversation(1)])
    examine = LegacyFileSource.examine

    def looking(self):
        examine(self)
        path.write_text(path.read_text().replace("Content of 1", "Content of 2"))
        return examine(self)

    monkeypatch.setattr(LegacyFileSource, "examine", looking)

    assert left(await taken(app)) == {}


async def test_a_backup_that_failed_is_made_again(app, monkeypatch):
    """A failed import of a backup is repeated under the same id with fresh records."""
    app.backup([conversation(number) for number in range(3)])

    async def failing(*_):
        raise BackupFailed("The disk is worn")

    with monkeypatch.context() as patch:
        patch.setattr("backstay.backup.verifier.verify", failing)
        assert left(await taken(app)) == {BACKUP: "The disk is worn"}
    report = await taken(app)

    assert [item.id for item in report.backups] == [BACKUP]
    async with app.backstay() as backstay:
        assert (await backstay.backups.verify(BACKUP)).conversations == 3
        assert (await backstay.backups.restore(BACKUP)).restored == 3
        assert [item.id for item in await backstay.backups.list(include_removed=True)] == [BACKUP]


async def test_a_deleted_backup_is_not_imported_again(app):
    """An imported backup that was deleted is not imported again."""
    app.backup([conversation(1)])
    await taken(app)

    async with app.backstay() as backstay:
        await backstay.backups.delete(BACKUP)
    report = await taken(app)

    assert (report.backups, report.backup_totals.already_imported, report.skipped) == ([], 1, [])


async def test_without_a_backup_folder_jobs_are_imported(app):
    """Without a backup folder jobs are imported and backups are named."""
    app.backup([conversation(1)])
    app.checkpoint("batch-1", ["1"])
    settings = app.backstay().settings.model_copy(update={"backup_directory": None})
    backstay = Backstay(settings)

    report = (await backstay.migrate_from_original()).report

    assert [job.id for job in report.jobs] == ["batch-1"]
    assert "set BACKUP_DIRECTORY" in left(report)[BACKUP]


# -- again, at once, cut off -------------------------------------------------------------------------------------------


def fill(app):
    for number in range(3):
        app.checkpoint(f"batch-{number}", map(str, range(1, 4 + number)), ["9"])
        app.backup([conversation(item) for item in range(number + 1)], f"backup-{number}-x")


def outcome(app):
    """Return what was imported of the data of `fill`, and whether nothing else was."""
    jobs = app.sql("SELECT job_id, completed, failed FROM backstay.legacy_jobs ORDER BY job_id")
    backups = app.sql("SELECT id, state, conversations FROM backstay.backups ORDER BY id")
    counts = app.sql(
        "SELECT (SELECT count(*) FROM backstay.legacy_settled), (SELECT count(error) FROM backstay.legacy_settled),"
        " (SELECT count(*) FROM backstay.backup_items), (SELECT count(*) FROM backstay.workers)"
    )
    files = sorted(path.name for path in app.folder.rglob("*backup-*.zst*"))
    return jobs, backups, counts, files


WHOLE = (
    [(f"batch-{number}", 3 + number, 1) for number in range(3)],
    [(f"backup-{number}-x", "verified", number + 1) for number in range(3)],
    [(15, 3, 6, 0)],
    [f"backup-{number}-x.json.zst" for number in range(3)],
)


async def test_twice_does_nothing_twice(app):
    """A second import counts what was imported before and changes nothing."""
    fill(app)
    first = await taken(app)
    before = outcome(app)
    second = await taken(app)

    assert before == outcome(app) == WHOLE
    assert (len(first.jobs), len(first.backups)) == (3, 3)
    assert (second.jobs, second.backups, second.job_totals.already_imported, second.backup_totals.already_imported) == (
        [],
        [],
        3,
        3,
    )


async def test_check_writes_nothing(tmp_path, caplog):
    """A check writes nothing, with or without Backstay's tables, and logs no import."""
    caplog.set_level(logging.INFO, "backstay.legacy")
    with original(tmp_path, migrated=False) as app:
        fill(app)
        app.backup([conversation(1)], "backup-9-old", lives=timedelta(days=-1))
        first = await app.backstay().migrate_from_original(check=True)
        schemas = app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'backstay'")
        await app.backstay().migrate()
        second = await app.backstay().migrate_from_original(check=True)
        empty, logged_by_checks = outcome(app), list(caplog.records)
        third = await app.backstay().migrate_from_original()
        result = outcome(app)

    assert schemas == [(0,)]
    assert logged_by_checks == []
    assert {record.msg for record in caplog.records} >= {"job_imported", "backup_imported"}
    assert empty == ([], [], [(0, 0, 0, 0)], [])
    assert (first.migrated.applied, second.migrated.applied) == ([number for number, _ in migrations()], [])
    assert first.report == second.report
    assert third.report.jobs == first.report.jobs
    assert third.report.backups == first.report.backups
    assert third.report.backup_totals.ended == 1
    assert result == WHOLE


async def test_many_at_once_do_it_once(app):
    """Of many imports at once each thing is imported by one, and the others do not report it as not imported."""
    fill(app)

    reports = await asyncio.gather(*[taken(app) for _ in range(6)])

    assert outcome(app) == WHOLE
    assert Counter(job.id for report in reports for job in report.jobs) == {f"batch-{n}": 1 for n in range(3)}
    assert Counter(item.id for report in reports for item in report.backups) == {f"backup-{n}-x": 1 for n in range(3)}
    assert [item for report in reports for item in report.skipped] == []
    async with app.backstay() as backstay:
        for number in range(3):
            await backstay.backups.verify(f"backup-{number}-x")


def kill(app, when):
    """Kill a process that imports."""
    killed = subprocess.run(
        [sys.executable, "-m", "integration._killed_import", app.url, str(app.folder), when],
        cwd=Path(__file__).parents[1], env={"PATH": os.environ["PATH"]}, check=False, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -9


def test_what_a_killed_one_has_left_would_be_noticed(app, monkeypatch):
    """Without the removal of leftovers, a killed import would be noticed."""
    fill(app)
    kill(app, "before:9")

    async def nothing(*_):
        pass

    monkeypatch.setattr("backstay.backup.service.Backups.remove_leftovers", nothing)
    asyncio.run(taken(app))

    assert outcome(app) != WHOLE


# A commit of each kind: a job; a backup's record, its places, its items, its end.
_SAMPLE = ("after:1", "before:3", "after:8", "before:9")
_EVERY = tuple(f"{when}:{number}" for number in range(1, 16) for when in ("before", "after"))


@pytest.mark.sweep
@pytest.mark.parametrize("when", _EVERY if FULL else _SAMPLE)
def test_killed_at_a_commit_it_is_done_by_the_next(app, when):
    """An import that is killed at any commit is completed by the next one, without leftovers."""
    fill(app)
    before = app.everything()

    kill(app, when)
    broken = outcome(app)
    asyncio.run(taken(app))

    assert broken != WHOLE or when == _EVERY[-1]
    assert outcome(app) == WHOLE
    assert app.everything() == before


# -- what is not to be taken over --------------------------------------------------------------------------------------


@contextmanager
def _schema(app, name):
    app.sql(f'CREATE SCHEMA "{name}"')
    app.sql(f'SET search_path = "{name}"; {TABLES}')
    yield
    app.sql(f'DROP SCHEMA "{name}" CASCADE')


async def test_tables_may_be_in_any_schema(app):
    """The original library's tables may be in a schema of any name."""
    name = 'it\'s "100%" {odd}'
    with _schema(app, name.replace('"', '""')):
        app.sql(f"""INSERT INTO "{name.replace('"', '""')}".batch_checkpoints (job_id) VALUES ('batch-1')""")

        report = await taken(app, source=name)

    assert [job.id for job in report.jobs] == ["batch-1"]


async def test_our_own_views_are_refused(app):
    """A schema with Backstay's own tables or views is refused as a source."""
    with pytest.raises(SettingsError, match="'backstay' are Backstay's own"):
        await taken(app, source="backstay")
    backstay = app.backstay()
    other = type(backstay)(backstay.settings.model_copy(update={"database_schema": "second"}))
    with pytest.raises(SettingsError, match="'backstay' are Backstay's own"):
        await other.migrate_from_original("backstay")
    assert app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'second'") == [(0,)]


async def test_without_tables_nothing_is_imported(app):
    """An import without tables of the original library is refused before anything is created."""
    backstay = app.backstay()
    other = type(backstay)(backstay.settings.model_copy(update={"database_schema": "second"}))
    for source in ("pg_catalog", "nowhere"):
        with pytest.raises(SettingsError, match="neither batch_checkpoints nor backup_exports in a schema"):
            await other.migrate_from_original(source)
    assert app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'second'") == [(0,)]


async def test_a_table_of_no_use_is_named(app):
    """A table of the original library without a needed column is named with that column."""
    app.sql(
        "CREATE SCHEMA other; CREATE TABLE other.batch_checkpoints (id uuid, job text);"
        "CREATE VIEW other.backup_exports AS SELECT 1 AS backup_id"
    )

    report = await taken(app, source="other")

    assert [(item.id, item.reason) for item in report.skipped] == [
        ("batch_checkpoints", "the table in schema other has no column job_id"),
        ("batch_checkpoints", "the table in schema other has no column completed_items"),
        ("backup_exports", "the table in schema other has no column conversation_ids"),
    ]


async def test_rows_that_a_policy_hides_are_not_taken_for_missing(app):
    """An import by a role that may not see all rows is refused."""
    app.checkpoint("batch-1", ["1"])
    app.sql("ALTER TABLE batch_checkpoints ENABLE ROW LEVEL SECURITY")
    role = f"reader_{os.getpid()}"
    app.sql(
        f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT ON batch_checkpoints, backup_exports TO {role};"
        f" GRANT USAGE ON SCHEMA backstay TO {role};"
        f" GRANT ALL ON ALL TABLES IN SCHEMA backstay TO {role};"
        f" GRANT ALL ON ALL SEQUENCES IN SCHEMA backstay TO {role}"
    )
    try:
        backstay = app.backstay()
        url = app.url.replace(app.url.split("@")[0], f"postgresql://{role}:secret")
        with pytest.raises(StoreDenied, match='may not see every row of "batch_checkpoints"'):
            await type(backstay)(backstay.settings.model_copy(update={"database_url": url})).migrate_from_original()
    finally:
        app.sql(f"ALTER TABLE batch_checkpoints DISABLE ROW LEVEL SECURITY; DROP OWNED BY {role}; DROP ROLE {role}")
