"""Related rows in the user's own tables: in plans, backups, deletes and restores."""

import asyncio

import pytest

from backstay import Backstay, Selection
from backstay.errors import ColumnsDiffer, DeleteBlocked, PlanOutdated, RestoreDiffers
from support.faults.batch_invariants import violations
from support.stores import app_schema
from support.stores.library import ALL, filled
from support.stores.sql import ask, is_server

pytestmark = [
    pytest.mark.promise("K1", "K2"),
    pytest.mark.own_tables("foreign keys of an app refer to built-in tables; test_adoption has those to user tables"),
]


@pytest.fixture
async def app(path):
    """Open a library of 10 conversations with tables of an app that refer to them."""
    await filled(path, 10, job=False)
    await asyncio.to_thread(app_schema.make, path)
    async with Backstay.open(path) as backstay:
        yield backstay
    assert violations(path, at_rest=False) == []


def _ids(*keys):
    return Selection(ids=tuple(f"c{key - 1:05}" for key in keys))


async def _everything(path):
    return await asyncio.to_thread(app_schema.everything, path)


async def _sql(path, statement):
    prefix = "SET search_path = public, backstay; " if is_server(path) else ""
    return await asyncio.to_thread(ask, path, prefix + statement)


async def test_everything_is_restored(app, path):
    """Deleted and changed related rows of every table are restored as the database wrote them."""
    before = await _everything(path)

    deleted = await app.conversations.delete(ALL)
    gone = await _everything(path)
    verified = await app.backups.verify(deleted.backup_id)
    restored = await app.backups.restore(deleted.backup_id)
    again = await app.backups.restore(deleted.backup_id)

    assert (deleted.deleted, deleted.changed, verified.state) == (10, 0, "verified")
    assert [len(gone[name]) for name in ("chat_tags", "attachments", "ratings", "links")] == [0, 0, 1, 0]
    assert await _everything(path) == before
    assert (restored.restored, restored.related_not_restored, again.identical) == (10, 0, 10)
    assert restored.related == 13 + 14 + 5 + 6 + 5


async def test_the_plan_names_them(app, path):
    """The plan names tables with their numbers of rows, those that only change, and the triggers that fire."""
    plan = await app.conversations.plan_delete(_ids(1))

    def named(table):
        return app_schema.named(path, table)

    assert {(related.table, related.rows, related.is_deleted) for related in plan.related} == {
        (named("chat_tags"), 3, True),
        (named("attachments"), 2, True),
        (named("ratings"), 3, True),
        (named("links"), 3, True),
        (named("users"), 1, False),
        ("conversations", 2, False),
    }
    assert [(trigger.name, trigger.table) for trigger in plan.triggers] == [("rating_gone", named("ratings"))]


async def test_a_row_of_two_conversations_is_counted_once(app, path):
    """A row that refers to two selected conversations is counted once."""
    plan = await app.conversations.plan_delete(_ids(1, 2))

    counts = {related.table: related.rows for related in plan.related}
    assert counts[app_schema.named(path, "links")] == 3


@pytest.mark.parametrize("keys", [(1,), (2, 3), (9, 1), (3, 5)])
async def test_a_part_is_restored(app, path, keys):
    """A partial restore includes rows that also refer to other conversations."""
    before = await _everything(path)

    deleted = await app.conversations.delete(_ids(*keys))
    assert await _everything(path) != before
    restored = await app.backups.restore(deleted.backup_id)

    assert deleted.deleted == len(keys)
    assert await _everything(path) == before
    assert restored.related_not_restored == 0


async def test_what_refers_to_something_missing_waits_for_it(app, path):
    """A row that refers to two conversations is restored with the second of them."""
    before = await _everything(path)
    deleted = await app.conversations.delete(ALL)

    first = await app.backups.restore(deleted.backup_id, _ids(3))
    between = await _everything(path)
    await app.backups.restore(deleted.backup_id, _ids(*(key for key in range(1, 11) if key != 3)), on_conflict="skip")

    assert first.related_not_restored > 0
    assert not any("'c'" in row or ",c)" in row for row in between["links"])
    assert (await _everything(path))["links"] == before["links"]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE ratings SET mood = 'fine' WHERE id = 3",
        "DELETE FROM attachments WHERE id = 2",
        "INSERT INTO chat_tags (chat, tag) VALUES (2, 3)",
        "UPDATE users SET latest = 2 WHERE name = 'Cid'",
    ],
)
async def test_a_conversation_with_changed_related_rows_is_kept(app, path, edit, monkeypatch):
    """A conversation is not deleted if its related rows differ from the backup."""
    await _check_that_a_changed_relation_is_kept(app, path, edit, monkeypatch)


async def _check_that_a_changed_relation_is_kept(app, path, edit, monkeypatch):
    before = await _everything(path)
    store = app.conversations._deleter._stores.creation
    real = store.mark_verified

    async def edited(*args, **kwargs):
        result = await real(*args, **kwargs)
        await _sql(path, edit)
        return result

    monkeypatch.setattr(store, "mark_verified", edited)
    deleted = await app.conversations.delete(ALL)
    await _sql(path, "UPDATE users SET latest = NULL WHERE name = 'Cid'")

    assert deleted.changed >= 1, f"{deleted.changed} conversations were kept"
    assert deleted.deleted + deleted.changed == 10
    await app.backups.restore(deleted.backup_id, on_conflict="skip")
    after = await _everything(path)
    assert after["conversations"] == before["conversations"]
    assert after["links"] == before["links"]


async def test_without_the_comparison_of_related_rows(app, path, monkeypatch):
    """Control: without related rows in the row version, an edited row would be lost."""
    from backstay.storage.sql import deletes

    def trusting(session, owner, keys, columns):
        values = {"key": 1, "owner": owner, "first": 0, "limit": 100}
        noted = {row[1]: row[4] for row in session.rows("backup_items_after", values)}
        return [_Trusted(record, noted[record.id]) for record in real_find(session, owner, keys, columns)]

    real_find = deletes.find_by_keys
    monkeypatch.setattr(deletes, "find_by_keys", trusting)

    with pytest.raises(AssertionError, match=r"^0 conversations were kept"):
        await _check_that_a_changed_relation_is_kept(
            app, path, "UPDATE ratings SET mood = 'fine' WHERE id = 3", monkeypatch
        )


class _Trusted:
    """A record whose row version always equals the stored one."""

    def __init__(self, record, version):
        self.version = version
        self.key, self.job_id, self.item_id, self.id = record.key, record.job_id, record.item_id, record.id


@pytest.mark.parametrize("rule", ["", "ON DELETE RESTRICT", "ON DELETE NO ACTION"])
async def test_rows_that_forbid_it_refuse_the_plan(app, path, rule):
    """Rows that forbid a delete block it and are named; conversations without such rows are deleted."""
    schema = "backstay.conversations" if is_server(path) else "conversations"
    await _sql(path, f"CREATE TABLE invoices (id integer PRIMARY KEY, chat bigint REFERENCES {schema} (key) {rule})")
    await app.conversations.plan_delete(ALL)
    await _sql(path, "INSERT INTO invoices VALUES (1, 2), (2, 2), (3, NULL)")

    with pytest.raises(DeleteBlocked, match=r"2 rows of (public\.)?invoices refer to these conversations"):
        await app.conversations.delete(ALL)
    deleted = await app.conversations.delete(_ids(4))

    assert deleted.deleted == 1
    assert await app.conversations.count(ALL) == 9


_GENERATED = {
    "child": (
        "CREATE TABLE marks (id integer PRIMARY KEY, about bigint, chat bigint GENERATED ALWAYS AS (about) STORED"
        " REFERENCES {ours}conversations (key) ON DELETE CASCADE); INSERT INTO marks (id, about) VALUES (1, 1)",
        "marks.chat",
    ),
    "parent": (
        "CREATE TABLE marks (id integer PRIMARY KEY,"
        " chat bigint REFERENCES {ours}conversations (key) ON DELETE CASCADE,"
        " code bigint GENERATED ALWAYS AS (id * 10) STORED UNIQUE);"
        "CREATE TABLE stars (id integer PRIMARY KEY, mark bigint REFERENCES marks (code));"
        "INSERT INTO marks (id, chat) VALUES (1, 1); INSERT INTO stars VALUES (1, 10)",
        "marks.code",
    ),
    "conversations": (
        "ALTER TABLE {ours}conversations ADD COLUMN code bigint GENERATED ALWAYS AS (key * 10) {kind};"
        "CREATE UNIQUE INDEX codes ON {ours}conversations (code);"
        "CREATE TABLE marks (id integer PRIMARY KEY, chat bigint REFERENCES {ours}conversations (code)"
        " ON DELETE CASCADE); INSERT INTO marks VALUES (1, 10)",
        "conversations.code",
    ),
}


@pytest.mark.parametrize("table", _GENERATED)
async def test_a_foreign_key_on_a_generated_column_refuses_the_plan(app, path, table):
    """A key that uses a generated column blocks deletes, also one planned before; backups and restores still work."""
    earlier = await app.conversations.delete(_ids(5))
    plan = await app.conversations.plan_delete(ALL)
    schema, kind = ("backstay.", "STORED") if is_server(path) else ("", "VIRTUAL")
    statements, column = _GENERATED[table]
    await _sql(path, statements.format(ours=schema, kind=kind))

    with pytest.raises(DeleteBlocked, match=rf"uses the generated column (public\.)?{column};"):
        await app.conversations.plan_delete(ALL)
    with pytest.raises(PlanOutdated if table == "parent" else DeleteBlocked):
        await app.conversations.delete(plan)
    backup = await app.backups.create(_ids(1))
    restored = await app.backups.restore(earlier.backup_id)

    assert (backup.state, restored.restored, await app.conversations.count(ALL)) == ("verified", 1, 10)
    assert await _sql(path, "SELECT count(*) FROM marks") == [(1,)]


async def test_unselected_conversations_refuse_the_plan(app, path):
    """A delete is refused if it would also delete conversations that were not selected."""
    schema = "backstay.conversations" if is_server(path) else "conversations"
    await _sql(
        path, f"ALTER TABLE {schema} ADD COLUMN under bigint REFERENCES {schema} ON DELETE CASCADE;"
        f"UPDATE {schema} SET under = 4 WHERE key = 6",
    )  # fmt: skip

    with pytest.raises(DeleteBlocked, match="1 row of conversations would be deleted with them"):
        await app.conversations.delete(_ids(4))
    await app.conversations.delete(_ids(6))
    await app.conversations.delete(_ids(4))

    assert await app.conversations.count(ALL) == 8


async def test_rows_that_come_after_the_plan_outdate_it(app, path):
    """Related rows added after the plan outdate it."""
    plan = await app.conversations.plan_delete(_ids(4))
    await _sql(path, "INSERT INTO chat_tags (chat, tag) VALUES (4, 3)")

    with pytest.raises(PlanOutdated):
        await app.conversations.delete(plan)

    assert await app.conversations.count(ALL) == 10


async def test_a_trigger_that_changes_related_rows_is_detected(app, path):
    """A restore whose related rows a trigger changes is rolled back, and the table is named."""
    deleted = await app.conversations.delete(ALL)
    await _sql(path, """
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE public.chat_tags SET at = now() WHERE chat = new.chat; RETURN new; END $$;
        CREATE TRIGGER t AFTER INSERT ON chat_tags FOR EACH ROW EXECUTE FUNCTION meddle()
    """ if is_server(path) else """
        CREATE TRIGGER t AFTER INSERT ON chat_tags BEGIN
        UPDATE chat_tags SET at = 1.5 WHERE chat = new.chat; END
    """)  # fmt: skip

    with pytest.raises(RestoreDiffers, match=r"in its rows in (public\.)?chat_tags"):
        await app.backups.restore(deleted.backup_id)

    assert await app.conversations.count(ALL) == 0


async def test_numbers_continue_after_restored_rows(app, path):
    """A row added after a restore gets an unused number, even if the sequence was reset."""
    deleted = await app.conversations.delete(ALL)
    table = app_schema.named(path, "ratings")
    if is_server(path):
        await _sql(path, "ALTER SEQUENCE ratings_id_seq RESTART; DELETE FROM ratings")
    await app.backups.restore(deleted.backup_id)

    await _sql(path, "INSERT INTO ratings (price) VALUES (7)")

    assert await asyncio.to_thread(ask, path, f"SELECT id FROM {table} WHERE price = 7 AND id > 5") != []


@pytest.mark.parametrize("by", ["a row that goes", "a conversation"])
async def test_references_to_a_conversation_that_goes_later(path, by):
    """A conversation does not look changed because a row that referred to it was deleted before it."""
    await filled(path, 60, job=False)
    schema = "backstay." if is_server(path) else ""
    if by == "a conversation":
        await _sql(path, f"ALTER TABLE {schema}conversations ADD COLUMN parent bigint"
                         f" REFERENCES {schema}conversations ON DELETE SET NULL")  # fmt: skip
        await _sql(path, f"UPDATE {schema}conversations SET parent = 60 WHERE key IN (1, 2)")
    else:
        await _sql(path, f"CREATE TABLE seen (turn bigint PRIMARY KEY"
                         f" REFERENCES {schema}conversations ON DELETE CASCADE,"
                         f" best bigint REFERENCES {schema}conversations ON DELETE SET NULL)")  # fmt: skip
        await _sql(path, "INSERT INTO seen VALUES (1, 60), (2, 60)")
    async with Backstay.open(path) as backstay:
        deleted = await backstay.conversations.delete(ALL)
        restored = await backstay.backups.restore(deleted.backup_id)

    assert (deleted.deleted, deleted.changed, restored.restored, restored.related_not_restored) == (60, 0, 60, 0)


async def test_tables_that_refer_to_each_other_are_restored(app, path):
    """Rows of two tables that refer to each other are restored, even if the first by name needs the second."""
    schema = "backstay." if is_server(path) else ""
    chat = f"chat bigint REFERENCES {schema}conversations (key) ON DELETE CASCADE"
    await _sql(path, f"CREATE TABLE a2 (id integer PRIMARY KEY, {chat}, a1 integer)")
    await _sql(path, f"CREATE TABLE a1 (id integer PRIMARY KEY, {chat},"
                     " a2 integer NOT NULL REFERENCES a2 ON DELETE CASCADE)")  # fmt: skip
    await _sql(path, "ALTER TABLE a2 ADD COLUMN back integer REFERENCES a1 ON DELETE CASCADE")
    await _sql(path, "INSERT INTO a2 VALUES (1, 1, 1, NULL), (2, 2, 1, NULL)")
    await _sql(path, "INSERT INTO a1 VALUES (1, 1, 1), (2, 2, 1); UPDATE a2 SET back = id")
    before = [await _sql(path, f"SELECT * FROM {table} ORDER BY id") for table in ("a1", "a2")]

    deleted = await app.conversations.delete(ALL)
    restored = await app.backups.restore(deleted.backup_id)

    assert restored.related_not_restored == 0
    assert [await _sql(path, f"SELECT * FROM {table} ORDER BY id") for table in ("a1", "a2")] == before


async def test_rows_that_go_with_another_conversation_do_not_block(app, path):
    """A row whose foreign key takes no action blocks no delete that also deletes the row, with any conversation."""
    schema = "backstay." if is_server(path) else ""
    chat = f"chat bigint REFERENCES {schema}conversations (key) ON DELETE CASCADE"
    await _sql(path, f"CREATE TABLE parts (id integer PRIMARY KEY, {chat})")
    await _sql(path, f"CREATE TABLE remarks (id integer PRIMARY KEY, {chat}, part integer REFERENCES parts)")
    await _sql(path, "INSERT INTO parts VALUES (1, 1), (2, 2), (3, 3)")
    await _sql(path, "INSERT INTO remarks VALUES (1, 3, 1), (2, 3, 2), (3, 1, 3)")

    deleted = await app.conversations.delete(_ids(1, 2, 3))
    restored = await app.backups.restore(deleted.backup_id)
    again = await app.conversations.delete(_ids(1, 2, 3), backup=False)

    assert (deleted.deleted, restored.restored, restored.related_not_restored, again.deleted) == (3, 3, 0, 3)


async def test_the_case_of_names_does_not_matter(app, path):
    """A foreign key may write a column in another case than the table that it refers to."""
    schema = "backstay." if is_server(path) else ""
    await _sql(path, f"CREATE TABLE parts (Id integer PRIMARY KEY,"
                     f" chat bigint REFERENCES {schema}conversations (KEY) ON DELETE CASCADE)")  # fmt: skip
    await _sql(path, "CREATE TABLE remarks (id integer PRIMARY KEY, part integer REFERENCES Parts (ID)"
                     " ON DELETE CASCADE)")  # fmt: skip
    await _sql(path, "INSERT INTO parts VALUES (1, 1), (2, 2)")
    await _sql(path, "INSERT INTO remarks VALUES (1, 1), (2, 2)")
    before = await _sql(path, "SELECT * FROM remarks ORDER BY id")

    deleted = await app.conversations.delete(ALL)
    gone = await _sql(path, "SELECT * FROM remarks")
    restored = await app.backups.restore(deleted.backup_id)

    assert (len(before), gone, restored.related_not_restored) == (2, [], 0)
    assert await _sql(path, "SELECT * FROM remarks ORDER BY id") == before


async def test_rows_whose_foreign_key_deletes_them_no_longer_are_refused(app, path):
    """Deleted rows are not restored into a table whose rows a delete would now keep; the foreign key is named."""
    schema = "backstay." if is_server(path) else ""
    marks = f"CREATE TABLE marks (id integer PRIMARY KEY, chat bigint REFERENCES {schema}conversations (key) ON DELETE"
    await _sql(path, f"{marks} CASCADE)")
    await _sql(path, "INSERT INTO marks VALUES (1, 1)")
    deleted = await app.conversations.delete(ALL)
    await _sql(path, "DROP TABLE marks")
    await _sql(path, f"{marks} SET NULL)")

    with pytest.raises(ColumnsDiffer, match=r"has rows of (public\.)?marks, by a foreign key that this database lacks"):
        await app.backups.restore(deleted.backup_id)

    assert await app.conversations.count(ALL) == 0
