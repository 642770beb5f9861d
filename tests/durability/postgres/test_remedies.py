"""The SQL in an error message is executed word for word, and then the refused step succeeds."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest

from backstay import Backstay, Selection
from backstay.doctor import Check, CheckLevel, examine
from backstay.errors import BackstayError, StorageError
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate, migrations
from support.harness.waiting import until
from support.stores import postgres, supabase
from support.stores.library import ALL, filled

_SQL = re.compile(r"`((?:GRANT|ALTER|CREATE|SELECT) [^`]+)`")

_OURS = """
GRANT ALL ON SCHEMA backstay TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA backstay TO {role};
GRANT ALL ON ALL SEQUENCES IN SCHEMA backstay TO {role};
"""
_OWNER = """
DO $$ DECLARE one record; BEGIN
    ALTER SCHEMA backstay OWNER TO {role};
    FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'backstay'::regnamespace AND relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE backstay.%I OWNER TO {role}', one.relname);
    END LOOP;
END $$;
"""
_NOTES = """
CREATE TABLE public.notes (chat bigint REFERENCES backstay.conversations (key) ON DELETE CASCADE, words text);
INSERT INTO public.notes SELECT key, 'kept' FROM backstay.conversations;
"""
_POLICY = """
ALTER TABLE backstay.turns ENABLE ROW LEVEL SECURITY;
CREATE POLICY every ON backstay.turns USING (TRUE) WITH CHECK (TRUE);
"""


async def _migrates(url: str) -> None:
    await Backstay.open(url).migrate(check=True)
    await Backstay.open(url).migrate()


async def _works(url: str) -> None:
    async with Backstay.open(url) as backstay:
        result = await backstay.batches.run(secrets.token_hex(4), [{"topic": "tea"}], "scripted")
        before = await backstay.conversations.count(ALL)
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

        assert result.completed == 1
        assert await backstay.conversations.count(ALL) == before


async def _deletes(url: str) -> None:
    async with Backstay.open(url) as backstay:
        deleted = await backstay.conversations.delete(Selection(ids=("c00001",)))
        restored = await backstay.backups.restore(deleted.backup_id)

    assert restored.restored == 1


def _adopts(*, sequence: str | None = None) -> Callable[[str], Awaitable[None]]:
    numbered = {"turns.sequence": sequence} if sequence else {"turns.order": "id"}

    async def adopts(url: str) -> None:
        columns = {"id": "id", "topic": "title", "turns.conversation": "chat", **numbered}
        adoption = await Backstay.open(url).adopt("public.chats", "public.messages", columns, check=True)
        if remarks := [remark for remark in adoption.remarks if "CREATE INDEX" in remark]:
            raise BackstayError(remarks[0])

    return adopts


async def _takes_over(url: str) -> None:
    checked = await Backstay.open(url).migrate_from_original("original", check=True)

    assert [job.id for job in checked.report.jobs] == ["nightly"]


def _chats(more: str = "", *, key: str = "PRIMARY KEY", refers: str = "REFERENCES public.chats") -> str:
    return f"""
        {_OWNER} GRANT ALL ON SCHEMA public TO {{role}};
        SET ROLE {{role}};
        CREATE TABLE public.chats (id uuid NOT NULL {key}, title text);
        CREATE TABLE public.messages (
            id bigint PRIMARY KEY, chat uuid NOT NULL {refers}, role text, content text, n integer
        );
        {more}
    """


_INDEX = "CREATE INDEX ON public.messages (chat);"


@dataclass(frozen=True)
class Case:
    """A step that a role is refused in a library that another role created."""

    act: Callable[[str], Awaitable[None]]
    made: str
    """What was done before."""
    says: str
    has_users: bool = False
    known: int | None = None
    """The number of migrations that were applied; None: all."""
    more: Sequence[str] = ()
    """What further messages say once the first one was followed."""


CASES = {
    "migrate without a right to the users": Case(
        _migrates,
        "GRANT CREATE ON DATABASE {database} TO {role}",
        "`GRANT USAGE ON SCHEMA auth TO {role}; GRANT REFERENCES ON auth.users TO {role}`",
        has_users=True,
        known=0,
    ),
    "migrate with half a right to the users": Case(
        _migrates,
        "GRANT CREATE ON DATABASE {database} TO {role}; GRANT USAGE ON SCHEMA auth TO {role}",
        "`GRANT REFERENCES ON auth.users TO {role}`",
        has_users=True,
        known=0,
    ),
    "migrate without a right to make a schema": Case(
        _migrates, "", "`GRANT CREATE ON DATABASE {database} TO {role}`", known=0
    ),
    "migrate in a schema that is there": Case(
        _migrates, "CREATE SCHEMA backstay", "`GRANT CREATE, USAGE ON SCHEMA backstay TO {role}`", known=0
    ),
    "migrate what another owns": Case(
        _migrates, _OURS, "does not own the table attempts, which belongs to postgres; ", known=4
    ),
    "work without any right": Case(_works, "", "lacks a right on the schema backstay; "),
    "work with a right to read": Case(
        _works,
        "GRANT USAGE ON SCHEMA backstay TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA backstay TO {role}",
        "lacks a right on the table receipts; ",
    ),
    "work without sequences": Case(
        _works,
        "GRANT USAGE ON SCHEMA backstay TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA backstay TO {role}",
        "lacks a right on the sequence conversations_key; ",
    ),
    "work without functions": Case(
        _works,
        _OURS + "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA backstay FROM PUBLIC",
        "lacks a right on the function ",
    ),
    "work next to users": Case(_works, "", "; ALTER ROLE {role} BYPASSRLS`", has_users=True),
    "delete with a row that is hidden": Case(
        _deletes,
        _OURS + _NOTES + "ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY; GRANT ALL ON public.notes TO {role}",
        "may not see every row of ",
    ),
    "delete with a row that may not be read": Case(
        _deletes,
        _OURS + _NOTES,
        "`GRANT SELECT ON public.notes TO {role}`",
        more=['`GRANT INSERT, UPDATE ON "public"."notes" TO {role}`'],
    ),
    "delete under a policy that holds for the owner": Case(
        _deletes,
        _OWNER + _POLICY + "ALTER TABLE backstay.turns FORCE ROW LEVEL SECURITY",
        "`ALTER TABLE backstay.turns NO FORCE ROW LEVEL SECURITY`",
    ),
    "delete under a policy": Case(_deletes, _OURS + _POLICY, "`ALTER ROLE {role} BYPASSRLS`"),
    "delete under a constraint": Case(
        _deletes,
        _OWNER + "ALTER TABLE backstay.conversations ADD CONSTRAINT \"as it is\" CHECK (id <> '') NOT VALID",
        '`ALTER TABLE backstay.conversations VALIDATE CONSTRAINT "as it is"`',
    ),
    "adopt what another owns": Case(
        _adopts(), _chats(_INDEX + "RESET ROLE; ALTER TABLE chats OWNER TO postgres"), "`GRANT postgres TO {role}`"
    ),
    "adopt what hides rows from its owner": Case(
        _adopts(),
        _chats(_INDEX + "ALTER TABLE public.chats FORCE ROW LEVEL SECURITY"),
        '`ALTER TABLE "public"."chats" NO FORCE ROW LEVEL SECURITY`',
    ),
    "adopt without an id": Case(
        _adopts(),
        _chats(_INDEX, key="", refers=""),
        '`ALTER TABLE "public"."chats" ALTER COLUMN "id" SET NOT NULL, ADD UNIQUE ("id")`',
        more=["ADD FOREIGN KEY"],
    ),
    "adopt without a foreign key": Case(
        _adopts(),
        _chats(_INDEX, refers=""),
        'ADD FOREIGN KEY ("chat") REFERENCES "public"."chats" ("id") ON DELETE CASCADE`',
    ),
    "adopt turns that are not numbered": Case(_adopts(sequence="n"), _chats(_INDEX), 'ADD UNIQUE ("chat", "n")`'),
    "adopt without an index": Case(_adopts(), _chats(), '`CREATE INDEX ON "public"."messages" ("chat")`'),
    "take over what may not be read": Case(
        _takes_over,
        "CREATE SCHEMA original; CREATE TABLE original.batch_checkpoints AS"
        " SELECT 'nightly' AS job_id, '[1]'::jsonb AS completed_items, 50 AS progress_percentage;" + _OURS,
        '`GRANT USAGE ON SCHEMA "original" TO {role}`',
        more=["`GRANT SELECT ON original.batch_checkpoints TO {role}`"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_remedies_in_sql_help(name, tmp_path, monkeypatch):
    """A message contains whole statements; once another role has run them, the refused step succeeds."""
    case = CASES[name]
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path))
    postgres.server_of_ours()
    with _database(case) as url, _role(url) as (role, as_role):
        words = {"role": role, "database": urlsplit(url).path[1:]}
        _run(url, _filled_in(case.made, words))

        for says in (case.says, *case.more):
            with pytest.raises(BackstayError) as refused:
                asyncio.run(case.act(as_role))
            assert _filled_in(says, words) in refused.value.message
            _run(url, *_statements(refused.value.message))
        asyncio.run(case.act(as_role))


def test_a_database_that_holds_all_text_is_made_as_the_message_says():
    """The error for a wrong encoding contains the statement that creates a database with the right one."""
    server = postgres.server_of_ours()
    _run(server.url(), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(StorageError, match="stores text as LATIN1") as refused:
            migrate(ServerAddress.from_url(server.url("latin")), "backstay")
        _run(server.url(), *_statements(refused.value.message))

        assert migrate(ServerAddress.from_url(server.url("latin_utf8")), "backstay").applied
    finally:
        _run(server.url(), "DROP DATABASE latin", "DROP DATABASE IF EXISTS latin_utf8")


def test_a_server_that_may_lose_commits_is_set_as_doctor_says():
    """After both statements that doctor names, it finds nothing wrong with the server."""
    server = postgres.own_server()
    try:
        before = _durability(server.url())
        _run(server.url(), *_statements(str(before.remedy)))
        until(lambda: _durability(server.url()).level is CheckLevel.OK)

        assert before.level is CheckLevel.WARNING
        assert before.message.endswith("fsync and full_page_writes off")
    finally:
        server.end()


def _durability(url: str) -> Check:
    return next(check for check in examine(database_url=url, owner=None, environ={}) if check.name == "durability")


@contextmanager
def _database(case: Case) -> Iterator[str]:
    with supabase.database(migrated=False) if case.has_users else _plain_database() as url:
        if case.known != 0:
            migrate(ServerAddress.from_url(url), postgres.SCHEMA, migrations()[: case.known])
        if case.act is _deletes:
            asyncio.run(filled(url, 3, job=False))
        yield url


@contextmanager
def _plain_database() -> Iterator[str]:
    url = postgres.fresh_database(migrated=False)
    yield url
    postgres.drop_database(url)


@contextmanager
def _role(url: str) -> Iterator[tuple[str, str]]:
    role, address = f"role_{secrets.token_hex(4)}", urlsplit(url)
    _run(url, f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    try:
        yield role, address._replace(netloc=f"{role}:{role}@{address.hostname}:{address.port}").geturl()
    finally:
        _run(url, f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _statements(message: str) -> list[str]:
    """Return the SQL statements in a message."""
    return [statement for quoted in _SQL.findall(message) for statement in quoted.split("; ")]


def _run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _filled_in(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text
