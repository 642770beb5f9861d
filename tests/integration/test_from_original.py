"""Taking over from the original: what is unfinished goes on, what is alive can be restored, nothing is done twice."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay import Conversation, Turn
from backstay.backup.backup import BackupState
from backstay.batch.job import JobState
from backstay.errors import (
    BackupFailed,
    BackupNotFound,
    InvalidTransition,
    ItemsDiffer,
    ItemsNeeded,
    JobDiffers,
    SettingsError,
    StoreDenied,
)
from backstay.legacy.source import LegacyFileSource
from backstay.library.selection import Selection
from backstay.storage.postgres.migrate import migrations
from support.invariants import violations
from support.original import BACKUP, MADE_AT, TABLES, conversation, original
from support.scene import Scene
from support.torture import FULL

pytestmark = pytest.mark.promise("B5", "K1", "K2")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One database for all: emptying it is several times faster than making another."""
    with original(tmp_path_factory.mktemp("nothing")) as made:
        yield made


@pytest.fixture
def app(database, tmp_path):
    """An app of the original, with nothing in its tables and ours."""
    database.empty()
    return replace(database, folder=tmp_path)


class Calls:
    """A processor that counts what it is called for."""

    def __init__(self):
        self.of = Counter()

    async def __call__(self, item):
        self.of[item.id] += 1
        return Conversation([Turn("user", item.topic), Turn("assistant", "Yes.")])


def items(count):
    return [{"id": str(number), "topic": f"topic {number}"} for number in range(1, count + 1)]


async def taken(app, **options):
    """Take over; return what was reported."""
    return (await app.backstay().migrate_from_original(**options)).report


def left(report):
    return {one.id: one.reason for one in report.left}


# -- jobs --------------------------------------------------------------------------------------------------------------


async def test_a_run_generates_what_is_left_and_nothing_else(app):
    """Each item that was never finished once; finished ones never, failed ones not until they are retried."""
    app.checkpoint("batch-1", ["1", {"id": 2}, 3], ["4", {"itemId": "5", "error": "rate limit"}])
    before, calls = app.everything(), Calls()
    await taken(app)

    async with app.backstay() as backstay:
        (waiting,) = await backstay.batches.incomplete()
        failed = {failure.item_id: failure.error_message async for failure in backstay.batches.failed("batch-1")}
        done = await backstay.batches.run("batch-1", items(20), calls)
        again = await backstay.batches.run("batch-1", items(20), calls)
        first = dict(calls.of)
        retried = await backstay.batches.resume("batch-1", calls, retry_failed=True)

    assert (waiting.id, waiting.state, waiting.counts.completed, waiting.counts.failed) == ("batch-1", "paused", 3, 2)
    assert "run it with all its items" in waiting.pause.message
    assert failed == {"4": "the original recorded no reason", "5": "rate limit"}
    assert (done.state, done.completed, done.failed) == (JobState.COMPLETED_WITH_FAILURES, 18, 2)
    assert again.did_nothing
    assert first == {str(number): 1 for number in range(6, 21)}
    assert (retried.state, retried.completed) == (JobState.COMPLETED, 20)
    assert calls.of == {str(number): 1 for number in range(4, 21)}
    assert app.everything() == before
    assert violations(app.url, planned=20) == []


async def test_without_taking_over_all_would_be_generated(app):
    """The control of the one above: it would notice."""
    app.checkpoint("batch-1", ["1", "2", "3"], ["4", "5"])
    calls = Calls()

    async with app.backstay() as backstay:
        await backstay.batches.run("batch-1", items(20), calls)

    assert calls.of == {str(number): 1 for number in range(1, 21)}


async def test_many_runs_at_once_share_what_is_left(app):
    """Whichever of them brings the items."""
    app.checkpoint("batch-1", map(str, range(1, 31)))
    await taken(app)
    calls = Calls()

    async def run():
        async with app.backstay() as backstay:
            return await backstay.batches.run("batch-1", items(60), calls, concurrency=2)

    results = await asyncio.gather(*[run() for _ in range(4)])

    assert {result.state for result in results} <= {JobState.COMPLETED, JobState.RUNNING}
    assert calls.of == {str(number): 1 for number in range(31, 61)}
    assert violations(app.url, planned=60) == []


# Bringing the items in one transaction, and the first results.
@pytest.mark.sweep
@pytest.mark.parametrize("die", [f"{w}:{n}" for n in range(1, 9) for w in ("before", "after")] if FULL else ["after:3"])
def test_a_run_that_is_killed_goes_on(app, die):
    """Whether it has brought the items by then or not: no finished item is generated again."""
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
    """Or everything would be generated a second time; whoever knows better says so."""
    app.checkpoint("batch-1", ["1", "2", "gone"])
    await taken(app)
    calls = Calls()

    async with app.backstay() as backstay:
        with pytest.raises(ItemsDiffer, match=r"3 missing \(missing: 1; missing: 2\)"):
            await backstay.batches.run("batch-1", [{"topic": "no id"}], calls)
        with pytest.raises(ItemsDiffer, match=r"1 missing \(missing: gone\)"):
            await backstay.batches.run("batch-1", items(3), calls)
        assert not calls.of
        done = await backstay.batches.run("batch-1", items(3), calls, accept_new_items=True)
        with pytest.raises(ItemsDiffer, match="1 new"):
            await backstay.batches.run(
                "batch-1", [*items(3), {"id": "4", "topic": "more"}], calls, accept_new_items=False
            )

    assert (done.state, done.completed, calls.of) == (JobState.COMPLETED, 4, {"3": 1})


async def test_only_a_run_with_all_items_goes_on(app):
    """Nothing else knows what is left; and then it is a job as if that run had made it."""
    app.checkpoint("batch-1", ["1"], ["2"])
    await taken(app)

    async with app.backstay() as backstay:
        for going_on in (backstay.batches.resume, backstay.batches.prepare_resume, backstay.batches.retry):
            with pytest.raises(ItemsNeeded, match="backstay run FILE --job batch-1"):
                await going_on("batch-1")
        with pytest.raises(ItemsNeeded):
            await backstay.batches.resume("batch-1", Calls(), accept_new_items=items(3))
        await backstay.batches.create("batch-1", items(3), "scripted")
        with pytest.raises(JobDiffers):
            await backstay.batches.run("batch-1", items(3), Calls())
        done = await backstay.batches.resume("batch-1")

    assert (done.completed, done.failed) == (2, 1)


async def test_a_cancelled_one_stays_so(app):
    """As any job does; discarded, it can be taken over anew."""
    app.checkpoint("batch-1", ["1"])
    await taken(app)

    async with app.backstay() as backstay:
        await backstay.batches.cancel("batch-1")
        with pytest.raises(InvalidTransition):
            await backstay.batches.run("batch-1", items(3), Calls())
        assert (await taken(app)).of_jobs.there == 1
        await backstay.batches.discard("batch-1")

    assert [job.id for job in (await taken(app)).jobs] == ["batch-1"]


async def test_what_says_that_it_is_finished_is_left(app):
    """The app had not come to clean it; of a large one nobody knows, because the original rounds."""
    app.checkpoint("done", map(str, range(50)), progress=100)
    app.checkpoint("rounded", map(str, range(300)), progress=100)
    app.checkpoint("nothing-yet", progress=0)

    report = await taken(app)

    assert report.of_jobs.over == 1
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
    """Arrays of whatever kind, no failed items, a job_id that is a UUID, and no table of backups."""
    app.sql(_OTHER_TYPES.format(kind=kind, value=value))
    report = await taken(app, source="other")

    assert [(job.id[-1], job.completed, job.failed) for job in report.jobs] == [("1", 2, 0), ("2", 0, 0)]
    assert not report.left


async def test_rows_of_one_job_are_taken_together(app):
    """What one of them says is completed is completed."""
    app.checkpoint("twice", ["1", "2"], ["3"])
    app.checkpoint("twice", ["3", "1"], ["4", "1"], 10)

    report = await taken(app)

    assert [(job.id, job.completed, job.failed) for job in report.jobs] == [("twice", 3, 1)]


_HOSTILE = [
    ("null-list", "null", None),
    ("object", '{"1": true}', "completed_items is no array"),
    ("number", "17", "completed_items is no array"),
    ("text", '"no json"', "completed_items is text, and not JSON"),
    ("text-of-text", '"\\"[]\\""', "completed_items is no array"),
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


async def test_what_is_of_no_use_is_named_and_the_rest_goes_on(app):
    """A checkpoint that holds such a thing is left whole: nobody knows which item it means."""
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
    assert reasons.pop("failed") == "failed_items is no array, but of the kind 'object'"
    assert reasons == {"(without a job_id)": "a checkpoint must say of which job it is"}


async def test_a_large_checkpoint_is_taken_over(app):
    """In chunks; ids that it repeats count once."""
    app.sql(
        "INSERT INTO batch_checkpoints (job_id, completed_items, failed_items) VALUES ('large',"
        " (SELECT jsonb_agg(n % 20000) FROM generate_series(1, 30000) AS n),"
        " (SELECT jsonb_agg(jsonb_build_object('id', n, 'error', repeat('e', 9000)))"
        "    FROM generate_series(19990, 20009) AS n))"
    )

    report = await taken(app)
    async with app.backstay() as backstay:
        job = await backstay.batches.checkpoint("large")
        (*_, failure) = [one async for one in backstay.batches.failed("large")]

    assert (job.counts.completed, job.counts.failed) == (20_000, 10)
    assert [(job.completed, job.failed) for job in report.jobs] == [(20_000, 10)]
    assert len(failure.error_message) == 2_000
    assert violations(app.url, planned=20_010, may_fail=frozenset(map(str, range(20_000, 20_010)))) == []


# -- backups -----------------------------------------------------------------------------------------------------------


def _of_file(one):
    """What a conversation of ours must be, by the words of the original's file."""
    ours = {"id", "content", "persona", "created_at", "conversation_turns"}
    moment = datetime.fromisoformat(one["created_at"]).astimezone(UTC)
    return {
        "id": one["id"],
        "topic": None,
        "persona": one["persona"],
        "content": one["content"],
        "metadata": {name: value for name, value in one.items() if name not in ours},
        "created_at": moment,
        "turns": [
            (turn["role"], turn["content"], turn["id"], {"token_count": turn["token_count"]})
            for turn in one["conversation_turns"]
        ],
    }


def _of_ours(one):
    return {
        "id": one.id,
        "topic": one.topic,
        "persona": one.persona,
        "content": one.content,
        "metadata": dict(one.metadata),
        "created_at": one.created_at,
        "turns": [(turn.role, turn.content, turn.id, dict(turn.metadata or {})) for turn in one.turns],
    }


async def test_what_is_restored_is_what_the_file_says(app):
    """After verification, with all that an app's own columns held; twice is safe."""
    given = [conversation(number, turns=number % 5 + 1) for number in range(40)]
    app.backup(given)
    before = app.everything()
    report = await taken(app)

    async with app.backstay() as backstay:
        backup = await backstay.backups.verify(BACKUP)
        restored = await backstay.backups.restore(BACKUP)
        again = await backstay.backups.restore(BACKUP)
        found = {one["id"]: _of_ours(await backstay.conversations.show(one["id"])) for one in given}
        shown = b"".join([block async for block in backstay.backups.download(BACKUP)])

    (expires_at,) = app.sql("SELECT expires_at FROM backup_exports")[0]
    assert (backup.state, backup.reason, backup.expires_at) == (BackupState.VERIFIED, "bulk_delete", expires_at)
    assert (backup.conversations, backup.is_pinned, report.left) == (40, False, [])
    assert (restored.restored, again.restored, again.identical) == (40, 0, 40)
    assert found == {one["id"]: _of_file(one) for one in given}
    assert json.loads(shown)["createdAt"] == MADE_AT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert app.everything() == before
    assert violations(app.url) == []


async def test_a_conversation_that_was_changed_since_is_in_conflict(app):
    """What was taken over is guarded as any backup of ours."""
    app.backup([conversation(1)])
    await taken(app)

    async with app.backstay() as backstay:
        await backstay.backups.restore(BACKUP)
        deleted = await backstay.conversations.delete(Selection(ids=("conv-1",)))
        assert (await backstay.backups.restore(BACKUP)).restored == 1
        assert (await backstay.backups.restore(deleted.backup_id)).identical == 1


async def test_a_large_file_is_taken_over_in_pieces(app):
    """On one line, as the original may write it."""
    given = [conversation(number, text="ü" * 40_000) for number in range(150)]
    app.backup(given, indent=None)

    report = await taken(app)
    async with app.backstay() as backstay:
        backup = await backstay.backups.verify(BACKUP)
        await backstay.backups.restore(BACKUP)
        shown = await backstay.conversations.show("conv-149")

    assert [one.conversations for one in report.backups] == [150]
    assert backup.content_bytes > 12_000_000
    assert _of_ours(shown) == _of_file(given[149])


async def test_owners_see_their_own(app):
    """The user of the record, else the owner of the settings."""
    ann = "00000000-0000-4000-8000-00000000000a"
    app.backup([conversation(1)], "backup-1-ann", user_id=ann)
    app.backup([conversation(1)], "backup-2-nobody")
    app.checkpoint("batch-1", ["1"])

    report = (await app.backstay(owner="team").migrate_from_original()).report

    assert [(one.id, one.owner) for one in report.backups] == [("backup-1-ann", ann), ("backup-2-nobody", "team")]
    assert [one.owner for one in report.jobs] == ["team"]
    async with app.backstay(owner="team") as backstay:
        for services, mine, others in (
            (backstay.for_owner(ann), "backup-1-ann", "backup-2-nobody"),
            (backstay.for_owner("team"), "backup-2-nobody", "backup-1-ann"),
        ):
            assert (await services.backups.restore(mine)).restored == 1
            with pytest.raises(BackupNotFound):
                await services.backups.show(others)


async def test_one_id_is_not_given_to_two_owners(app):
    """Their files would have one name."""
    app.backup([conversation(1)])
    await taken(app)

    report = (await app.backstay(owner="other").migrate_from_original()).report

    assert left(report) == {BACKUP: "a backup of another owner has this id"}
    async with app.backstay() as backstay:
        await backstay.backups.verify(BACKUP)


async def test_what_never_expires_is_pinned(app):
    """By its record; what has expired is counted only."""
    app.backup([conversation(1)], "backup-1-kept", lives=None, reason=None)
    app.backup([conversation(1)], "backup-2-old", lives=timedelta(seconds=-1))

    report = await taken(app)
    async with app.backstay() as backstay:
        (backup,) = await backstay.backups.list()

    assert (backup.id, backup.is_pinned, backup.reason) == ("backup-1-kept", True, "taken_over")
    assert backup.expires_at > datetime.now(UTC) + timedelta(days=6)
    assert (report.of_backups.over, report.left) == (1, [])


async def test_backups_of_no_use_are_named_and_the_rest_goes_on(app):
    """The file missing, broken, another's, or not of these conversations; nothing of ours is left of them."""
    expected = {}

    def broken(number, reason, spoil=None, *, given=None, **options):
        name = f"backup-{number}-x"
        path = app.backup([conversation(number)] if given is None else given, name, **options)
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

    broken(1, "its file is not here: looked for", lambda path: path.unlink())
    broken(2, "the file may be truncated", lambda path: path.write_bytes(path.read_bytes()[:-40]))
    broken(3, "has data after its end", lambda path: path.write_bytes(path.read_bytes() + b"{}"))
    broken(4, "not a backup as the original writes it", lambda path: path.write_bytes(b"[]"))
    broken(5, "cannot be opened (Too many levels", link)
    broken(6, "is not a file", pipe)
    broken(7, "is not a file", folder)
    broken(8, "lacks conversations of its conversation_ids: conv-9", said=["conv-8", "conv-9"])
    broken(9, "holds conversations that are not among its conversation_ids: conv-9", said=[])
    broken(10, "a conversation that the file has twice", given=[conversation(1), conversation(1)])
    broken(11, "the conversation has no turns", given=[{**conversation(11), "conversation_turns": []}])
    broken(12, "contains a NUL character", given=[conversation(12, topic="a\0b")])
    broken(13, "conversation_ids[1] is null", said=["conv-13", None])
    broken(14, "its file holds no conversation", given=[])
    app.backup([conversation(1)], "weekly")
    expected["weekly"] = "its id is not of the form backup-1730720400123-abc123"
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
    assert [one.id for one in report.backups] == [BACKUP]
    async with app.backstay() as backstay:
        assert [one.id for one in await backstay.backups.list(every=True)] == [BACKUP]
    assert left(await taken(app, check=True)) == reasons


async def test_a_file_may_be_where_its_record_says(app, tmp_path):
    """Outside of the folder of backups."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = app.backup([conversation(1)])
    path.rename(elsewhere / path.name)
    app.sql("UPDATE backup_exports SET file_path = %s", str(elsewhere / path.name))

    assert [one.id for one in (await taken(app)).backups] == [BACKUP]


async def test_a_file_that_changes_while_it_is_read_is_left(app, monkeypatch):
    """And taken over the next time."""
    path = app.backup([conversation(1)])
    look = LegacyFileSource.examine

    def looking(self):
        held = look(self)
        path.write_text(path.read_text().replace("Content of 1", "Content of 2"))
        return held

    monkeypatch.setattr(LegacyFileSource, "examine", looking)
    report = await taken(app)
    monkeypatch.undo()

    assert left(report) == {BACKUP: "its file was changed while it was read; try again"}
    assert [one.id for one in (await taken(app)).backups] == [BACKUP]
    async with app.backstay() as backstay:
        await backstay.backups.verify(BACKUP)


async def test_without_its_comparison_a_change_would_go_unseen(app, monkeypatch):
    """The control of the one above."""
    path = app.backup([conversation(1)])
    look = LegacyFileSource.examine

    def looking(self):
        look(self)
        path.write_text(path.read_text().replace("Content of 1", "Content of 2"))
        return look(self)

    monkeypatch.setattr(LegacyFileSource, "examine", looking)

    assert left(await taken(app)) == {}


async def test_a_backup_that_failed_is_made_again(app, monkeypatch):
    """Under the same id, and with nothing of what was noted the first time."""
    app.backup([conversation(number) for number in range(3)])

    async def failing(*_):
        raise BackupFailed("The disk is worn")

    with monkeypatch.context() as patch:
        patch.setattr("backstay.backup.verifier.Verifier.verify", failing)
        assert left(await taken(app)) == {BACKUP: "The disk is worn"}
    report = await taken(app)

    assert [one.id for one in report.backups] == [BACKUP]
    async with app.backstay() as backstay:
        assert (await backstay.backups.verify(BACKUP)).conversations == 3
        assert (await backstay.backups.restore(BACKUP)).restored == 3
        assert [one.id for one in await backstay.backups.list(every=True)] == [BACKUP]


async def test_one_that_was_removed_here_does_not_come_back(app):
    """Whoever deletes a backup means it."""
    app.backup([conversation(1)])
    await taken(app)

    async with app.backstay() as backstay:
        await backstay.backups.delete(BACKUP)
    report = await taken(app)

    assert (report.backups, report.of_backups.there, report.left) == ([], 1, [])


async def test_without_a_place_for_backups_jobs_are_taken_over_all_the_same(app):
    """And backups are named."""
    app.backup([conversation(1)])
    app.checkpoint("batch-1", ["1"])
    backstay = app.backstay()
    backstay.settings = backstay.settings.model_copy(update={"backup_directory": None})

    report = (await backstay.migrate_from_original()).report

    assert [job.id for job in report.jobs] == ["batch-1"]
    assert "set BACKUP_DIRECTORY" in left(report)[BACKUP]


# -- again, at once, cut off -------------------------------------------------------------------------------------------


def fill(app):
    for number in range(3):
        app.checkpoint(f"batch-{number}", map(str, range(1, 4 + number)), ["9"])
        app.backup([conversation(one) for one in range(number + 1)], f"backup-{number}-x")


def outcome(app):
    """What is here of what `fill` has made, and whether nothing else is."""
    jobs = app.sql("SELECT id, state, completed, failed FROM backstay.jobs ORDER BY id NULLS FIRST")
    backups = app.sql("SELECT id, state, conversations FROM backstay.backups ORDER BY id")
    counts = app.sql(
        "SELECT (SELECT count(*) FROM backstay.items), (SELECT count(*) FROM backstay.attempts),"
        " (SELECT count(*) FROM backstay.backup_items), (SELECT count(*) FROM backstay.workers)"
    )
    files = sorted(path.name for path in app.folder.rglob("*backup-*.zst*"))
    return jobs, backups, counts, files


WHOLE = (
    [(f"batch-{number}", "paused", 3 + number, 1) for number in range(3)],
    [(f"backup-{number}-x", "verified", number + 1) for number in range(3)],
    [(15, 3, 6, 0)],
    [f"backup-{number}-x.json.zst" for number in range(3)],
)


async def test_twice_does_nothing_twice(app):
    """What is here is counted and left alone."""
    fill(app)
    first = await taken(app)
    before = outcome(app)
    second = await taken(app)

    assert before == outcome(app) == WHOLE
    assert (len(first.jobs), len(first.backups)) == (3, 3)
    assert (second.jobs, second.backups, second.of_jobs.there, second.of_backups.there) == ([], [], 3, 3)


async def test_check_writes_nothing(tmp_path):
    """Whether our tables are there or not."""
    with original(tmp_path, migrated=False) as app:
        fill(app)
        app.backup([conversation(1)], "backup-9-old", lives=timedelta(days=-1))
        first = await app.backstay().migrate_from_original(check=True)
        schemas = app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'backstay'")
        await app.backstay().migrate()
        second = await app.backstay().migrate_from_original(check=True)
        empty = outcome(app)
        third = await app.backstay().migrate_from_original()
        done = outcome(app)

    assert schemas == [(0,)]
    assert empty == ([], [], [(0, 0, 0, 0)], [])
    assert (first.migrated.applied, second.migrated.applied) == ([number for number, _ in migrations()], [])
    assert first.report == second.report
    assert third.report.jobs == first.report.jobs
    assert third.report.backups == first.report.backups
    assert third.report.of_backups.over == 1
    assert done == WHOLE


async def test_many_at_once_do_it_once(app):
    """Each thing is taken over by one of them, and named as left by none that only came too late."""
    fill(app)

    reports = await asyncio.gather(*[taken(app) for _ in range(6)])

    assert outcome(app) == WHOLE
    assert Counter(job.id for report in reports for job in report.jobs) == {f"batch-{n}": 1 for n in range(3)}
    assert Counter(one.id for report in reports for one in report.backups) == {f"backup-{n}-x": 1 for n in range(3)}
    assert [one for report in reports for one in report.left] == []
    async with app.backstay() as backstay:
        for number in range(3):
            await backstay.backups.verify(f"backup-{number}-x")


def kill(app, when):
    """Have a process killed that takes over."""
    killed = subprocess.run(
        [sys.executable, "-m", "support.taking_over", app.url, str(app.folder), when],
        cwd=Path(__file__).parents[1], env={"PATH": os.environ["PATH"]}, check=False, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -9


@pytest.mark.parametrize(
    ("when", "protection"),
    [("after:2", "backstay.legacy.jobs.drop_leftovers"), ("before:18", "backstay.backup.service.Backups.start")],
)
def test_what_a_killed_one_has_left_would_be_noticed(app, monkeypatch, when, protection):
    """The control of the one below: without what removes it."""
    fill(app)
    kill(app, when)

    async def nothing(*_):
        pass

    monkeypatch.setattr(protection, nothing)
    asyncio.run(taken(app))

    assert outcome(app) != WHOLE


# A commit of each kind: staging a job, its items, its publishing; a backup's record, its places, its items, its end.
_SAMPLE = ("after:2", "before:3", "after:17", "before:18")
_EVERY = tuple(f"{when}:{number}" for number in range(1, 28) for when in ("before", "after"))


@pytest.mark.sweep
@pytest.mark.parametrize("when", _EVERY if FULL else _SAMPLE)
def test_killed_at_a_commit_it_is_done_by_the_next(app, when):
    """Whatever was under way; nothing of it is left over."""
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
    """Whatever its name."""
    name = 'it\'s "100%" {odd}'
    with _schema(app, name.replace('"', '""')):
        app.sql(f"""INSERT INTO "{name.replace('"', '""')}".batch_checkpoints (job_id) VALUES ('batch-1')""")

        report = await taken(app, source=name)

    assert [job.id for job in report.jobs] == ["batch-1"]


async def test_our_own_views_are_refused(app):
    """By their schema's name, or because a schema holds our tables."""
    with pytest.raises(SettingsError, match="'backstay' is Backstay's own"):
        await taken(app, source="backstay")
    backstay = app.backstay()
    other = type(backstay)(backstay.settings.model_copy(update={"database_schema": "second"}))
    with pytest.raises(SettingsError, match="'backstay' is Backstay's own"):
        await other.migrate_from_original("backstay")
    assert app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'second'") == [(0,)]


async def test_no_tables_no_taking_over(app):
    """Before anything is made."""
    backstay = app.backstay()
    other = type(backstay)(backstay.settings.model_copy(update={"database_schema": "second"}))
    for source in ("pg_catalog", "nowhere"):
        with pytest.raises(SettingsError, match="neither batch_checkpoints nor backup_exports in a schema"):
            await other.migrate_from_original(source)
    assert app.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'second'") == [(0,)]


async def test_a_table_of_no_use_is_named(app):
    """By what it lacks."""
    app.sql(
        "CREATE SCHEMA other; CREATE TABLE other.batch_checkpoints (id uuid, job text);"
        "CREATE VIEW other.backup_exports AS SELECT 1 AS backup_id"
    )

    report = await taken(app, source="other")

    assert [(one.id, one.reason) for one in report.left] == [
        ("batch_checkpoints", "the table in schema other has no column job_id"),
        ("batch_checkpoints", "the table in schema other has no column completed_items"),
        ("backup_exports", "the table in schema other has no column conversation_ids"),
    ]


async def test_rows_that_a_policy_hides_are_not_taken_for_missing(app):
    """Whoever may not see all of them is told so."""
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
