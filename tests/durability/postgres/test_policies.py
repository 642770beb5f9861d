"""Row-level security that the role of Backstay is under: nothing is deleted that could not be put back."""

import secrets
from urllib.parse import urlsplit

import psycopg
import pytest

from backstay import Backstay, Selection
from backstay.errors import BackupUnusable
from support.library import ALL, digests, filled

pytestmark = pytest.mark.promise("K1")


@pytest.fixture
async def owned(url, tmp_path, monkeypatch):
    """A library whose tables belong to a role without special rights, with a policy that lets everything through."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    await filled(url, 40, job=False)
    role, word = f"owner_{secrets.token_hex(4)}", secrets.token_hex(8)

    def asked(*statements):
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    tables = "conversations turns jobs items item_inputs attempts workers backups backup_items"
    tables += " meta receipts migrations adopted"
    asked(
        f"CREATE ROLE {role} LOGIN PASSWORD '{word}'",
        f"ALTER SCHEMA backstay OWNER TO {role}",
        *(f"ALTER TABLE backstay.{table} OWNER TO {role}" for table in tables.split()),
        f"ALTER VIEW backstay.places OWNER TO {role}",
        "ALTER TABLE backstay.turns ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON backstay.turns USING (true) WITH CHECK (true)",
    )
    parts = urlsplit(url)
    yield parts._replace(netloc=f"{role}:{word}@{parts.hostname}:{parts.port}").geturl(), asked
    asked(f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_forced_policies_are_told_before_a_delete(owned):
    """Also before one is gone on with that was begun without them."""
    url, asked = owned
    async with Backstay.open(url) as backstay:
        before = await digests(backstay)
        step = backstay._store.backups.delete_step

        async def cut_off(*given, **options):
            await step(*given, **options)
            raise KeyboardInterrupt

        backstay._store.backups.delete_step = cut_off
        with pytest.raises(KeyboardInterrupt):
            await backstay.conversations.delete(ALL)
        backstay._store.backups.delete_step = step
        (backup,) = await backstay.backups.unfinished()
        left = await backstay.conversations.count(ALL)
        asked("ALTER TABLE backstay.turns FORCE ROW LEVEL SECURITY")

        for refused in (
            backstay.conversations.delete(Selection(ids=("c00039",))),
            backstay.conversations.resume_delete(backup.id),
            backstay.backups.create(ALL),
        ):
            with pytest.raises(
                BackupUnusable, match=r"Row-level security of turns applies to .* NO FORCE ROW LEVEL SECURITY"
            ):
                await refused
        kept = await backstay.conversations.count(ALL)
        asked("ALTER TABLE backstay.turns NO FORCE ROW LEVEL SECURITY")
        await backstay.backups.restore(backup.id)

        assert (left, kept) == (24, 24)
        assert await digests(backstay) == before


async def test_a_constraint_that_is_not_valid_is_told_before_a_delete(owned):
    """Rows that break it are there, and could not be put back."""
    url, asked = owned
    asked("ALTER TABLE backstay.conversations ADD CONSTRAINT named CHECK (persona IS NOT NULL) NOT VALID")
    async with Backstay.open(url) as backstay:
        with pytest.raises(
            BackupUnusable, match=r"The constraint named of conversations is NOT VALID: .* VALIDATE CONSTRAINT named`"
        ):
            await backstay.conversations.delete(ALL)
        assert await backstay.conversations.count(ALL) == 40

        asked("DELETE FROM backstay.conversations WHERE persona IS NULL")
        asked("ALTER TABLE backstay.conversations VALIDATE CONSTRAINT named")
        deleted = await backstay.conversations.delete(ALL)
        await backstay.backups.restore(deleted.backup_id)

    assert deleted.deleted == 20
