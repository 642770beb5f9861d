"""Settings of a server, a database or a role: whatever they are, stored text is read back unchanged."""

import asyncio

import psycopg
import pytest

from backstay import Backstay, Selection
from backstay.errors import StorageError
from backstay.storage.postgres import write_connection
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import connect
from backstay.storage.postgres.errors import translate_errors
from support.faults.batch_invariants import violations
from support.harness.waiting import locks_waited_for, until
from support.stores.library import ALL, digests, filled
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B1", "K2")

_AWKWARD = {
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
    "search_path": "hostile, pg_catalog",
}
# Each is what one of our statements calls, but for the schema that it does not name.
_HOSTILE = """
    CREATE SCHEMA hostile;
    CREATE FUNCTION hostile.never(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
    CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.never);
    CREATE FUNCTION hostile.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''stolen''';
    CREATE FUNCTION hostile.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT 0::bigint';
    CREATE FUNCTION hostile.to_json(text) RETURNS json LANGUAGE sql AS 'SELECT ''"stolen"''::json';
    CREATE FUNCTION hostile.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''stolen''';
    CREATE FUNCTION hostile.nextval(text) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint';
    CREATE FUNCTION hostile.concat(VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT ''stolen''';
"""
_COLUMNS = """
    ALTER TABLE backstay.conversations ADD COLUMN at timestamptz DEFAULT '2025-01-01 01:02:03.000001+09',
        ADD COLUMN took interval DEFAULT '1 mon -2 days 00:00:00.5', ADD COLUMN score double precision DEFAULT 0.1,
        ADD COLUMN embedding bytea DEFAULT '\\x005cff', ADD COLUMN labels text[] DEFAULT ARRAY['a', NULL, 'NULL']
"""


@pytest.fixture
def safe(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    monkeypatch.chdir(tmp_path)


def _asked(url, *statements):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("columns", ["", _COLUMNS], ids=["our columns", "a user's columns"])
async def test_nothing_depends_on_settings(url, safe, columns):
    """Jobs, imports, searches, deletes and restores work the same when every setting differs."""
    database = url.rpartition("/")[2]
    _asked(
        url,
        _HOSTILE,
        *([columns] if columns else []),
        *(f"ALTER DATABASE {database} SET {name} = {value}" for name, value in _AWKWARD.items()),
    )

    await filled(url, 20)
    async with Backstay.open(url) as backstay:
        before = await digests(backstay)
        count = await backstay.conversations.count(Selection(search="TOPIC 7"))
        deleted = await backstay.conversations.delete(ALL)
        restored = await backstay.backups.restore(deleted.backup_id)
        after = await digests(backstay)

    assert (count, deleted.deleted, restored.restored, restored.relinked) == (1, 25, 25, 5)
    assert after == before
    _asked(url, f"ALTER DATABASE {database} RESET ALL")
    assert violations(url) == []


def _sessions(url):
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backstay'"
    return ask(url, query)


async def test_a_lock_that_others_hold_is_waited_for(url, safe):
    """A write waits for the lock of another program, even if the role has a short lock_timeout."""
    _asked(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET lock_timeout = '1ms'")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE backstay.jobs IN SHARE MODE")
        async with Backstay.open(url) as backstay:
            running = asyncio.create_task(backstay.batches.run("job", [{"topic": "a"}], "scripted"))
            await asyncio.to_thread(until, lambda: locks_waited_for(url, milliseconds=100) or running.done())
            other.rollback()
            result = await running

    assert result.completed == 1


async def test_a_session_that_was_ended_while_it_was_idle_is_made_again(url, safe):
    """A session that the server ended because it was idle is replaced."""
    _asked(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET idle_session_timeout = '200ms'")
    async with Backstay.open(url) as backstay:
        await backstay.batches.run("one", [{"topic": "a"}], "scripted")
        await asyncio.to_thread(until, lambda: not _sessions(url))
        result = await backstay.batches.run("two", [{"topic": "a"}], "scripted")

    assert result.completed == 1


_NEW = "the server has no transaction_timeout, which is new in PostgreSQL 17"
_LIMITS = {
    "statement_timeout": "150ms",
    "lock_timeout": "150ms",
    "transaction_timeout": "250ms",
    "idle_in_transaction_session_timeout": "150ms",
}
_LONG = "BEGIN; SELECT pg_sleep(5)"  # ended by the limit
# A statement that stores or restores rows takes longer than each limit.
_SLOW = """
    CREATE FUNCTION backstay.slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id IN ('c00003', 'c00007') THEN PERFORM pg_sleep(0.19); END IF; RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON backstay.conversations FOR EACH ROW EXECUTE FUNCTION backstay.slow();
"""


def _knows(url, setting):
    return bool(ask(url, "SELECT 1 FROM pg_settings WHERE name = ?", setting))


def _limited(url):
    """Set the limits of this server for every program on the database."""
    database = url.rpartition("/")[2]
    limits = {name: limit for name, limit in _LIMITS.items() if _knows(url, name)}
    _asked(url, _SLOW, *(f"ALTER DATABASE {database} SET {name} = '{limit}'" for name, limit in limits.items()))


async def test_no_limit_of_the_server_ends_an_import_or_a_restore(url, safe):
    """An import or a restore takes as long as it needs, whatever limits are set for other programs."""
    _limited(url)

    before = await filled(url, 10, job=False)
    async with Backstay.open(url) as backstay:
        deleted = await backstay.conversations.delete(ALL)
        restored = await backstay.backups.restore(deleted.backup_id)

        assert restored.restored == 10
        assert await digests(backstay) == before


async def test_an_import_whose_limit_is_not_lifted_is_ended(url, safe, monkeypatch):
    """Control: the server ends an import that does not lift the limit."""
    if not _knows(url, "transaction_timeout"):
        pytest.skip(_NEW)
    _limited(url)
    settings = write_connection.SETTINGS.replace(
        "set_config('transaction_timeout', '0', true)", "current_setting('work_mem')"
    )
    monkeypatch.setattr(write_connection, "SETTINGS", settings)

    with pytest.raises(StorageError, match="ended the session because of transaction_timeout"):
        await filled(url, 10, job=False)


@pytest.mark.parametrize(
    ("setting", "statement"),
    [("transaction_timeout", _LONG), ("idle_session_timeout", "SELECT 1")],
    ids=["long", "idle"],
)
def test_a_limit_that_ends_a_session_is_named_with_what_lifts_it(url, setting, statement):
    """Once the role has run the statement in the message, its sessions are not ended."""
    if not _knows(url, setting):
        pytest.skip(_NEW)
    database = url.rpartition("/")[2]
    _asked(url, f"ALTER ROLE postgres IN DATABASE {database} SET {setting} = '100ms'")

    connection = connect(ServerAddress.from_url(url))
    until(lambda: setting == "transaction_timeout" or not _sessions(url))
    with (
        pytest.raises(StorageError, match=f"ended the session because of {setting}") as ended,
        translate_errors(ServerAddress.from_url(url), "backstay"),
    ):
        connection.execute(statement)
    connection.close()
    _asked(url, ended.value.message.split("`")[1])

    with connect(ServerAddress.from_url(url)) as connection:
        assert connection.execute(f"SHOW {setting}").fetchone() == ("0",)
