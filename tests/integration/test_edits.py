"""Edits next to rows of other tables, the user's own columns, deletes, restores and dying processes."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backstay import Backstay, Conversation, Selection, Turn
from backstay.backup.restore_plan import ConflictKind
from backstay.errors import AdoptedTableNotWritable, EditBlocked, LossyExport, OutcomeRefused, SettingsError
from backstay.library.edit_plan import is_same
from backstay.remedy import Remedy
from integration._killed_edit import TURNS
from support.faults.batch_invariants import violations
from support.faults.ledger import Witness
from support.stores import app_schema, chat_app, postgres
from support.stores.chat_app import WANTED, everything, sql
from support.stores.kinds import DATABASES
from support.stores.library import ALL, filled
from support.stores.sql import ask, is_server
from support.stores.supabase import ANN

_own_tables = pytest.mark.own_tables("the statements name built-in tables and columns")
_THREE = [Turn("user", "First"), Turn("assistant", "Second"), Turn("user", "Third")]


async def _fill(backstay, tmp_path, turns=_THREE):
    """Import the conversation `c` with these turns."""
    file = tmp_path / "one.jsonl"
    rows = [{"role": turn.role, "content": turn.content} for turn in turns]
    file.write_text(json.dumps({"id": "c", "topic": "Old", "conversation_turns": rows}))
    await backstay.conversations.import_file(file)
    return await backstay.conversations.show("c")


# -- the user's own columns, and rows of other tables ------------------------------------------------------------------


@_own_tables
async def test_turns_keep_their_own_columns(backstay, path, tmp_path):
    """The user's columns stay with turns that are edited or moved, and return with one that was removed."""
    stored = await _fill(backstay, tmp_path)
    await asyncio.to_thread(ask, path, "ALTER TABLE turns ADD COLUMN mood TEXT NOT NULL DEFAULT 'none'")
    await asyncio.to_thread(ask, path, "UPDATE turns SET mood = content")

    edited = await backstay.edits.edit("c", turns=[Turn("user", "New"), _THREE[2], Turn("assistant", "2nd")])
    moods = await asyncio.to_thread(ask, path, "SELECT content, mood FROM turns ORDER BY sequence")
    reverted = await backstay.edits.revert("c")

    assert moods == [("New", "First"), ("Third", "Third"), ("2nd", "none")]
    assert [turn.content for turn in edited.turns] == ["New", "Third", "2nd"]
    assert is_same(reverted, stored)
    assert await asyncio.to_thread(ask, path, "SELECT content, mood FROM turns ORDER BY sequence") == [
        (content, content) for content in ("First", "Second", "Third")
    ]


# SQLite adds no such column to a table.
@pytest.mark.parametrize("path", DATABASES[1:2], indirect=True, ids=["postgres"])
async def test_turn_without_a_required_value_is_refused(backstay, path, tmp_path):
    """A turn that lacks a value which a column of the user's requires is refused by name, and nothing is stored."""
    stored = await _fill(backstay, tmp_path)
    statement = "ALTER TABLE turns ADD COLUMN mood text NOT NULL DEFAULT 'x'; ALTER TABLE turns ALTER mood DROP DEFAULT"
    await asyncio.to_thread(ask, path, statement)

    with pytest.raises(OutcomeRefused, match="the column mood of turns needs a value"):
        await backstay.edits.edit("c", turns=[*_THREE, Turn("assistant", "New")])

    assert await backstay.conversations.show("c") == stored
    await backstay.edits.edit("c", turns=_THREE[1:])
    assert is_same(await backstay.edits.revert("c"), stored)


@_own_tables
async def test_rows_of_other_tables_are_not_deleted_or_changed(path):
    """A turn that rows of other tables refer to may be edited, but not removed or renumbered."""
    await filled(path, 10, job=False)
    await asyncio.to_thread(app_schema.make, path)
    async with Backstay.open(path) as backstay:
        stored = await backstay.conversations.show("c00000")
        first, second = stored.turns
        before = await asyncio.to_thread(app_schema.everything, path)

        with pytest.raises(EditBlocked, match="refer to turns that the edit of conversation 'c00000' removes"):
            await backstay.edits.edit("c00000", turns=[first])
        with pytest.raises(OutcomeRefused, match=r"(?i)foreign key|attachments"):
            await backstay.edits.edit("c00000", turns=[second, first])
        assert await asyncio.to_thread(app_schema.everything, path) == before

        await backstay.edits.edit("c00000", turns=[first, replace(second, content="Edited"), Turn("user", "More")])

        after = await asyncio.to_thread(app_schema.everything, path)
        assert {name: after[name] for name in app_schema.TABLES} == {name: before[name] for name in app_schema.TABLES}
        # No row refers to the turns of the ninth conversation.
        free = await backstay.conversations.show("c00008")
        assert is_same(
            await backstay.edits.edit("c00008", turns=free.turns[::-1]), replace(free, turns=free.turns[::-1])
        )


@_own_tables
async def test_trigger_that_changes_an_edit_is_noticed(backstay, path, tmp_path):
    """If a trigger of the user's stores something else than the edit says, nothing is stored."""
    stored = await _fill(backstay, tmp_path)
    await asyncio.to_thread(ask, path, _SHOUTING_ON_A_SERVER if is_server(path) else _SHOUTING)

    with pytest.raises(OutcomeRefused, match="does not take this edit: afterwards turn "):
        await backstay.edits.edit("c", turns=[_THREE[0], Turn("assistant", "quiet"), _THREE[2]])

    assert await backstay.conversations.show("c") == stored


_SHOUTING = """
CREATE TRIGGER shout AFTER UPDATE ON turns WHEN new.content <> upper(new.content)
 BEGIN UPDATE turns SET content = upper(content) WHERE conversation_key = new.conversation_key; END
"""
_SHOUTING_ON_A_SERVER = """
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN new.content := upper(new.content); RETURN new; END $$;
CREATE TRIGGER shout BEFORE UPDATE ON turns FOR EACH ROW EXECUTE FUNCTION shout()
"""


# -- adopted tables whose turns are sorted by a time -------------------------------------------------------------------


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database with an app's tables, in which turns have identity columns and are sorted by their times."""
    postgres.need_a_server()
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    url = chat_app.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def adopted(url):
    """Ann's library in the app's tables, and its conversation `chat 1`."""
    await Backstay.open(url, owner=ANN).adopt(*WANTED)
    async with Backstay.open(url, owner=ANN) as backstay:
        (summary,) = [each for each in await backstay.conversations.list(limit=99) if each.topic == "chat 1"]
        yield backstay, await backstay.conversations.show(summary.id)


async def _messages(url, chat_id):
    statement = (
        "SELECT id, body, reply_to, tokens ->> 'n' FROM messages WHERE chat_id::text = ? ORDER BY created_at, id"
    )
    return await asyncio.to_thread(sql, url, statement, chat_id)


async def test_edit_of_an_apps_turns(adopted, url):
    """An app's rows keep their ids and columns when their text, role or null is edited; nothing else changes."""
    backstay, stored = adopted
    before, whole = await _messages(url, stored.id), await asyncio.to_thread(everything, url)
    turns = list(stored.turns)
    turns[1] = replace(turns[1], content="edited")
    turns[2] = replace(turns[2], content="no longer null")

    edited = await backstay.edits.edit(stored.id, turns=turns, topic="chat one")

    after, now = await _messages(url, stored.id), await asyncio.to_thread(everything, url)
    assert [body for _, body, _, _ in before] == ["said 1 of chat 1", "said 2 of chat 1", None, "said 4 of chat 1"]
    assert [body for _, body, _, _ in after] == ["said 1 of chat 1", "edited", "no longer null", "said 4 of chat 1"]
    assert [(row[0], *row[2:]) for row in after] == [(row[0], *row[2:]) for row in before]
    assert edited.topic == "chat one"
    assert {name: now[name] for name in ("people", "tags", "attachments", "ratings")} == {
        name: whole[name] for name in ("people", "tags", "attachments", "ratings")
    }
    reverted = await backstay.edits.revert(stored.id)
    assert (reverted.topic, [turn.content for turn in reverted.turns]) == (
        "chat 1",
        [turn.content for turn in stored.turns],
    )


@pytest.mark.parametrize(
    "order", [(3, 2, 1, 0), (1, 0, 2, 3), (0, 3, 1, 2), (None, 0, 1, 2, 3), (0, None, 1, None, 2, 3)]
)
async def test_order_of_an_apps_turns(adopted, url, order):
    """Turns that a time sorts are moved, and added in between, with their rows and ids."""
    backstay, stored = adopted
    before = {row[0]: row for row in await _messages(url, stored.id)}
    turns = [Turn("user", f"new {n}") if place is None else stored.turns[place] for n, place in enumerate(order)]

    edited = await backstay.edits.edit(stored.id, turns=turns)

    assert [turn.content for turn in edited.turns] == [turn.content for turn in turns]
    after = {row[0]: row for row in await _messages(url, stored.id)}
    assert {key: after[key] for key in before} == before
    assert [int(turn.id) for turn in edited.turns if int(turn.id) in before] == [
        int(turn.id) for turn in turns if turn.id is not None
    ]
    assert is_same(await backstay.edits.revert(stored.id), stored)


async def test_an_apps_turn_that_rows_refer_to_is_not_removed(adopted, url):
    """A row of the app's that an attachment refers to is not removed; one without is, and returns with its id."""
    backstay, stored = adopted
    refers = await asyncio.to_thread(sql, url, "SELECT message_id::text FROM attachments")
    taken = [turn for turn in stored.turns if (turn.id,) in refers]
    replied = await asyncio.to_thread(sql, url, "SELECT reply_to::text FROM messages WHERE reply_to IS NOT NULL")
    free = [turn for turn in stored.turns if (turn.id,) not in refers and (turn.id,) not in replied]
    before = await _messages(url, stored.id)
    assert taken
    assert free

    with pytest.raises(EditBlocked):
        await backstay.edits.edit(stored.id, turns=[turn for turn in stored.turns if turn is not taken[0]])
    assert await _messages(url, stored.id) == before
    await backstay.edits.edit(stored.id, turns=[turn for turn in stored.turns if turn is not free[0]])
    await backstay.edits.revert(stored.id)

    assert await _messages(url, stored.id) == before


async def test_turns_sorted_by_their_id_cannot_be_moved(url):
    """Where the id sorts the turns, one can be added at the end; a move is refused and says why."""
    columns = {**chat_app.COLUMNS, "turns.order": "id"}
    await Backstay.open(url, owner=ANN).adopt(*WANTED[:2], columns)
    async with Backstay.open(url, owner=ANN) as backstay:
        summary = (await backstay.conversations.list(limit=1))[0]
        stored = await backstay.conversations.show(summary.id)

        with pytest.raises(
            AdoptedTableNotWritable, match="sort turns by their id: a turn can be added only at the end"
        ):
            await backstay.edits.edit(stored.id, turns=stored.turns[::-1])
        edited = await backstay.edits.edit(stored.id, turns=[*stored.turns, Turn("user", "More")])

    assert [turn.content for turn in edited.turns] == [*(turn.content for turn in stored.turns), "More"]


# -- deletes and restores ----------------------------------------------------------------------------------------------


@pytest.mark.promise("K1")
async def test_edit_during_a_delete_is_kept(backstay, tmp_path, monkeypatch):
    """A conversation that is edited between its backup and its delete is kept with the edit, and reported."""
    await _edit_during_a_delete(backstay, tmp_path, monkeypatch)


async def _edit_during_a_delete(backstay, tmp_path, monkeypatch):
    await _fill(backstay, tmp_path)
    store, edited = backstay._store.backups.deletes, []
    step = store.delete_step

    async def after_the_edit(backup, **options):
        if not edited:
            edited.append(await backstay.edits.edit("c", turns=[*_THREE, Turn("assistant", "New")]))
        return await step(backup, **options)

    monkeypatch.setattr(store, "delete_step", after_the_edit)
    deleted = await backstay.conversations.delete(ALL)
    assert (deleted.deleted, deleted.changed_ids) == (0, ["c"]), "the edit was deleted"
    assert await backstay.conversations.show("c") == edited[0]
    plan = await backstay.backups.plan_restore(deleted.backup_id)
    assert [conflict.kind for conflict in plan.listed_conflicts] == [ConflictKind.CONTENT]
    return edited[0]


async def test_without_the_row_version_an_edit_would_be_deleted(backstay, tmp_path, monkeypatch):
    """Control: a delete that does not compare what it deletes with its backup loses the edit."""
    from backstay.storage.sql import deletes

    versions = {}
    real = deletes.find_by_keys

    class Trusted:
        """A record whose version is always the one in the backup."""

        def __init__(self, record, version):
            self.key, self.id, self.job_id, self.item_id = record.key, record.id, record.job_id, record.item_id
            self.version = version

    def trusting(session, owner, keys, columns):
        table = "backup_items" if session.kind == "sqlite" else "backstay.backup_items"
        versions.update(dict(session.connection.execute(f"SELECT id, row_version FROM {table}").fetchall()))
        return [Trusted(record, versions[record.id]) for record in real(session, owner, keys, columns)]

    monkeypatch.setattr(deletes, "find_by_keys", trusting)

    with pytest.raises(AssertionError, match="the edit was deleted"):
        await _edit_during_a_delete(backstay, tmp_path, monkeypatch)


async def test_delete_takes_the_versions_along(backstay, path, tmp_path):
    """A deleted conversation leaves no versions, and one restored under the same id has not those of another."""
    await _fill(backstay, tmp_path)
    await backstay.edits.edit("c", topic="New")

    await backstay.conversations.delete(Selection(ids=("c",)))

    assert await asyncio.to_thread(ask, path, "SELECT count(*) FROM conversation_versions") == [(0,)]


# -- several processes -------------------------------------------------------------------------------------------------


async def test_only_one_of_many_processes_wins(path, tmp_path):
    """Of four processes that edit the same version at once exactly one stores its edit, and each other is told."""
    async with Backstay.open(path) as backstay:
        stored = await _fill(backstay, tmp_path)
        edits = [{**stored.to_dict(), "topic": f"by {number}", "digest": stored.digest()} for number in range(4)]
        started = []
        for number, edit in enumerate(edits):
            file = tmp_path / f"{number}.json"
            file.write_text(json.dumps(edit))
            words = ["--database", str(path), "conversations", "edit", "c", "--from-file", str(file)]
            command = [sys.executable, "-m", "backstay", *words]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

        ended = await asyncio.to_thread(lambda: [(process, process.communicate(timeout=60)[1]) for process in started])

        (winner,) = [number for number, (process, _) in enumerate(ended) if process.returncode == 0]
        refused = [message for process, message in ended if process.returncode]
        assert all("'c' was changed since it was read; the edit was not stored" in message for message in refused)
        assert (await backstay.conversations.show("c")).topic == f"by {winner}"
        assert [each.number for each in await backstay.edits.versions("c")] == [1, 2]


# -- dying processes ---------------------------------------------------------------------------------------------------

_STATEMENTS = 7
"""How many statements the edit of `_killed_edit` writes with."""


def _kill(path, *arguments):
    command = [sys.executable, "-m", "integration._killed_edit", str(path), *arguments]
    folder = Path(__file__).parents[1]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(command, cwd=folder, env=environment, check=False, timeout=60).returncode


async def _state(backstay):
    """Return whether the conversation is as it was `before` the edit, `after` it, or something `between`."""
    stored = await backstay.conversations.show("c")
    versions = [each.number for each in await backstay.edits.versions("c")]
    contents = stored.topic, [(turn.role, turn.content) for turn in stored.turns]
    if contents == ("Old", [(turn.role, turn.content) for turn in _THREE]) and versions == [1]:
        return "before"
    is_after = contents == ("New", [(turn.role, turn.content) for turn in TURNS]) and versions == [1, 2]
    return (
        "after"
        if is_after and is_same(await backstay.edits.version("c", 1), replace(stored, topic="Old", turns=_THREE))
        else "between"
    )


@pytest.mark.promise("B1")
@pytest.mark.parametrize("when", [*map(str, range(1, _STATEMENTS + 1)), "before", "after"])
async def test_killed_edit_is_whole_or_absent(path, tmp_path, when):
    """A process that is killed at any statement of an edit, or at its commit, leaves the conversation as it was before
    or as it is after the edit, and another process can edit it at once."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, tmp_path)

        status = await asyncio.to_thread(_kill, path, when)

        assert status == -9
        assert await _state(backstay) == ("after" if when == "after" else "before")
        await backstay.edits.edit("c", turns=TURNS, topic="New")
        assert await _state(backstay) == "after"


@_own_tables
async def test_edit_in_pieces_would_be_noticed(path, tmp_path):
    """Control: if each statement were committed by itself, a killed edit would leave the conversation in between."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, tmp_path)

        await asyncio.to_thread(_kill, path, "5", "in_pieces")

        assert await _state(backstay) == "between"


async def test_edit_has_no_more_statements_than_are_killed(path, tmp_path):
    """The edit of the killed processes writes with exactly as many statements as the tests kill it at."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, tmp_path)

        status = await asyncio.to_thread(_kill, path, str(_STATEMENTS + 1))

        assert (status, await _state(backstay)) == (0, "after")


# -- what a job stored -------------------------------------------------------------------------------------------------


@pytest.mark.promise("B3")
async def test_first_version_is_the_answer(backstay, path):
    """The first version of an edited conversation is what the processor answered; a checker notices if it is not."""
    answer = Conversation([Turn("user", "?"), Turn("assistant", "the answer")])
    result = await backstay.batches.run("job", [{"id": "i", "topic": "t"}], lambda item: answer)
    (summary,) = await backstay.conversations.list(Selection(job_id="job"))
    witness = Witness(calls=[("i", 1, "the answer")], reported=result.completed)

    for text in ("edited", "edited again"):
        await backstay.edits.edit(summary.id, turns=[answer.turns[0], Turn("assistant", text)])

    assert await asyncio.to_thread(violations, path, witness) == []
    statement = "UPDATE conversation_versions SET line = replace(line, 'the answer', 'another') WHERE number = 1"
    await asyncio.to_thread(ask, path, statement)
    assert await asyncio.to_thread(violations, path, witness) == [
        "B3: what is stored for item i is not the answer of its attempt 1"
    ]


# -- corrections as preference pairs -----------------------------------------------------------------------------------


async def _edited(backstay, tmp_path, edits):
    """Import a conversation of five turns for each edit, and edit it: new texts by the place of their turn."""
    turns = [
        Turn("system", "S"),
        Turn("user", "Q"),
        Turn("assistant", "A"),
        Turn("user", "Q2"),
        Turn("assistant", "A2"),
    ]
    rows = [
        {"id": f"c{n}", "topic": "t", "conversation_turns": [{"role": t.role, "content": t.content} for t in turns]}
        for n in range(len(edits))
    ]
    file = tmp_path / "all.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    await backstay.conversations.import_file(file)
    for number, changes in enumerate(edits):
        edited = [replace(turn, content=changes.get(place, turn.content)) for place, turn in enumerate(turns)]
        await backstay.edits.edit(f"c{number}", turns=edited, topic=changes.get("topic", "t"))


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_corrections_are_preference_pairs(backstay, tmp_path):
    """The first version of a corrected answer is rejected, and the current one chosen, after the turns before it."""
    await _edited(backstay, tmp_path, [{2: "Better"}, {}, {4: "Other", "topic": "u"}])
    await backstay.edits.edit("c0", topic="only the topic")
    chosen = {"format": "trl-preference", "pairs": "edits"}

    result = await backstay.conversations.write_export(tmp_path / "out", Selection(edited=True), **chosen)
    with pytest.raises(LossyExport, match=r"cannot hold: conversations without a counterpart \(1 conversation\)"):
        await backstay.conversations.write_export(tmp_path / "all", **chosen)

    def messages(*contents):
        roles = ["system", "user", "assistant", "user", "assistant"][-len(contents) :]
        return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]

    start = messages("S", "Q", "A", "Q2", "A2")
    assert _lines(tmp_path / "out") == [
        {"prompt": start[:2], "chosen": [{"role": "assistant", "content": "Better"}], "rejected": start[2:3]},
        {"prompt": start[:4], "chosen": messages("Other"), "rejected": start[4:]},
    ]
    assert (result.exported, result.losses) == (4, [])


async def test_a_pair_ends_with_the_last_answer_that_differs(backstay, tmp_path):
    """Two corrections keep what is between them; after a corrected question, the same answer ends both sides."""
    await _edited(backstay, tmp_path, [{2: "Better", 4: "Best"}, {2: "Better", 3: "Other?"}])

    await backstay.conversations.write_export(tmp_path / "out", format="trl-preference", pairs="edits")

    sides = [
        [[each["content"] for each in line[side]] for side in ("chosen", "rejected")]
        for line in _lines(tmp_path / "out")
    ]
    assert sides == [
        [["Better", "Q2", "Best"], ["A", "Q2", "A2"]],
        [["Better", "Other?", "A2"], ["A", "Q2", "A2"]],
    ]


async def test_edits_that_are_no_pairs_are_counted(backstay, tmp_path):
    """Edits of a question, of the topic, or that add a turn are counted, and refuse the export unless it is lossy."""
    await _edited(backstay, tmp_path, [{1: "Another"}, {"topic": "u"}, {2: "Better"}, {0: "S!", 2: "Better"}])
    current = await backstay.conversations.show("c2")
    await backstay.edits.edit("c1", turns=[*(await backstay.conversations.show("c1")).turns, Turn("user", "More")])
    chosen = {"format": "trl-preference", "pairs": "edits"}

    with pytest.raises(LossyExport, match=r"edits that do not correct an answer \(3 conversations\)") as refused:
        await backstay.conversations.write_export(tmp_path / "out", Selection(edited=True), **chosen)
    result = await backstay.conversations.write_export(
        tmp_path / "out", Selection(edited=True), lossy=True, problems=tmp_path / "problems.txt", **chosen
    )

    (line,) = _lines(tmp_path / "out")
    assert line["chosen"][0]["content"] == current.turns[2].content == "Better"
    assert refused.value.remedy is Remedy.LEAVE_OUT
    assert result.exported == 2
    problems = (tmp_path / "problems.txt").read_text().splitlines()
    assert [line.partition("\t")[0] for line in problems] == ["c0", "c1", "c3"]
    with pytest.raises(SettingsError, match="Corrections are pairs in the format trl-preference only"):
        await backstay.conversations.write_export(tmp_path / "a.csv", pairs="edits")


async def test_difference_that_is_not_written_is_no_pair(backstay, tmp_path):
    """An edit of the reasoning only is a pair with the reasoning, and none without it."""
    await _edited(backstay, tmp_path, [{2: "Better"}])
    stored = await backstay.edits.revert("c0", to=1)
    thinking = [replace(turn, reasoning="Hm") if turn.content == "A2" else turn for turn in stored.turns]
    await backstay.edits.edit("c0", turns=thinking)
    chosen = {"format": "trl-preference", "pairs": "edits"}

    await backstay.conversations.write_export(tmp_path / "out", reasoning="inline", **chosen)
    with pytest.raises(LossyExport, match="edits that do not correct an answer"):
        await backstay.conversations.write_export(tmp_path / "none", reasoning="drop", **chosen)

    (line,) = _lines(tmp_path / "out")
    assert (line["chosen"][0]["content"], line["rejected"][0]["content"]) == ("<think>\nHm\n</think>\n\nA2", "A2")
