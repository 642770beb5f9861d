"""Row-level security that the role of Holdfast is under: nothing is deleted that could not be put back."""

import secrets
from urllib.parse import urlsplit

import psycopg
import pytest

from holdfast import Holdfast, Selection
from holdfast.errors import BackupUnusable
from support.library import ALL, digests, filled


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
        f"ALTER SCHEMA holdfast OWNER TO {role}",
        *(f"ALTER TABLE holdfast.{table} OWNER TO {role}" for table in tables.split()),
        f"ALTER VIEW holdfast.places OWNER TO {role}",
        "ALTER TABLE holdfast.turns ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON holdfast.turns USING (true) WITH CHECK (true)",
    )
    parts = urlsplit(url)
    yield parts._replace(netloc=f"{role}:{word}@{parts.hostname}:{parts.port}").geturl(), asked
    asked(f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_forced_policies_are_told_before_a_delete(owned):
    """Also before one is gone on with that was begun without them."""
    url, asked = owned
    async with Holdfast.open(url) as hold:
        before = await digests(hold)
        step = hold._store.backups.delete_step

        async def cut_off(*given, **options):
            await step(*given, **options)
            raise KeyboardInterrupt

        hold._store.backups.delete_step = cut_off
        with pytest.raises(KeyboardInterrupt):
            await hold.conversations.delete(ALL)
        hold._store.backups.delete_step = step
        (backup,) = await hold.backups.unfinished()
        left = await hold.conversations.count(ALL)
        asked("ALTER TABLE holdfast.turns FORCE ROW LEVEL SECURITY")

        for refused in (
            hold.conversations.delete(Selection(ids=("c00039",))),
            hold.conversations.resume_delete(backup.id),
            hold.backups.create(ALL),
        ):
            with pytest.raises(BackupUnusable, match=r"Row-level security stands between .* and turns: .* BYPASSRLS"):
                await refused
        kept = await hold.conversations.count(ALL)
        asked("ALTER TABLE holdfast.turns NO FORCE ROW LEVEL SECURITY")
        await hold.backups.restore(backup.id)

        assert (left, kept) == (24, 24)
        assert await digests(hold) == before


async def test_a_constraint_that_is_not_valid_is_told_before_a_delete(owned):
    """Rows that break it are there, and could not be put back."""
    url, asked = owned
    asked("ALTER TABLE holdfast.conversations ADD CONSTRAINT named CHECK (persona IS NOT NULL) NOT VALID")
    async with Holdfast.open(url) as hold:
        with pytest.raises(BackupUnusable, match=r"The constraint named of conversations is NOT VALID: .* VALIDATE"):
            await hold.conversations.delete(ALL)
        assert await hold.conversations.count(ALL) == 40

        asked("DELETE FROM holdfast.conversations WHERE persona IS NULL")
        asked("ALTER TABLE holdfast.conversations VALIDATE CONSTRAINT named")
        deleted = await hold.conversations.delete(ALL)
        await hold.backups.restore(deleted.backup_id)

    assert deleted.deleted == 20
