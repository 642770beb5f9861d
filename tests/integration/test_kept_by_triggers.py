"""Deletes prevented by a trigger: no conversation is reported as deleted that still exists."""

import asyncio

import pytest

from backstay import Backstay
from support.faults.batch_invariants import violations
from support.stores.library import ALL, digests, filled
from support.stores.sql import ask, is_server

pytestmark = pytest.mark.promise("K1")

_KEEPING = """
    CREATE TRIGGER keeping BEFORE DELETE ON conversations WHEN OLD.id = 'c00001' OR OLD.item_id = 'i3'
    BEGIN SELECT RAISE(IGNORE); END
"""
_KEEPING_ON_A_SERVER = """
    CREATE FUNCTION keeping() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.id = 'c00001' OR OLD.item_id = 'i3' THEN RETURN NULL; END IF;
        RETURN OLD;
    END $$;
    CREATE TRIGGER keeping BEFORE DELETE ON conversations FOR EACH ROW EXECUTE FUNCTION keeping()
"""


@pytest.mark.own_tables("it creates a trigger on a built-in table")
@pytest.mark.parametrize("backup", [True, False], ids=["backed up", "outright"])
async def test_what_a_trigger_keeps_is_not_counted_as_deleted(path, backup):
    """A conversation that a trigger keeps is not counted as deleted and stays its item's result."""
    await filled(path, 3)
    await asyncio.to_thread(ask, path, _KEEPING_ON_A_SERVER if is_server(path) else _KEEPING)
    async with Backstay.open(path) as backstay:
        before = await digests(backstay)

        result = await backstay.conversations.delete(ALL, backup=backup)

        remaining = await digests(backstay)
        assert (result.deleted, result.changed, result.gone) == (6, 2, 0)
        assert len(remaining) == 2
        assert violations(path, at_rest=False) == []
        if backup:
            restored = await backstay.backups.restore(result.backup_id)

            assert list(remaining) == list(result.changed_ids)
            assert (restored.restored, restored.identical) == (6, 2)
            assert await digests(backstay) == before
    assert violations(path, at_rest=False) == []
