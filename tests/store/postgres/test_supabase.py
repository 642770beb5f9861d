"""Backstay next to Supabase's users: none sees or changes anything of another, tested as each role."""

import asyncio

import psycopg
import pytest
import zstandard

from backstay import Backstay, Recipe
from backstay.errors import OutcomeRefused
from backstay.library.selection import Selection
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate, migrations
from support.faults.batch_invariants import violations
from support.stores import postgres, supabase
from support.stores.sql import ask
from support.stores.supabase import ANN, BOB, as_role

pytestmark = pytest.mark.promise("K4")

_ALL = Selection(everything=True)
_CURATION = ("conversation_reviews", "conversation_tags", "conversation_versions")
_OWNED = (
    *("conversations", "turns", "jobs", "items", "item_inputs", "attempts", "failures", "backups", "backup_items"),
    *("input_blocks", "recipe_revisions", "regenerations", "replacements", "kept_recipes", *_CURATION),
)
_CURATED = """
    INSERT INTO backstay.conversation_reviews (conversation_key, owner, reviewed_at)
    SELECT key, owner, created_at FROM backstay.conversations;
    INSERT INTO backstay.conversation_tags (conversation_key, tag, owner)
    SELECT key, 'short', owner FROM backstay.conversations;
    INSERT INTO backstay.conversation_versions (conversation_key, number, owner, line, replaced_at)
    SELECT key, 1, owner, '{}', created_at FROM backstay.conversations"""
_MADE_AGAIN = """
    INSERT INTO backstay.regenerations (job_key, owner, source_job_key, source_job_id, backup_id)
    SELECT key, owner, key, id, 'backup-1-a' FROM backstay.jobs;
    INSERT INTO backstay.kept_recipes (owner, job_id, number, fingerprint, recipe, created_at)
    SELECT owner, id, key, 'f', '{}', created_at FROM backstay.jobs;
    INSERT INTO backstay.replacements (job_key, position, owner, old_id, row_version)
    SELECT job_key, position, owner, 'c1', '' FROM backstay.items"""
_HIDDEN = (
    "adopted", "workers", "notes", "meta", "receipts", "migrations", "legacy_jobs", "legacy_settled", "imports",
    "conversation_index", "unindexed_conversations", "conversation_texts"
)  # fmt: skip
_VIEWS = ("batch_checkpoints", "backup_exports")


_BLOCK = """INSERT INTO backstay.input_blocks (job_key, first_position, last_position, owner, content)
            SELECT key, 2, 2, owner, ? FROM backstay.jobs WHERE owner = ?"""
_CONTENT = zstandard.ZstdCompressor().compress(b'[["topic",null,"{}",3]]')


def _picky(item):
    if item.topic == "bad":
        raise ValueError("no")
    from backstay import Conversation, Turn

    return Conversation([Turn("user", item.topic), Turn("assistant", "made")])


async def _fill(url):
    async with Backstay.open(url) as backstay:
        for owner in (ANN, BOB, "local"):
            own = backstay.for_owner(owner)
            items = [{"id": "a", "topic": "A"}, {"id": "b", "topic": "bad"}]
            await own.batches.run("half", items, _picky)
            await own.batches.create("planned", items, Recipe(model="ollama:tiny"))
            await own.backups.create(_ALL)
            await asyncio.to_thread(ask, url, _BLOCK, _CONTENT, owner)
            await backstay._store.waiting_imports.add(owner, "imported", {"a": None, "b": "it was late"})


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A database with two users and the owner `local`, each with the same job, its results and a backup of them."""
    with pytest.MonkeyPatch.context() as patched, supabase.database() as url:
        patched.setenv("BACKUP_DIRECTORY", str(tmp_path_factory.mktemp("safe")))
        asyncio.run(_fill(url))
        with psycopg.connect(url) as connection:
            connection.execute(_CURATED)
            connection.execute(_MADE_AGAIN)
        yield url


def _owner(name):
    return "coalesce(user_id::text, 'local')" if name == "backup_exports" else "owner"


def _tables(url):
    return {name for (name,) in ask(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'backstay'")}


def test_every_table_is_guarded(url):
    """Every table has row-level security, also those of later migrations."""
    open_ones = ask(
        url,
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'backstay'::regnamespace AND relkind = 'r' "
        "AND NOT relrowsecurity",
    )

    assert open_ones == []
    assert _tables(url) == {*_OWNED, *_HIDDEN}


@pytest.mark.parametrize("name", [*_OWNED, *_VIEWS])
def test_a_user_sees_their_own_rows_only(url, name):
    """A user sees only their own rows in every table and view that has rows of others."""
    columns = "owner" if name in ("backups", "attempts") else "*"
    with as_role(url, "authenticated", ANN) as ann:
        seen = ann.execute(f"SELECT {_owner(name)} FROM backstay.{name}").fetchall()
        ann.execute(f"SELECT {columns} FROM backstay.{name}")
    every = {owner for (owner,) in ask(url, f"SELECT {_owner(name)} FROM {name}")}

    assert {owner for (owner,) in seen} == {ANN}
    assert every == {ANN, BOB, "local"}


def test_a_user_is_compared_with_a_user(url):
    """The view of backups shows users as UUIDs, as policies compare them, and null for other owners."""
    with as_role(url, "authenticated", ANN) as ann:
        seen = ann.execute("SELECT user_id::text FROM backstay.backup_exports WHERE user_id = auth.uid()").fetchall()
    every = ask(url, "SELECT user_id::text FROM backup_exports ORDER BY user_id")

    assert seen == [(ANN,)]
    assert every == [(ANN,), (BOB,), (None,)]


@pytest.mark.parametrize("name", _HIDDEN)
def test_a_user_sees_nothing_of_the_machinery(url, name):
    """A user cannot read tickets, leases and receipts."""
    with as_role(url, "authenticated", ANN) as ann, pytest.raises(psycopg.errors.InsufficientPrivilege):
        ann.execute(f"SELECT * FROM backstay.{name}")


def test_a_user_does_not_see_where_files_are(url):
    """A user cannot read the folder, the host and the checksum of a backup."""
    for column in ("folder", "host", "file_sha256"):
        with as_role(url, "authenticated", ANN) as ann, pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute(f"SELECT {column} FROM backstay.backups")


def test_a_user_does_not_see_where_a_processor_raised(url):
    """A user can read their attempts, except for tracebacks, which name files of the machine that ran the job."""
    with as_role(url, "authenticated", ANN) as ann:
        ann.execute("SELECT result, error_message, raw FROM backstay.attempts")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute("SELECT traceback FROM backstay.attempts")
    with as_role(url, "service_role") as service:
        service.execute("SELECT traceback FROM backstay.attempts")


@pytest.mark.parametrize("name", [*_OWNED, *_HIDDEN, *_VIEWS])
@pytest.mark.parametrize(("role", "user"), [("authenticated", ANN), ("anon", None)])
def test_only_the_service_role_writes(url, name, role, user):
    """No role but service_role can write, neither its own rows nor those of others."""
    column = ask(url, "SELECT attname::text FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 "
                      "AND attidentity = '' ORDER BY attnum", name)[0][0]  # fmt: skip
    # A view that cannot be written to says so before it checks privileges.
    refusals = (psycopg.errors.InsufficientPrivilege, *([psycopg.Error] if name in _VIEWS else []))
    for statement in (
        f"DELETE FROM backstay.{name}",
        f"UPDATE backstay.{name} SET {column} = {column}",
        f"INSERT INTO backstay.{name} DEFAULT VALUES",
        f"TRUNCATE backstay.{name}",
    ):
        with as_role(url, role, user) as somebody, pytest.raises(refusals):
            somebody.execute(statement)
    with as_role(url, role, user) as somebody, pytest.raises(psycopg.errors.InsufficientPrivilege):
        somebody.execute("SELECT nextval('backstay.conversations_key')")


@pytest.mark.parametrize("name", [*_OWNED, *_HIDDEN, *_VIEWS])
def test_who_is_not_signed_in_sees_nothing(url, name):
    """A client who is not signed in cannot read any table."""
    with as_role(url, "anon") as stranger, pytest.raises(psycopg.errors.InsufficientPrivilege):
        stranger.execute(f"SELECT * FROM backstay.{name}")


def test_a_token_without_a_subject_sees_nothing(url):
    """A token without a subject, or with an unknown one, shows no rows."""
    for user in (None, "", "nobody"):
        with as_role(url, "authenticated", user) as somebody:
            for name in (*_OWNED, *_VIEWS):
                assert somebody.execute(f"SELECT count(*) FROM backstay.{name}").fetchall() == [(0,)], name


def test_the_service_role_does_everything(url):
    """service_role can read and write every table."""
    with as_role(url, "service_role") as service:
        for name in (*_OWNED, *_HIDDEN, *_VIEWS):
            service.execute(f"SELECT * FROM backstay.{name}")
        with service.transaction(force_rollback=True):
            assert service.execute("UPDATE backstay.conversations SET persona = 'x'").rowcount == 3
            assert service.execute("DELETE FROM backstay.turns").rowcount == 6


def test_without_the_filter_in_a_view(url):
    """Control: without its filter a view shows all rows, since it reads with the rights of its owner."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE VIEW backstay.careless AS SELECT DISTINCT owner FROM backstay.jobs")
        connection.execute("GRANT SELECT ON backstay.careless TO authenticated")
        connection.execute(f"""SET LOCAL request.jwt.claims = '{{"sub": "{ANN}"}}'; SET LOCAL ROLE authenticated""")
        assert len(connection.execute("SELECT * FROM backstay.careless").fetchall()) == 3
        assert len(connection.execute("SELECT * FROM backstay.batch_checkpoints").fetchall()) == 2


def test_an_owner_is_a_user_by_the_text_of_the_id(url):
    """An owner whose name is the id of a user belongs to that user, and any other owner to none."""
    rows = ask(url, "SELECT DISTINCT owner, user_id::text FROM conversations ORDER BY owner")

    assert rows == [(ANN, ANN), (BOB, BOB), ("local", None)]


async def test_an_owner_who_is_no_user_is_refused(url):
    """An owner that is a UUID without a user is refused, since no one could ever see its rows."""
    async with Backstay.open(url) as backstay:
        own = backstay.for_owner("00000000-0000-4000-8000-0000000000ff")
        with pytest.raises(OutcomeRefused, match=r"no user of that id in auth\.users"):
            await own.batches.run("job", [{"id": "a", "topic": "A"}], _picky)


async def test_deleting_a_user_deletes_all_their_rows(tmp_path, monkeypatch):
    """Deleting a user deletes all their rows and no others, and a restore for another owner still works."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path))
    with supabase.database() as fresh:
        await _fill(fresh)
        await asyncio.to_thread(ask, fresh, f"DELETE FROM auth.users WHERE id = '{BOB}'")
        for name in (*_OWNED, "workers", "legacy_jobs", "legacy_settled"):
            rows = await asyncio.to_thread(ask, fresh, f"SELECT DISTINCT owner FROM {name}")
            assert {owner for (owner,) in rows} <= {ANN, "local"}, name
        async with Backstay.open(fresh) as backstay:
            own = backstay.for_owner(ANN)
            deleted = await own.conversations.delete(_ALL)
            await own.backups.restore(deleted.backup_id)
            assert await own.conversations.count(_ALL) == 1
        assert violations(fresh, at_rest=False) == []


def test_recreated_views_keep_their_privileges():
    """A migration that recreates views keeps the privileges that were granted on them, and grants no others."""
    number = next(at for at, (_, text) in enumerate(migrations()) if "$views$" in text)
    with supabase.database(migrated=False) as url:
        migrate(ServerAddress.from_url(url), postgres.SCHEMA, migrations()[:number])
        ask(url, "GRANT SELECT ON backup_exports TO anon; REVOKE ALL ON batch_checkpoints FROM service_role")
        ask(url, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated")
        before = _grants(url)
        migrate(ServerAddress.from_url(url), postgres.SCHEMA)

        assert _grants(url) == before
        assert ("backup_exports", "anon", "SELECT") in before


def _grants(url):
    return ask(
        url,
        "SELECT relname::text, grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl)"
        " WHERE relnamespace = 'backstay'::regnamespace AND relkind = 'v' ORDER BY 1, 2, 3",
    )


def test_elsewhere_nothing_is_changed():
    """A database without the schema `auth` gets no such columns, policies and functions."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    try:
        assert ask(url, "SELECT 1 FROM pg_policies WHERE schemaname = 'backstay'") == []
        assert ask(url, "SELECT 1 FROM pg_attribute WHERE attrelid = 'conversations'::regclass "
                        "AND attname = 'user_id'") == []  # fmt: skip
    finally:
        postgres.drop_database(url)
