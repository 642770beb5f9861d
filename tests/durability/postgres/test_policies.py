"""Row-level security on Backstay's own role: nothing is deleted that could not be restored."""

import secrets
from urllib.parse import urlsplit

import psycopg
import pytest

from backstay import Backstay, Selection
from backstay.errors import BackupUnusable
from support.stores.library import ALL, digests, filled

pytestmark = pytest.mark.promise("K1")


@pytest.fixture
async def owned(url, tmp_path, monkeypatch):
    """A library whose tables belong to a role without special privileges, with a policy that allows everything."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    await filled(url, 40, job=False)
    role, word = f"owner_{secrets.token_hex(4)}", secrets.token_hex(8)

    def execute(*statements):
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    tables = "conversations turns jobs items item_inputs input_blocks attempts workers backups backup_items"
    tables += " meta receipts migrations adopted recipe_revisions regenerations replacements kept_recipes"
    tables += " conversation_reviews conversation_tags conversation_versions"
    execute(
        f"CREATE ROLE {role} LOGIN PASSWORD '{word}'",
        f"ALTER SCHEMA backstay OWNER TO {role}",
        *(f"ALTER TABLE backstay.{table} OWNER TO {role}" for table in tables.split()),
        f"ALTER VIEW backstay.places OWNER TO {role}",
        "ALTER TABLE backstay.turns ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON backstay.turns USING (true) WITH CHECK (true)",
    )
    address = urlsplit(url)
    yield address._replace(netloc=f"{role}:{word}@{address.hostname}:{address.port}").geturl(), execute
    execute(f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_forced_policies_block_a_delete(owned):
    """Forced policies block a delete, also one that was begun before them."""
    url, execute = owned
    async with Backstay.open(url) as backstay:
        before = await digests(backstay)
        step = backstay._store.backups.deletes.delete_step

        async def cut_off(*arguments, **options):
            await step(*arguments, **options)
            raise KeyboardInterrupt

        backstay._store.backups.deletes.delete_step = cut_off
        with pytest.raises(KeyboardInterrupt):
            await backstay.conversations.delete(ALL)
        backstay._store.backups.deletes.delete_step = step
        (backup,) = await backstay.backups.with_unfinished_delete()
        remaining = await backstay.conversations.count(ALL)
        execute("ALTER TABLE backstay.turns FORCE ROW LEVEL SECURITY")

        for refused in (
            backstay.conversations.delete(Selection(ids=("c00039",))),
            backstay.conversations.resume_delete(backup.id),
            backstay.backups.create(ALL),
        ):
            with pytest.raises(
                BackupUnusable, match=r"Row-level security of turns applies to .* NO FORCE ROW LEVEL SECURITY"
            ):
                await refused
        unchanged = await backstay.conversations.count(ALL)
        execute("ALTER TABLE backstay.turns NO FORCE ROW LEVEL SECURITY")
        await backstay.backups.restore(backup.id)

        assert (remaining, unchanged) == (24, 24)
        assert await digests(backstay) == before


async def test_a_constraint_that_is_not_valid_blocks_a_delete(owned):
    """A constraint that is NOT VALID blocks a delete of rows that break it, which could not be restored."""
    url, execute = owned
    execute("ALTER TABLE backstay.conversations ADD CONSTRAINT named CHECK (persona IS NOT NULL) NOT VALID")
    async with Backstay.open(url) as backstay:
        with pytest.raises(
            BackupUnusable, match=r"The constraint named of conversations is NOT VALID: .* VALIDATE CONSTRAINT named`"
        ):
            await backstay.conversations.delete(ALL)
        assert await backstay.conversations.count(ALL) == 40

        execute("DELETE FROM backstay.conversations WHERE persona IS NULL")
        execute("ALTER TABLE backstay.conversations VALIDATE CONSTRAINT named")
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

    assert deleted.deleted == 20
