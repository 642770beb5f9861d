"""Adopted tables next to Supabase's users: none sees or changes anything of another, tested as each role."""

import asyncio

import psycopg
import pytest

from backstay import Backstay
from support.stores import chat_app, supabase
from support.stores.sql import ask
from support.stores.supabase import ANN, BOB, as_role

pytestmark = pytest.mark.promise("K4")

# As Supabase has it: roles may do anything with tables in `public`, and policies say with which rows.
_GRANTS = """
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO anon, authenticated, service_role;
"""
_POLICIES = """
ALTER TABLE public.chats ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.chats TO authenticated USING (user_id::text = backstay.signed_in())
    WITH CHECK (user_id::text = backstay.signed_in());
CREATE POLICY own ON public.messages TO authenticated USING (chat_id IN (SELECT chat_id FROM public.chats));
"""
_VIEWS = ("conversations", "turns")
_SIDE_TABLES = ("adopted_conversations", "adopted_turns")


@pytest.fixture(scope="module", params=[_POLICIES, ""], ids=["with policies", "without"])
def url(request):
    """An app with rows of two users, with policies of its own and without any."""
    with supabase.database() as url:
        chat_app.make(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_GRANTS + request.param)
        asyncio.run(Backstay.open(url, owner=ANN).adopt(*chat_app.WANTED))
        # Values without a user column, for both users.
        ask(url, "UPDATE backstay.turns SET metadata = '{}' WHERE sequence = 1")
        ask(url, "UPDATE backstay.conversations SET persona = 'in the side table'")
        yield url


@pytest.mark.parametrize("user, count", [(ANN, 10), (BOB, 2)], ids=["Ann", "Bob"])
def test_users_see_their_own(url, user, count):
    """A user sees all of their own rows, and none of others, in the views and the side tables."""
    with as_role(url, "authenticated", user) as role:
        assert role.execute("SELECT owner, count(*) FROM backstay.conversations GROUP BY 1").fetchall() == [
            (user, count)
        ]
        assert role.execute("SELECT owner, count(*) FROM backstay.turns GROUP BY 1").fetchall() == [(user, 4 * count)]
        assert role.execute("SELECT count(*) FROM backstay.turns WHERE metadata = '{}'").fetchall() == [(count,)]
        owners = "SELECT owner, count(*) FROM backstay.adopted_conversations GROUP BY 1"
        assert role.execute(owners).fetchall() == [(user, count)]
        assert role.execute("SELECT count(*) FROM backstay.adopted_turns").fetchall() == [(count,)]


@pytest.mark.parametrize(
    "name", [*_VIEWS, *_SIDE_TABLES, "adopted", "adopted_rows", "places", "own_conversations", "own_turns"]
)
def test_strangers_see_nothing(url, name):
    """Neither a client who is not signed in nor an unknown user sees a row."""
    with as_role(url, "anon") as role, pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.execute(f"SELECT count(*) FROM backstay.{name}")
    with as_role(url, "authenticated") as role:
        try:
            assert role.execute(f"SELECT count(*) FROM backstay.{name}").fetchall() == [(0,)]
        except psycopg.errors.InsufficientPrivilege:
            assert name in ("adopted", "adopted_rows", "places")


@pytest.mark.parametrize("name", [*_VIEWS, *_SIDE_TABLES])
@pytest.mark.parametrize("statement", ["DELETE FROM backstay.{}", "INSERT INTO backstay.{} DEFAULT VALUES"])
@pytest.mark.parametrize("who", [("anon", None), ("authenticated", ANN)], ids=["anon", "a user"])
def test_users_cannot_write_through_the_views(url, name, statement, who):
    """Users cannot write through the views and the side tables, not even to their own rows."""
    with as_role(url, *who) as role, pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.execute(statement.format(name))


def test_users_still_write_to_the_tables_of_the_app(url):
    """Users write to the app's tables as before, and the side table follows, though they may not write to it."""
    with as_role(url, "authenticated", ANN) as role:
        ((made,),) = role.execute(
            f"INSERT INTO public.chats (user_id, title) VALUES ('{ANN}', 'by the app') RETURNING chat_id::text"
        ).fetchall()
        assert role.execute("SELECT topic FROM backstay.conversations WHERE id = %s", (made,)).fetchall() == [
            ("by the app",)
        ]
        role.execute("DELETE FROM public.chats WHERE chat_id = %s", (made,))
        assert role.execute("SELECT count(*) FROM backstay.conversations").fetchall() == [(10,)]
    assert ask(url, "SELECT count(*) FROM backstay.adopted_conversations") == [(13,)]


def test_the_service_sees_and_writes_all(url):
    """service_role can read and write all rows through the views."""
    with as_role(url, "service_role") as role:
        assert role.execute("SELECT count(*) FROM backstay.conversations").fetchall() == [(13,)]
        role.execute("BEGIN")
        role.execute("DELETE FROM backstay.conversations WHERE topic = 'chat 1'")
        assert role.execute("SELECT count(*) FROM public.chats").fetchall() == [(12,)]
        role.execute("ROLLBACK")


def test_every_table_is_guarded(url):
    """Every table has row-level security, also those that an adoption creates."""
    assert ask(
        url,
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'backstay'::regnamespace AND relkind = 'r'"
        " AND NOT relrowsecurity",
    ) == []  # fmt: skip


def test_an_adoption_is_undone():
    """Undoing an adoption next to Supabase's users removes the side tables and their policies."""
    with supabase.database() as url:
        chat_app.make(url)
        asyncio.run(Backstay.open(url, owner=ANN).adopt(*chat_app.WANTED))

        asyncio.run(Backstay.open(url).unadopt())

        assert ask(
            url, "SELECT to_regclass('backstay.adopted_conversations'), to_regclass('backstay.adopted_turns')"
        ) == [(None, None)]
        assert ask(url, "SELECT count(*) FROM backstay.conversations") == [(0,)]
