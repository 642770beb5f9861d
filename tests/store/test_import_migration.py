"""The migration of imported jobs, which were paused jobs without inputs, to jobs that wait in tables of their own."""

import asyncio
from contextlib import contextmanager

import pytest

from backstay import Backstay
from backstay.errors import JobNotFound
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate
from backstay.storage.postgres.schema_migration import migrations as server_migrations
from backstay.storage.sqlite.schema_migration import migrations, prepare
from support.faults.batch_invariants import violations
from support.stores import postgres
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B5", "B7")

_BEFORE = 9
_JOB = "INSERT INTO jobs (owner, id, state, processor, settings, completed, failed, created_at, updated_at) VALUES "
_ITEM = "INSERT INTO items (job_key, position, owner, id, digest, state, attempt, tries) VALUES "
_ATTEMPT = (
    "INSERT INTO attempts (job_key, position, number, owner, worker, result, error_code, error_message, started_at,"
    " ended_at) VALUES "
)
_SETTINGS = '{"max_attempts": 3, "timeout_seconds": 600.0}'


@contextmanager
def _sqlite(folder):
    path = folder / "library.db"
    prepare(path, create=True, known=migrations()[:_BEFORE])
    yield path, lambda: prepare(path, create=False)


@contextmanager
def _server(_):
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=False)
    address = ServerAddress.from_url(url)
    try:
        migrate(address, postgres.SCHEMA, server_migrations()[:_BEFORE])
        yield url, lambda: migrate(address, postgres.SCHEMA)
    finally:
        postgres.drop_database(url)


@pytest.fixture(params=[_sqlite, _server], ids=["sqlite", "postgres"])
def database(request, tmp_path):
    """A database of the previous schema, and the function that migrates it."""
    with request.param(tmp_path) as opened:
        yield opened


def _insert_job(database, job_id, state, processor, completed, failed):
    values = ("local", job_id, state, processor, _SETTINGS, completed, failed, 5, 5)
    ask(database, f"{_JOB}(?, ?, ?, ?, ?, ?, ?, ?, ?)", *values)
    ((key,),) = ask(database, "SELECT max(key) FROM jobs")
    return key


def _insert_item(database, key, position, item_id, error=None, digest=b""):
    has_failed = int(error is not None)
    state = "failed" if has_failed else "completed"
    ask(
        database,
        f"{_ITEM}(?, ?, 'local', ?, ?, ?, ?, ?)",
        key,
        position,
        item_id,
        digest,
        state,
        has_failed,
        has_failed,
    )
    if has_failed:
        ask(database, f"{_ATTEMPT}(?, ?, 1, 'local', 7, 'failed', 'taken_over', ?, 5, 5)", key, position, error)


async def test_an_imported_job_waits_after_the_migration(database):
    """A job without its items becomes one that waits, keeps what was settled, and is continued by a run."""
    address, migrate_it = database
    key = _insert_job(address, "nightly", "paused", "taken-over", 1, 1)
    _insert_item(address, key, 0, "a")
    _insert_item(address, key, 1, "b", "it was late")
    cancelled = _insert_job(address, "cancelled", "cancelled", "taken-over", 1, 0)
    _insert_item(address, cancelled, 0, "a")

    await asyncio.to_thread(migrate_it)

    assert ask(address, "SELECT id FROM jobs") == ask(address, "SELECT id FROM items") == []
    assert ask(address, "SELECT number FROM attempts") == []
    async with Backstay.open(address) as backstay:
        waiting = {job.job_id: (job.completed, job.failed) for job in await backstay.waiting_imports.list()}
        with pytest.raises(JobNotFound, match="was imported and waits"):
            await backstay.batches.checkpoint("nightly")
        items = [{"id": name, "topic": name} for name in "abc"]
        result = await backstay.batches.run("nightly", items, "scripted")
        failed = {failure.item_id: failure.error_message async for failure in backstay.batches.failed("nightly")}
    assert waiting == {"nightly": (1, 1), "cancelled": (1, 0)}
    assert (result.completed, result.failed, failed) == (2, 1, {"b": "it was late"})
    assert violations(address, planned=3, may_fail=frozenset("b")) == []


async def test_other_jobs_stay_as_they_are(database):
    """A discarded import and ordinary jobs stay; a failed item without an input is skipped."""
    address, migrate_it = database
    discarded = _insert_job(address, None, "creating", "taken-over", 1, 0)
    _insert_item(address, discarded, 0, "a")
    continued = _insert_job(address, "continued", "completed_with_failures", "scripted", 1, 2)
    _insert_item(address, continued, 0, "a", digest=b"d")
    _insert_item(address, continued, 1, "b", "no", digest=b"d")
    _insert_item(address, continued, 2, "gone", "no")

    await asyncio.to_thread(migrate_it)

    assert ask(address, "SELECT key, failed, skipped FROM jobs ORDER BY key") == [(discarded, 0, 0), (continued, 1, 1)]
    assert ask(address, "SELECT state FROM items ORDER BY job_key, position") == [
        ("completed",), ("completed",), ("failed",), ("skipped",)]  # fmt: skip
    assert ask(address, "SELECT job_id FROM legacy_jobs") == []
