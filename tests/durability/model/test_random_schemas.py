"""Related rows that a delete deletes or updates, in random tables, are restored."""

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from backstay import Backstay, Selection
from backstay.errors import DeleteBlocked, OutcomeRefused
from durability.model import _random_schemas
from support.harness.sampling import FULL
from support.stores import app_schema, postgres
from support.stores.library import fill
from support.stores.sql import ask

_EXAMPLES = 600 if FULL else 12
_OPTIONS = settings(
    max_examples=_EXAMPLES, deadline=None, database=None, derandomize=not FULL,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate], print_blob=True,
)  # fmt: skip
_KEYS = st.sets(st.integers(1, 6), min_size=1)
pytestmark = [pytest.mark.promise("K1", "K2"), pytest.mark.sweep]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "library.db"
    fill(path, 6, job=False)
    return path


@pytest.fixture(scope="module")
def url():
    postgres.need_a_server()
    url = postgres.fresh_database()
    fill(url, 6, job=False)
    yield url
    postgres.drop_database(url)


@given(tables=_random_schemas.schemas(), keys=_KEYS, again=_KEYS)
@_OPTIONS
def test_in_a_file(file, tables, keys, again):
    """A delete and a restore on SQLite leave every row of random tables that refer to conversations as before."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(file, folder))
        ask(path, _random_schemas.statements(tables, server=False))
        asyncio.run(_there_and_back(path, tables, keys, again))


@given(tables=_random_schemas.schemas(), keys=_KEYS, again=_KEYS)
@_OPTIONS
def test_on_a_server(url, tables, keys, again):
    """A delete and a restore on PostgreSQL leave every row of random tables that refer to conversations as before."""
    copy = postgres.copied_database(url)
    try:
        ask(copy, f"SET search_path = public; {_random_schemas.statements(tables, server=True)}")
        with tempfile.TemporaryDirectory() as safe, pytest.MonkeyPatch.context() as patched:
            patched.setenv("BACKUP_DIRECTORY", safe)
            asyncio.run(_there_and_back(copy, tables, keys, again))
    finally:
        postgres.drop_database(copy)


def _rows(path, tables):
    names = ("conversations", "turns", *(f"t{table.number}" for table in tables))
    return {name: app_schema.rows(path, name) for name in names}


async def _there_and_back(path, tables, keys, again):
    """Delete and restore some conversations, then delete others and restore them in two parts."""
    before = _rows(path, tables)
    async with Backstay.open(path) as backstay:
        for deleted_keys in (keys, again):
            ids = tuple(f"c{key - 1:05}" for key in sorted(deleted_keys))
            try:
                plan = await backstay.conversations.plan_delete(Selection(ids=ids))
            except DeleteBlocked as blocked:
                event(blocked.context["obstacles"][0]["kind"])
                continue
            try:
                deleted = await backstay.conversations.delete(plan)
            except OutcomeRefused:
                # PostgreSQL refuses some deletes: those that update a row twice, or update and delete it.
                event("refused by the server")
                (unfinished,) = await backstay.backups.with_unfinished_delete()
                await backstay.backups.restore(unfinished.id)
                assert _rows(path, tables) == before, tables
                continue
            after = _rows(path, tables)
            related_rows = sum(related.rows for related in plan.related if related.is_deleted)
            assert (deleted.deleted, deleted.changed) == (len(ids), 0)
            rows_before = itertools.chain.from_iterable(before[f"t{table.number}"] for table in tables)
            rows_after = itertools.chain.from_iterable(after[f"t{table.number}"] for table in tables)
            assert len(list(rows_before)) - len(list(rows_after)) == related_rows
            if deleted_keys is again and len(ids) > 1:
                await backstay.backups.restore(deleted.backup_id, Selection(ids=ids[:1]))
                await backstay.backups.restore(deleted.backup_id, on_conflict="skip")
            else:
                restored = await backstay.backups.restore(deleted.backup_id)
                assert _rows(path, tables) == before, tables
                assert restored.related_not_restored == 0, tables
            await backstay.backups.verify(deleted.backup_id)
            if deleted_keys is again:
                _same_but_for_references(before, _rows(path, tables))
            event("there and back")


def _same_but_for_references(before, after):
    """Check a restore in two parts: no row occurs twice, and no conversation is missing."""
    assert after["conversations"] == before["conversations"]
    for name, rows in before.items():
        assert len(after[name]) <= len(rows)
