"""Adopted tables: an app's own tables hold the conversations and turns, and stay the app's."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import psycopg
import pytest

from backstay import Backstay, Selection
from backstay.errors import (
    AdoptedTableNotWritable,
    BackupError,
    CannotAdopt,
    ConversationNotFound,
    InvalidRow,
    SchemaOutdated,
    SettingsError,
    StoreCorrupt,
    StoreDenied,
)
from backstay.remedy import Remedy
from support.data.conversations import with_tools
from support.harness.sampling import FULL
from support.harness.waiting import until
from support.stores import chat_app, postgres
from support.stores.chat_app import COLUMNS, WANTED, everything, sql
from support.stores.library import ALL
from support.stores.supabase import ANN, BOB

pytestmark = pytest.mark.promise("K1", "K2")


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database with the app's tables and Backstay's."""
    postgres.need_a_server()
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    url = chat_app.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def backstay(url):
    """Ann's library, which is in the app's tables."""
    await _adopt(url)
    async with Backstay.open(url, owner=ANN) as backstay:
        yield backstay


async def _adopt(url, **more):
    return await Backstay.open(url, owner=ANN).adopt(*WANTED, **more)


async def _id(url, title):
    return (await asyncio.to_thread(sql, url, "SELECT chat_id::text FROM public.chats WHERE title = ?", title))[0][0]


# -- the library ---------------------------------------------------------------------------------------------------


async def test_rows_of_the_app_are_conversations(backstay, url):
    """The owner's rows are listed as conversations, latest first, with sorted turns and nulls as empty text."""
    listed = await backstay.conversations.list(limit=100)
    latest = await backstay.conversations.show(listed[0].id)

    assert [summary.topic for summary in listed] == [f"chat {n}" for n in range(10, 0, -1)]
    assert [summary.turns for summary in listed] == [4] * 10
    assert [(turn.role, turn.content) for turn in latest.turns] == [
        ("user", "said 1 of chat 10"),
        ("assistant", "said 2 of chat 10"),
        ("user", ""),
        ("assistant", "said 4 of chat 10"),
    ]
    assert latest.created_at.isoformat() == "2025-01-01T10:00:00.000010+00:00"
    assert [stored.topic for stored in await backstay.conversations.list(Selection(search="4 of CHAT 7"))] == ["chat 7"]


async def test_everything_is_restored(backstay, url):
    """A restore brings back the rows of every table, with types, keys and references."""
    before = await asyncio.to_thread(everything, url)

    plan = await backstay.conversations.plan_delete(ALL)
    deleted = await backstay.conversations.delete(plan)
    gone = await asyncio.to_thread(everything, url)
    restored = await backstay.backups.restore(deleted.backup_id)

    assert (deleted.deleted, deleted.changed, restored.restored, restored.related_not_restored) == (10, 0, 10, 0)
    assert {name: len(rows) for name, rows in gone.items()} == {
        "people": 2, "chats": 3, "messages": 12, "tags": 6, "attachments": 4, "ratings": 3,
    }  # fmt: skip
    assert await asyncio.to_thread(everything, url) == before
    assert [(trigger.name, trigger.table) for trigger in plan.triggers] == [("chat_gone", "conversations")]
    again = await backstay.backups.restore(deleted.backup_id)
    assert (again.restored, again.identical) == (0, 10)


async def test_fields_of_turns_in_a_column_of_the_app_are_restored(url):
    """Tool calls, reasoning and parts in the app's own metadata column are shown as fields, and restored unchanged."""
    turn = with_tools().turns[2]
    update = "UPDATE messages SET body = '', tokens = ?::jsonb WHERE body = 'said 2 of chat 10'"
    await asyncio.to_thread(sql, url, update, json.dumps(turn.stored_metadata()))
    before = await asyncio.to_thread(everything, url)
    await Backstay.open(url, owner=ANN).adopt(*WANTED[:2], {**COLUMNS, "turns.metadata": "tokens"})

    async with Backstay.open(url, owner=ANN) as backstay:
        (latest,) = await backstay.conversations.list(limit=1)
        shown = await backstay.conversations.show(latest.id)
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.verify(deleted.backup_id)
        await backstay.backups.restore(deleted.backup_id)
        restored = await backstay.conversations.show(latest.id)

    assert replace(shown.turns[1], id=None) == turn
    assert restored == shown
    assert await asyncio.to_thread(everything, url) == before


async def test_sequences_continue_after_restored_rows(backstay, url):
    """After a restore sequences continue after the restored rows, also in a database whose sequences are behind."""
    deleted = await backstay.conversations.delete(ALL)
    await asyncio.to_thread(sql, url, "DELETE FROM chats; ALTER TABLE messages ALTER id RESTART; ALTER SEQUENCE"
                            " attachments_id_seq RESTART")  # fmt: skip

    await backstay.backups.restore(deleted.backup_id)
    await asyncio.to_thread(
        sql, url, "INSERT INTO messages (chat_id, sender) SELECT chat_id, 'user' FROM chats;"
        " INSERT INTO attachments (message_id) SELECT max(id) FROM messages"
    )  # fmt: skip

    assert len((await asyncio.to_thread(everything, url))["messages"]) == 50


@pytest.mark.parametrize("numbers", [(1,), (2, 3), (1, 10)])
async def test_some_conversations_are_restored(backstay, url, numbers):
    """A restore of some conversations also restores the references that other rows had to them."""
    before = await asyncio.to_thread(everything, url)

    deleted = await backstay.conversations.delete(Selection(ids=tuple([await _id(url, f"chat {n}") for n in numbers])))
    await backstay.backups.restore(deleted.backup_id)

    assert deleted.deleted == len(numbers)
    assert await asyncio.to_thread(everything, url) == before


_EDITS = {
    "a chat": "UPDATE chats SET cost = 1 WHERE title = 'chat 4'",
    "a message": "UPDATE messages SET tokens = '{}' WHERE body = 'said 2 of chat 4'",
    "a new message": "INSERT INTO messages (chat_id, sender) SELECT chat_id, 'user' FROM chats WHERE title = 'chat 4'",
    "a tag": "UPDATE tags SET at = now() FROM chats WHERE chats.chat_id = tags.chat_id AND title = 'chat 4'",
    "a new tag": "INSERT INTO tags (chat_id, tag) SELECT chat_id, 'new' FROM chats WHERE title = 'chat 4'",
    "a rating": "UPDATE ratings SET stars = 1 FROM chats WHERE chats.chat_id = ratings.chat_id AND title = 'chat 4'",
}


def _edited_after_the_backup(backstay, url, edit, monkeypatch):
    store = backstay.conversations._deleter._stores.creation
    real = store.mark_verified

    async def verified(*arguments, **options):
        result = await real(*arguments, **options)
        await asyncio.to_thread(sql, url, edit)
        return result

    monkeypatch.setattr(store, "mark_verified", verified)


@pytest.mark.parametrize("what", _EDITS)
async def test_what_the_app_changes_meanwhile_is_kept(backstay, url, what, monkeypatch):
    """A conversation that the app changes during a delete stays, with the change and all its related rows."""
    await _check_that_a_change_is_kept(backstay, url, what, monkeypatch)


async def _check_that_a_change_is_kept(backstay, url, what, monkeypatch):
    _edited_after_the_backup(backstay, url, _EDITS[what], monkeypatch)

    deleted = await backstay.conversations.delete(ALL)

    # Ratings of other chats refer to a file of chat 1, which is deleted. That changes them, so some of them stay, too.
    assert deleted.changed >= 1, f"{deleted.changed} conversations were kept"
    assert await _id(url, "chat 4") in deleted.changed_ids
    remaining = await asyncio.to_thread(everything, url)
    assert any("chat 4" in row for row in remaining["chats"])
    assert len([row for row in remaining["messages"] if "of chat 4" in row]) == 3


async def test_without_the_row_version(backstay, url, monkeypatch):
    """Control: without the comparison of row versions the app's change is lost."""
    from backstay.library.record import Record

    monkeypatch.setattr(Record, "version", property(lambda _: b"the same"))
    real = backstay.conversations._deleter._stores.creation.mark_verified

    async def verified(*arguments, **more):
        await asyncio.to_thread(sql, url, "UPDATE backstay.backup_items SET row_version = 'the same'")
        return await real(*arguments, **more)

    monkeypatch.setattr(backstay.conversations._deleter._stores.creation, "mark_verified", verified)

    with pytest.raises(AssertionError, match=r"^0 conversations were kept"):
        await _check_that_a_change_is_kept(backstay, url, "a message", monkeypatch)

    assert not any("chat 4" in row for row in (await asyncio.to_thread(everything, url))["chats"])


@pytest.mark.parametrize("rule", ["CASCADE", "NO ACTION", "RESTRICT"])
async def test_what_a_trigger_of_the_app_keeps_is_kept_whole(url, rule):
    """A conversation that a trigger of the app keeps from being deleted also keeps its turns."""
    await asyncio.to_thread(
        sql, url,
        f"""ALTER TABLE messages DROP CONSTRAINT messages_chat_id_fkey, ADD FOREIGN KEY (chat_id)
                  REFERENCES chats ON DELETE {rule};
            CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF old.title = 'chat 5' THEN RETURN NULL; END IF; RETURN old; END $$;
            CREATE TRIGGER keep BEFORE DELETE ON chats FOR EACH ROW EXECUTE FUNCTION keep()""",
    )  # fmt: skip
    await _adopt(url)
    async with Backstay.open(url, owner=ANN) as backstay:
        before = await asyncio.to_thread(everything, url)
        deleted = await backstay.conversations.delete(ALL)
        remaining = await asyncio.to_thread(everything, url)

        assert (deleted.deleted, deleted.changed_ids) == (9, [await _id(url, "chat 5")])
        assert len([row for row in remaining["messages"] if "of chat 5" in row]) == 3
        await backstay.backups.restore(deleted.backup_id, on_conflict="skip")
        assert await asyncio.to_thread(everything, url) == before


async def test_rows_without_an_owner_belong_to_no_one(backstay, url):
    """Rows without an owner are neither shown nor deleted, and references that they lose by a delete are restored."""
    await asyncio.to_thread(
        sql, url, "UPDATE chats SET parent = (SELECT chat_id FROM chats WHERE title = 'chat 1') WHERE user_id IS NULL"
    )
    before = await asyncio.to_thread(everything, url)

    deleted = await backstay.conversations.delete(ALL)
    assert any("chat 13" in row for row in (await asyncio.to_thread(everything, url))["chats"])
    await backstay.backups.restore(deleted.backup_id)

    assert await asyncio.to_thread(everything, url) == before


async def test_owners_see_their_own(backstay, url):
    """A conversation of another owner is not found, and it changes owners when the app says so."""
    bob = backstay.for_owner(BOB)

    with pytest.raises(ConversationNotFound):
        await backstay.conversations.show(await _id(url, "chat 11"))
    assert [stored.topic for stored in await bob.conversations.list()] == ["chat 12", "chat 11"]
    await asyncio.to_thread(sql, url, f"UPDATE chats SET user_id = '{ANN}' WHERE title = 'chat 11'")
    assert [stored.topic for stored in await bob.conversations.list()] == ["chat 12"]
    assert "chat 11" in [stored.topic for stored in await backstay.conversations.list(limit=50)]


async def test_what_the_app_does_is_seen_at_once(backstay, url):
    """Backstay sees at once when the app inserts, deletes, renumbers or truncates its rows, or deletes a user."""

    async def topics():
        return [stored.topic for stored in await backstay.conversations.list(limit=50)]

    await asyncio.to_thread(sql, url, f"INSERT INTO chats (user_id, title) VALUES ('{ANN}', 'new')")
    assert (await topics())[0] == "new"
    await asyncio.to_thread(sql, url, "DELETE FROM chats WHERE title = 'chat 10'")
    await asyncio.to_thread(sql, url, "INSERT INTO chats SELECT gen_random_uuid(), user_id, 'more' FROM chats LIMIT 3")
    assert len(await topics()) == 13
    await asyncio.to_thread(
        sql, url, "DELETE FROM messages; UPDATE chats SET chat_id = '00000000-0000-4000-8000-0000000000ff'"
        " WHERE title = 'new'"
    )  # fmt: skip
    assert (await backstay.conversations.show("00000000-0000-4000-8000-0000000000ff")).topic == "new"
    await asyncio.to_thread(sql, url, f"DELETE FROM people WHERE id = '{ANN}'")
    assert await topics() == []
    await asyncio.to_thread(sql, url, "TRUNCATE chats CASCADE")
    assert await asyncio.to_thread(sql, url, "SELECT count(*) FROM backstay.adopted_conversations") == [(0,)]


_TOUCHES = {
    "another owner at once": ("INSERT", f"UPDATE chats SET user_id = '{BOB}' WHERE chat_id = new.chat_id"),
    "gone at once": ("INSERT", "DELETE FROM chats WHERE chat_id = new.chat_id"),
    "another id at once": ("INSERT", "UPDATE chats SET chat_id = gen_random_uuid() WHERE chat_id = new.chat_id"),
    "yet another owner": ("UPDATE OF title", f"UPDATE chats SET user_id = '{BOB}' WHERE chat_id = new.chat_id"),
    "an owner, and back": ("UPDATE OF user_id", f"UPDATE chats SET user_id = '{ANN}' WHERE chat_id = new.chat_id"),
    "gone when it changes": ("UPDATE OF chat_id", "DELETE FROM chats WHERE chat_id = new.chat_id"),
    "back when it goes": ("DELETE", "INSERT INTO chats (chat_id, user_id) VALUES (old.chat_id, old.user_id)"),
}


async def test_triggers_of_the_app_that_change_the_row(url):
    """The side table agrees with the app's table, whatever the app's own triggers do to a row."""
    await _adopt(url)
    for what, (event, body) in _TOUCHES.items():
        for name in ("a_touch", "z_touch"):
            await asyncio.to_thread(
                sql, url,
                f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        IF pg_trigger_depth() = 1 THEN {body}; END IF; RETURN NULL; END $$;
                    CREATE TRIGGER {name} AFTER {event} ON chats FOR EACH ROW EXECUTE FUNCTION {name}();
                    INSERT INTO chats (user_id, title) VALUES ('{ANN}', 'new');
                    UPDATE chats SET user_id = '{BOB}' WHERE title = 'new';
                    UPDATE chats SET title = 'newer' WHERE title = 'new';
                    UPDATE chats SET chat_id = gen_random_uuid(), user_id = '{ANN}' WHERE title = 'newer';
                    DELETE FROM chats WHERE title = 'newer';
                    DROP FUNCTION {name} CASCADE""",
            )  # fmt: skip
            assert await asyncio.to_thread(sql, url, _OUT_OF_STEP) == [], (what, name)


_OUT_OF_STEP = """
SELECT chat_id, user_id, app_id, owner
  FROM public.chats FULL JOIN backstay.adopted_conversations ON app_id = chat_id
 WHERE app_id IS NULL OR chat_id IS NULL OR id <> chat_id::text OR owner IS DISTINCT FROM user_id::text
"""


async def test_adopting_again_repairs_the_side_table(backstay, url):
    """Adopting again repairs what happened while Backstay's triggers were switched off."""
    await asyncio.to_thread(
        sql, url,
        f"""SET session_replication_role = replica; ALTER TABLE chats DISABLE TRIGGER ALL;
            DROP TRIGGER backstay_gone ON chats;
            DELETE FROM chats WHERE title = 'chat 12'; UPDATE chats SET user_id = '{BOB}' WHERE title = 'chat 1';
            INSERT INTO chats (user_id) VALUES ('{ANN}'); SET session_replication_role = origin;
            ALTER TABLE chats ENABLE TRIGGER ALL""",
    )  # fmt: skip
    assert len(await asyncio.to_thread(sql, url, _OUT_OF_STEP)) == 3

    await _adopt(url)

    assert await asyncio.to_thread(sql, url, _OUT_OF_STEP) == []
    await asyncio.to_thread(sql, url, "DELETE FROM chats WHERE title = 'chat 2'")
    assert await asyncio.to_thread(sql, url, _OUT_OF_STEP) == []


async def test_renaming_breaks_no_statement_of_the_app(backstay, url):
    """The app's statements still work after it has renamed a table or a column."""
    await asyncio.to_thread(
        sql, url,
        f"""DROP TRIGGER chat_gone ON chats; ALTER TABLE chats RENAME user_id TO owner_id;
            ALTER TABLE chats RENAME chat_id TO id;
            ALTER TABLE chats RENAME created_at TO made; ALTER TABLE chats RENAME TO talks;
            ALTER TABLE messages RENAME id TO number; ALTER TABLE messages RENAME TO lines;
            INSERT INTO talks (owner_id, title) VALUES ('{ANN}', 'new'), ('{ANN}', 'newer');
            UPDATE talks SET owner_id = '{BOB}', id = gen_random_uuid() WHERE title = 'new';
            UPDATE lines SET number = DEFAULT WHERE number = 40; DELETE FROM lines WHERE number > 52;
            DELETE FROM talks WHERE title = 'newer'""",
    )  # fmt: skip

    assert len(await backstay.conversations.list(limit=50)) == 10
    with pytest.raises(BackupError) as caught:
        await backstay.conversations.delete(ALL)
    assert caught.value.remedy is Remedy.ADOPT_AGAIN
    with pytest.raises(CannotAdopt, match="has no column 'user_id'"):
        await Backstay.open(url, owner=ANN).adopt("public.talks", "public.lines", {"owner": "user_id"})
    again = await Backstay.open(url, owner=ANN).adopt("public.talks", "public.lines", {"owner": "owner_id"})
    assert again.was_adopted
    assert (again.tables[0].columns["id"], again.tables[0].columns["created_at"]) == ("id", "made")
    deleted = await backstay.conversations.delete(ALL)
    assert (deleted.deleted, (await backstay.backups.restore(deleted.backup_id)).restored) == (10, 10)
    assert [stored.topic for stored in await backstay.for_owner(BOB).conversations.list()] == [
        "new",
        "chat 12",
        "chat 11",
    ]


# -- storing into them ---------------------------------------------------------------------------------------------


async def test_generating_into_them(backstay, url):
    """Generated conversations get built-in ids, ordered turns and the defaults of the app's columns."""
    result = await backstay.batches.run("new", [{"id": f"i{n}", "topic": f"topic {n}"} for n in range(20)], "scripted")
    rows = await asyncio.to_thread(
        sql, url, "SELECT user_id::text, title, cost, words FROM public.chats WHERE title LIKE ?", "topic%"
    )

    assert (result.completed, result.failed) == (20, 0)
    assert sorted(rows) == sorted((ANN, f"topic {n}", None, len(f"topic {n}")) for n in range(20))
    async for conversation in backstay.conversations.export(Selection(job_id="new")):
        assert [turn.role for turn in conversation.turns] == ["user", "assistant", "user", "assistant"]
        assert conversation.metadata == {
            "writer": "scripted",
            "generation": {"processor": "scripted", "attempt": 1},
        }
    again = await backstay.batches.run("new", [{"id": f"i{n}", "topic": f"topic {n}"} for n in range(20)], "scripted")
    assert again.did_nothing


async def test_an_import_is_stored_as_far_as_there_are_columns(backstay, url, tmp_path):
    """An import stores keys named like user columns in them, and refuses an id that does not fit the app's ids."""
    chat = "0b1e5f4c-93d6-4f0e-9d3b-0d7a3f1c2b5a"
    path = tmp_path / "in.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "metadata": {"a": 1}}]
    path.write_text(json.dumps({"id": chat, "topic": "came", "cost": "1.5000", "conversation_turns": turns}) + "\n")

    first = await backstay.conversations.import_file(path)
    again = await backstay.conversations.import_file(path)

    assert (first.imported, again.identical) == (1, 1)
    assert await asyncio.to_thread(sql, url, "SELECT cost::text FROM public.chats WHERE title = ?", "came") == [
        ("1.5000",)
    ]
    assert (await backstay.conversations.show(chat)).turns[1].metadata == {"a": 1}
    for unfit in ("not-a-uuid", chat.upper()):
        path.write_text(json.dumps({"id": unfit, "conversation_turns": turns}) + "\n")
        with pytest.raises(InvalidRow, match="line 1"):
            await backstay.conversations.import_file(path)


async def test_ids_that_are_numbers(url):
    """New conversations get numeric ids from the sequence of the app's table."""
    await asyncio.to_thread(
        sql, url,
        "CREATE TABLE talks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE lines (talk bigint REFERENCES talks, no integer, role text, content text,"
        " PRIMARY KEY (talk, no));"
        "INSERT INTO talks (name) VALUES ('old')",
    )  # fmt: skip
    await Backstay.open(url).adopt(
        "public.talks", "public.lines", {"topic": "name", "turns.sequence": "no", "turns.conversation": "talk"}
    )
    async with Backstay.open(url) as backstay:
        await backstay.batches.run("new", [{"topic": "a"}, {"topic": "b"}], "scripted", concurrency=1)
        ids = [stored.id for stored in await backstay.conversations.list()]
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

        assert sorted(ids) == ["1", "2", "3"]
        assert sorted(stored.id for stored in await backstay.conversations.list()) == ["1", "2", "3"]


def _small_app(url, **types):
    """Make tables with built-in ids, in which only the order column says which turn comes first."""
    types = {
        "id": "uuid",
        "owner": "text",
        "role": "text",
        "turn_id": "uuid",
        "at": "timestamptz",
        "topic": "text",
        **types,
    }
    sql(url, f"""
        CREATE TABLE talks (id {types["id"]} PRIMARY KEY, owner {types["owner"]}, topic {types["topic"]});
        CREATE TABLE lines (id {types["turn_id"]} PRIMARY KEY,
                            talk {types["id"]} NOT NULL REFERENCES talks ON DELETE CASCADE,
                            role {types["role"]}, content text, at {types["at"]})""")  # fmt: skip


async def _adopt_small(url, *, order="at", **more):
    return await Backstay.open(url, owner=ANN).adopt("public.talks", "public.lines", {"turns.order": order}, **more)


@pytest.mark.parametrize(
    "kind",
    ["timestamp(3)", "timestamptz(0) NOT NULL DEFAULT now()", "moment", "integer NOT NULL DEFAULT 0"],
    ids=["milliseconds", "seconds", "a domain", "a default that stays the same"],
)
async def test_new_turns_are_in_order(url, tmp_path, kind):
    """New turns are in order, however many digits the order column keeps, and whatever its default is."""
    await asyncio.to_thread(sql, url, "CREATE DOMAIN moment AS timestamptz(1)")
    await asyncio.to_thread(_small_app, url, at=kind)
    await _adopt_small(url)
    contents = [f"said {n}" for n in range(12)]
    path = tmp_path / "in.jsonl"
    path.write_text(
        json.dumps({"conversation_turns": [{"role": "user", "content": content} for content in contents]}) + "\n"
    )

    async with Backstay.open(url, owner=ANN) as backstay:
        await backstay.conversations.import_file(path)
        [summary] = await backstay.conversations.list()
        conversation = await backstay.conversations.show(summary.id)

    assert [turn.content for turn in conversation.turns] == contents


async def test_a_column_may_have_a_name_that_the_view_uses(url):
    """A column of the app may have the name of the column in which the view marks turns without an order."""
    await asyncio.to_thread(_small_app, url, at="timestamptz, backstay_order text")
    await asyncio.to_thread(
        sql, url, f"""INSERT INTO talks VALUES (gen_random_uuid(), '{ANN}', 'Tea');
        INSERT INTO lines SELECT gen_random_uuid(), id, 'user', 'Hello', NULL, 'kept' FROM talks"""
    )  # fmt: skip
    await _adopt_small(url)

    async with Backstay.open(url, owner=ANN) as backstay:
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

    assert await asyncio.to_thread(sql, url, "SELECT at, backstay_order FROM lines") == [(None, "kept")]


async def test_an_order_that_new_turns_cannot_have_is_named(url):
    """A unique order column without a sequence is reported as an obstacle, and with a sequence it is none."""
    await asyncio.to_thread(_small_app, url, at="integer NOT NULL UNIQUE DEFAULT 0")
    checked = await _adopt_small(url, check=True)
    await asyncio.to_thread(
        sql, url, "CREATE SEQUENCE places; ALTER TABLE lines ALTER at SET DEFAULT nextval('places')"
    )
    counted = await _adopt_small(url, check=True)

    assert "public.lines.at is unique, and no sequence is its default" in "".join(checked.not_writable_reasons)
    assert counted.not_writable_reasons == []


async def test_columns_that_are_too_short_are_named(url):
    """Columns too short for an id or a role are reported as obstacles, other limits on length as a remark."""
    await asyncio.to_thread(sql, url, "CREATE DOMAIN word AS varchar(5)")
    short = {"id": "varchar(35)", "turn_id": "varchar(8)", "role": "word", "topic": "char(20)"}
    await asyncio.to_thread(_small_app, url, **short)
    checked = await _adopt_small(url, check=True)
    await asyncio.to_thread(
        sql, url, "ALTER TABLE talks ALTER id TYPE varchar(36); ALTER TABLE lines ALTER talk TYPE varchar(36),"
        " ALTER id SET DEFAULT left(gen_random_uuid()::text, 8), ALTER role TYPE varchar(9)"
    )  # fmt: skip
    widened = await _adopt_small(url, check=True)

    assert checked.not_writable_reasons == [
        "public.talks.id holds 35 characters, but a generated id has 36",
        "public.lines.id holds 8 characters, but a generated id has 36",
        "public.lines.role holds 5 characters, but 'assistant' has 9",
    ]
    assert widened.not_writable_reasons == []
    assert [remark for remark in widened.remarks if "characters" in remark] == [
        "Limits on characters: public.talks.topic 20, public.lines.role 9. A new conversation that needs more is"
        " refused when it is stored"
    ]


async def test_turns_that_share_an_order_are_counted(url):
    """A remark counts the turns that share an order value within a conversation, null included."""
    await asyncio.to_thread(_small_app, url, id="integer", turn_id="bigint GENERATED ALWAYS AS IDENTITY", at="integer")
    await asyncio.to_thread(
        sql, url, "INSERT INTO talks SELECT generate_series(1, 2); INSERT INTO lines (talk, role, at) VALUES"
        " (1, 'user', 1), (1, 'user', 1), (1, 'user', 1), (1, 'user', 2), (2, 'user', 1), (2, 'user', NULL),"
        " (2, 'user', NULL)"
    )  # fmt: skip
    shared = await _adopt_small(url, check=True)
    await asyncio.to_thread(sql, url, "UPDATE lines SET at = id")
    distinct = await _adopt_small(url, check=True)

    assert shared.remarks[-1] == (
        "Rows of public.lines that share at with another of their conversation: 5. They are sorted by id"
    )
    assert not [remark for remark in distinct.remarks if "share" in remark]


async def test_the_id_may_be_the_order(url):
    """The column with a turn's id may also be the one that sorts the turns."""
    await asyncio.to_thread(_small_app, url, turn_id="bigint GENERATED ALWAYS AS IDENTITY")

    checked = await _adopt_small(url, order="id", check=True)

    assert (checked.tables[1].columns["id"], checked.tables[1].columns["order"]) == ("id", "id")
    assert checked.not_writable_reasons == []


async def test_texts_may_have_a_collation_of_their_own(url, tmp_path):
    """Adoption works with text columns of another collation than that of built-in owners and ids."""
    text = 'text COLLATE "POSIX"'
    await asyncio.to_thread(_small_app, url, id=text, owner=text, role=text, turn_id=text, topic=text)
    await _adopt_small(url)
    path = tmp_path / "in.jsonl"
    turns = [{"role": "user", "content": "Hi", "metadata": {"a": 1}}]
    path.write_text(json.dumps({"topic": "came", "conversation_turns": turns}) + "\n")

    async with Backstay.open(url, owner=ANN) as backstay:
        await backstay.conversations.import_file(path)
        deleted = await backstay.conversations.delete(Selection(search="CAME"))
        await backstay.backups.restore(deleted.backup_id)
        [summary] = await backstay.conversations.list()
        restored = await backstay.conversations.show(summary.id)
        await asyncio.to_thread(sql, url, f"UPDATE talks SET owner = '{BOB}'")
        others = await backstay.conversations.list()

    assert (deleted.deleted, restored.topic, restored.turns[0].metadata) == (1, "came", {"a": 1})
    assert others == []


@pytest.mark.parametrize(
    "change, why",
    [
        ("ALTER TABLE chats ADD COLUMN plan text NOT NULL DEFAULT ''; ALTER TABLE chats ALTER plan DROP DEFAULT",
         "public.chats.plan is NOT NULL and has no default"),
        ("ALTER TABLE messages ADD COLUMN n integer NOT NULL DEFAULT 1; ALTER TABLE messages ALTER n DROP DEFAULT",
         "public.messages.n is NOT NULL and has no default"),
        ("ALTER TABLE chats ADD COLUMN job_id text NOT NULL DEFAULT ''; ALTER TABLE chats ALTER job_id DROP DEFAULT",
         "public.chats.job_id is NOT NULL, but a new conversation may have no job_id"),
    ],
    ids=["a chat", "a message", "a job"],
)  # fmt: skip
async def test_a_column_in_the_way_is_named_beforehand(url, change, why, tmp_path):
    """With an obstacle no provider is called, while existing rows can be listed, deleted and restored."""
    await asyncio.to_thread(sql, url, change)
    adopted = await _adopt(url)
    calls = []

    async def paid(item):
        calls.append(item)

    async with Backstay.open(url, owner=ANN) as backstay:
        path = tmp_path / "in.jsonl"
        path.write_text(json.dumps({"conversation_turns": [{"role": "user", "content": "Hi"}]}) + "\n")
        with pytest.raises(AdoptedTableNotWritable, match=why):
            await backstay.batches.run("new", [{"topic": "a"}], paid)
        with pytest.raises(AdoptedTableNotWritable, match=why):
            await backstay.conversations.import_file(path)
        before = await asyncio.to_thread(everything, url)
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

    assert any(why in reason for reason in adopted.not_writable_reasons)
    assert calls == []
    assert await asyncio.to_thread(everything, url) == before


async def test_an_owner_that_does_not_fit_is_refused(backstay):
    """An owner that does not fit the app's owner column is refused before any provider is called."""
    with pytest.raises(
        AdoptedTableNotWritable, match=r"owner 'local': public\.chats\.user_id is of type uuid"
    ) as caught:
        await backstay.for_owner("local").batches.run("new", [{"topic": "a"}], "scripted")

    assert caught.value.remedy is Remedy.NAME_OWNER
    assert "--" not in caught.value.message


# -- adopting, and taking it back ----------------------------------------------------------------------------------


async def test_a_check_writes_nothing(url):
    """A check reports what an adoption would do, and changes neither rows nor the catalog."""
    before = await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)

    checked = await _adopt(url, check=True)
    between = await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)
    adopted = await _adopt(url)

    assert between == before
    assert checked == adopted
    assert [(table.user_table, table.rows) for table in adopted.tables] == [
        ("public.chats", 13),
        ("public.messages", 52),
    ]
    assert adopted.tables[0].side_columns == ["persona", "content", "metadata", "job_id", "item_id", "updated_at"]
    assert adopted.tables[1].other_columns == ["reply_to", "tokens"]
    assert adopted.not_writable_reasons == []
    assert adopted.remarks == [
        "Rows of public.chats without user_id: 1. They belong to no one, so they are neither shown nor deleted",
        "Limits on characters: public.chats.title 200. A new conversation that needs more is refused when it is stored",
    ]


async def test_an_adoption_is_undone(url):
    """Undoing an adoption restores everything of Backstay's and of the app's as it was before."""
    before = await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)

    await _adopt(url)
    again = await _adopt(url)
    given_back = await Backstay.open(url).unadopt()
    twice = await Backstay.open(url).unadopt()

    assert again.was_adopted
    assert list(given_back.tables) == ["public.chats", "public.messages"]
    assert list(twice.tables) == []
    assert (await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)) == before
    async with Backstay.open(url) as backstay:
        await backstay.batches.run("own", [{"topic": "a"}], "scripted")
        assert len(await backstay.conversations.list()) == 1


# As schema 10 had them.
_FORMER_NAMES = r"""
ALTER TABLE backstay.adopted RENAME user_table TO place;
ALTER TABLE backstay.adopted RENAME mapping TO asked;
ALTER TABLE backstay.adopted RENAME column_numbers TO numbers;
ALTER TABLE backstay.adopted RENAME digest TO made;
ALTER TABLE backstay.adopted RENAME obstacle TO hindered;
UPDATE backstay.adopted SET asked = asked - 'table' || jsonb_build_object('place', asked -> 'table');
ALTER TABLE backstay.adopted_conversations RENAME app_id TO their_id;
ALTER TABLE backstay.adopted_conversations
    RENAME CONSTRAINT adopted_conversations_app_id_key TO adopted_conversations_their_id_key;
ALTER VIEW backstay.adopted_rows RENAME app_id TO their_id;
DO $$
DECLARE
    definition  text;
BEGIN
    FOR definition IN
        SELECT regexp_replace(pg_get_functiondef(oid), '(?<!")\mapp_id\M(?!")', 'their_id', 'g')
          FROM pg_proc WHERE pronamespace = 'backstay'::regnamespace AND starts_with(proname, 'adopted_')
    LOOP
        EXECUTE definition;
    END LOOP;
END
$$;
DROP TABLE backstay.conversation_tags, backstay.conversation_reviews, backstay.conversation_versions;
DROP TABLE backstay.replacements, backstay.regenerations, backstay.kept_recipes;
ALTER TABLE backstay.backup_items DROP curation_digest, DROP late_curation;
DROP TABLE backstay.recipe_revisions, backstay.input_blocks;
DROP INDEX backstay.items_deleted;
ALTER TABLE backstay.jobs DROP revision;
ALTER TABLE backstay.items DROP original_digest;
DROP TABLE backstay.conversation_texts, backstay.imports, backstay.conversation_index, backstay.unindexed_conversations;
DROP FUNCTION backstay.unindex_conversations, backstay.unindex_turns, backstay.unindex_everything,
    backstay.metadata_model, backstay.metadata_has_list CASCADE;
DELETE FROM backstay.migrations WHERE number >= 11;
"""


async def test_a_migration_keeps_an_adoption(url):
    """An adoption of schema 10 is refused until the migration, which renames its columns and changes nothing else."""
    await asyncio.to_thread(sql, url, 'ALTER TABLE chats RENAME cost TO "their_id"')
    await _adopt(url)
    adopted = await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)
    await asyncio.to_thread(sql, url, _FORMER_NAMES)
    before = await asyncio.to_thread(chat_app.catalogue, url)

    with pytest.raises(SchemaOutdated):
        await Backstay.open(url, owner=ANN).__aenter__()
    await Backstay.open(url).migrate()

    assert before != adopted[0]
    assert (await _adopt(url)).was_adopted  # which creates the triggers that later migrations need
    assert (await asyncio.to_thread(chat_app.catalogue, url), await asyncio.to_thread(everything, url)) == adopted
    await asyncio.to_thread(sql, url, f"INSERT INTO chats (user_id, title) VALUES ('{ANN}', 'new')")
    assert await asyncio.to_thread(sql, url, _OUT_OF_STEP) == []


_DROPS = {
    "both": ("DROP TABLE messages, chats CASCADE", [], ["public.chats", "public.messages"], 0),
    "turns": ("DROP TABLE messages CASCADE", ["public.chats"], ["public.messages"], 1),
    "a column": ("ALTER TABLE chats DROP title CASCADE", ["public.chats", "public.messages"], [], 1),
    "the owner": ("ALTER TABLE chats DROP user_id CASCADE", ["public.chats", "public.messages"], [], 1),
}


@pytest.mark.parametrize("what", _DROPS)
async def test_an_adoption_without_its_tables_is_undone(url, what):
    """After the app's tables were dropped, every command says to undo the adoption, and undoing it works."""
    await _adopt(url)
    async with Backstay.open(url, owner=ANN) as backstay:
        await backstay.batches.run("new", [{"topic": "a"}], "scripted")
    drop, tables, dropped, lost = _DROPS[what]
    await asyncio.to_thread(sql, url, drop)
    if "public.chats" in tables:
        await asyncio.to_thread(
            sql, url, "INSERT INTO chats (cost) VALUES (77);"
            " UPDATE chats SET chat_id = gen_random_uuid() WHERE cost = 77; DELETE FROM chats WHERE cost = 2"
        )  # fmt: skip

    for refused in (Backstay.open(url).__aenter__, lambda: _adopt(url), Backstay.open(url).migrate):
        with pytest.raises(StoreCorrupt) as caught:
            await refused()
        assert caught.value.remedy is Remedy.UNDO_ADOPTION
    checked = await Backstay.open(url).unadopt(check=True)
    undone = await Backstay.open(url).unadopt()

    assert checked == undone
    assert (undone.tables, undone.dropped, undone.conversations) == (tables, dropped, lost)
    assert (await Backstay.open(url).unadopt()).is_empty
    async with Backstay.open(url) as backstay:
        assert await backstay.conversations.list() == []


async def test_an_unfinished_delete_blocks_the_undo(backstay, url):
    """An unfinished delete prevents the undo, since it would be lost which rows were deleted."""
    deleted = await backstay.conversations.delete(ALL)
    await asyncio.to_thread(sql, url, "UPDATE backstay.backups SET deletion = 'deleting'")

    with pytest.raises(CannotAdopt, match=deleted.backup_id):
        await Backstay.open(url).unadopt()


async def test_another_adoption_is_refused(backstay, url):
    """Another mapping is refused until the first adoption is undone."""
    with pytest.raises(CannotAdopt) as caught:
        await Backstay.open(url, owner=ANN).adopt(*WANTED[:2], {**COLUMNS, "topic": ""})
    assert caught.value.remedy is Remedy.UNDO_ADOPTION


async def test_a_renamed_table_is_adopted_again(backstay, url):
    """A renamed table can be read, and writes say to adopt it again, after which they work."""
    await asyncio.to_thread(sql, url, "ALTER TABLE chats RENAME TO talks")

    assert len(await backstay.conversations.list(limit=50)) == 10
    with pytest.raises(SchemaOutdated, match="was renamed"):
        await backstay.conversations.delete(ALL, backup=False)
    assert (await Backstay.open(url).adopt("public.talks", *WANTED[1:])).was_adopted
    assert (await backstay.conversations.delete(ALL, backup=False)).deleted == 10


async def test_a_later_column_of_a_builtin_name_is_not_mapped(backstay, url):
    """A column that the app adds later under a built-in name does not replace the values in the side table."""
    await asyncio.to_thread(
        sql, url,
        "ALTER TABLE chats ADD updated_at timestamptz, ADD metadata jsonb, ADD persona text DEFAULT 'theirs';"
        " ALTER TABLE messages ADD metadata jsonb",
    )  # fmt: skip
    again = await _adopt(url)

    assert again.was_adopted
    assert "metadata" in again.tables[0].side_columns
    await backstay.batches.run("new", [{"topic": "a"}], "scripted")
    assert [stored.metadata async for stored in backstay.conversations.export(Selection(job_id="new"))] == [
        {"writer": "scripted", "generation": {"processor": "scripted", "attempt": 1}}
    ]
    with pytest.raises(CannotAdopt) as caught:
        await Backstay.open(url, owner=ANN).adopt(*WANTED[:2], {**COLUMNS, "metadata": "metadata"})
    assert caught.value.remedy is Remedy.UNDO_ADOPTION


async def test_what_else_has_changed_is_taken_in(backstay, url):
    """Adopting again takes in a new default and a new foreign key, and leaves views of others alone if it can."""
    await asyncio.to_thread(sql, url, "CREATE VIEW mine AS SELECT id, topic FROM backstay.conversations")
    assert (await _adopt(url)).was_adopted
    await asyncio.to_thread(
        sql, url,
        """ALTER TABLE chats ALTER cost SET DEFAULT 7; ALTER TABLE messages DROP CONSTRAINT messages_chat_id_fkey,
           ADD FOREIGN KEY (chat_id) REFERENCES chats""",
    )  # fmt: skip
    with pytest.raises(CannotAdopt, match="depends on"):
        await _adopt(url)
    await asyncio.to_thread(sql, url, "DROP VIEW mine")
    await _adopt(url)

    await backstay.batches.run("new", [{"topic": "a"}], "scripted")
    assert await asyncio.to_thread(sql, url, "SELECT cost::int FROM chats WHERE title = 'a'") == [(7,)]
    assert (await backstay.conversations.delete(ALL)).deleted == 11


async def test_columns_that_come_later_are_taken_in(backstay, url):
    """New columns of the app block backups and deletes, which would lose them, until the tables are adopted again."""
    await asyncio.to_thread(sql, url, "ALTER TABLE chats ADD COLUMN mood text DEFAULT 'fine'")

    with pytest.raises(BackupError) as caught:
        await backstay.conversations.delete(ALL)
    assert caught.value.remedy is Remedy.ADOPT_AGAIN
    assert (await _adopt(url)).was_adopted
    before = await asyncio.to_thread(everything, url)
    deleted = await backstay.conversations.delete(ALL)
    await backstay.backups.restore(deleted.backup_id)

    assert await asyncio.to_thread(everything, url) == before
    assert any("fine" in row for row in before["chats"])


async def test_concurrent_adoptions_adopt_once(url):
    """Of many concurrent adoptions one takes place, and the others find it done."""
    results = await asyncio.gather(*(_adopt(url) for _ in range(20)))

    assert sorted(result.was_adopted for result in results) == [False, *[True] * 19]
    assert await asyncio.to_thread(sql, url, "SELECT count(*) FROM backstay.adopted_conversations") == [(13,)]


@pytest.mark.sweep
async def test_a_killed_adoption_is_complete_or_absent(url):
    """An adoption or its undo that is killed at any moment is complete or has no effect, and succeeds when repeated."""
    bare = await asyncio.to_thread(chat_app.catalogue, url)
    rows = await asyncio.to_thread(everything, url)
    await _adopt(url)
    whole = await asyncio.to_thread(chat_app.catalogue, url)
    await Backstay.open(url).unadopt()
    words = [
        "--conversations",
        WANTED[0],
        "--turns",
        WANTED[1],
        "--map",
        ",".join(f"{k}={v}" for k, v in COLUMNS.items()),
    ]
    seen = set()
    for number in range(60 if FULL else 4):
        for verb, before, after in ((words, bare, whole), (["--undo"], whole, bare)):
            process = subprocess.Popen(
                [sys.executable, "-m", "backstay", "--database", url, "--owner", ANN, "adopt", *verb],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
            )  # fmt: skip
            await asyncio.sleep(0.5 + number * 0.4 / (60 if FULL else 4))  # any instant will do
            process.send_signal(signal.SIGKILL)
            process.wait()
            catalog = await asyncio.to_thread(_settled, url)
            assert catalog in (before, after)
            seen.add(catalog == after)
            await (_adopt(url) if verb is words else Backstay.open(url).unadopt())
            assert await asyncio.to_thread(chat_app.catalogue, url) == after
            assert await asyncio.to_thread(everything, url) == rows


def _settled(url):
    """Return the catalog once the server has noticed which clients are dead."""
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state <> 'idle' AND backend_type = 'client backend'"
    )
    until(lambda: sql(url, busy) == [(0,)])
    return chat_app.catalogue(url)


# -- refusals ------------------------------------------------------------------------------------------------------

_REFUSED = {
    "no such table": (("public.chat", "public.messages"), {}, "Table public.chat not found;"),
    "no table's name": (('"a', "public.messages"), {}, "not found"),
    "no such column": (WANTED[:2], {"id": "nothing"}, "public.chats has no column 'nothing'; it has: chat_id"),
    "an unknown name": (WANTED[:2], {"title": "title"}, "title is not a built-in name"),
    "no unique id": (WANTED[:2], {"id": "parent"}, "is not unique, or may be null. Change that"),
    "no id at all": (WANTED[:2], {"id": ""}, "No column of public.chats is mapped to the id"),
    "another type": (WANTED[:2], {"topic": "cost"}, "public.chats.cost is of type numeric"),
    "a computed column": (WANTED[:2], {"topic": "words"}, "words is computed from other columns"),
    "twice": (WANTED[:2], {"persona": "title"}, "cannot be both"),
    "no order": (WANTED[:2], {"turns.order": ""}, "No column says which turn comes first"),
    "no role": (WANTED[:2], {"turns.role": ""}, "No column of public.messages is mapped to the role"),
    "no key between": (("public.people", "public.messages"), {"id": "id", "owner": "", "topic": "name"}, "foreign key"),
    "one table": (("public.chats", "public.chats"), {}, "cannot hold both"),
    "a table of Backstay": (("backstay.jobs", "public.messages"), {}, "is a table of Backstay's own"),
    "a view": (("public.seen", "public.messages"), {}, "public.seen is a view"),
    "partitioned": (("public.parted", "public.messages"), {}, "partitioned or inherited"),
}


@pytest.fixture(scope="module")
def refusing():
    postgres.need_a_server()
    url = chat_app.fresh_database(rows=False)
    sql(url, "CREATE VIEW seen AS SELECT * FROM chats; CREATE TABLE parted (id integer) PARTITION BY RANGE (id)")
    yield url
    postgres.drop_database(url)


@pytest.mark.parametrize("check", [True, False], ids=["check", "adopt"])
@pytest.mark.parametrize("what", _REFUSED)
async def test_what_does_not_fit_is_refused(refusing, what, check):
    """Tables and columns that do not fit are refused in one line that names them and the remedy."""
    tables, columns, why = _REFUSED[what]

    with pytest.raises(CannotAdopt) as refused:
        await Backstay.open(refusing, owner=ANN).adopt(*tables, {**COLUMNS, **columns}, check=check)

    assert why in refused.value.message
    assert "\n" not in refused.value.message


async def test_what_is_not_there_yet_is_refused(url, tmp_path):
    """Adoption is refused for a file, an unmigrated database, a library that is not empty, and under a worker."""
    with pytest.raises(CannotAdopt, match="SQLite"):
        await Backstay.open(tmp_path / "file.db").adopt(*WANTED)
    with pytest.raises(SettingsError, match="table of turns to adopt is not named"):
        await Backstay.open(url).adopt("public.chats")
    empty = postgres.fresh_database(migrated=False)
    with pytest.raises(SchemaOutdated) as caught:
        await Backstay.open(empty).adopt(*WANTED)
    assert caught.value.remedy is Remedy.MIGRATE
    postgres.drop_database(empty)
    async with Backstay.open(url) as backstay:
        await backstay.batches.run("own", [{"topic": "a"}], "scripted")
        with pytest.raises(CannotAdopt, match="conversations of its own"):
            await _adopt(url)
        with pytest.raises(CannotAdopt, match="conversations of its own"):
            await _adopt(url, check=True)
        await backstay.conversations.delete(ALL)

        refused = []

        async def meanwhile(item):
            with pytest.raises(SchemaOutdated, match="a worker"):
                await _adopt(url)
            refused.append(item)

        await backstay.batches.run("working", [{"topic": "a"}], meanwhile)
        assert len(refused) == 1


async def test_tables_of_another_role_are_refused(url):
    """Tables of another role are refused, since only their owner can create triggers on them."""
    with psycopg.connect(url, autocommit=True) as connection:
        role = f"other_{url.rpartition('/')[2]}"
        connection.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public, backstay TO {role};"
            f" GRANT ALL ON ALL TABLES IN SCHEMA public, backstay TO {role}"
        )
    try:
        other = url.replace("//postgres:", f"//{role}:", 1)
        before, _, rest = other.partition(f"//{role}:")
        with pytest.raises(StoreDenied, match="belongs to another role"):
            await Backstay.open(f"{before}//{role}:x@{rest.partition('@')[2]}", owner=ANN).adopt(*WANTED)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_settings_say_it_too(url, tmp_path, monkeypatch):
    """The mapping may come from the settings file, and arguments of the call override it."""
    lines = ["[adopt]", 'conversations = "public.chats"', 'turns = "public.messages"', "[adopt.map]"]
    lines += [f'{name} = "{column}"' for name, column in COLUMNS.items() if "." not in name and name != "id"]
    lines += ["[adopt.map.turns]", *(f'{name[6:]} = "{column}"' for name, column in COLUMNS.items() if "." in name)]
    (tmp_path / "backstay.toml").write_text("\n".join(lines))

    checked = await Backstay.open(url, owner=ANN).adopt(columns={"id": "chat_id"}, check=True)

    assert checked.tables[0].columns["topic"] == "title"
    (tmp_path / "backstay.toml").write_text("[adopt]\nconversation = 'x'")
    with pytest.raises(SettingsError, match="adopt"):
        await Backstay.open(url, owner=ANN).adopt()
