"""The migration that gives jobs revisions: those that exist have the first one."""

from contextlib import contextmanager

import orjson
import pytest

from backstay import Backstay, Recipe
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate
from backstay.storage.postgres.schema_migration import migrations as server_migrations
from backstay.storage.sqlite.schema_migration import migrations, prepare
from support.stores import postgres
from support.stores.sql import ask

_RECIPE = Recipe(model="ollama:tiny", temperature=0.5, prompt="Écris sur {{ topic }}.")
_JOB = (
    "INSERT INTO jobs (owner, id, state, processor, settings, recipe, pending, created_at, updated_at) "
    "VALUES ('local', ?, 'pending', ?, '{\"max_attempts\": 3, \"timeout_seconds\": 600.0}', ?, 0, 5000000, 5000000)"
)


@contextmanager
def _sqlite(folder):
    path = folder / "library.db"
    prepare(path, create=True, known=[known for known in migrations() if known[0] < 13])
    yield path, lambda: prepare(path, create=False)


@contextmanager
def _server(_):
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=False)
    address = ServerAddress.from_url(url)
    try:
        migrate(address, postgres.SCHEMA, [known for known in server_migrations() if known[0] < 14])
        yield url, lambda: migrate(address, postgres.SCHEMA)
    finally:
        postgres.drop_database(url)


@pytest.mark.parametrize("kind", [_sqlite, _server], ids=["sqlite", "postgres"])
async def test_existing_jobs_get_revision_1(kind, tmp_path):
    """A job with a recipe gets it as revision 1, with fingerprint and time of creation; another job gets none."""
    with kind(tmp_path) as (database, apply):
        ask(database, _JOB, "job", _RECIPE.model, orjson.dumps(dict(_RECIPE.frozen())).decode())
        ask(database, _JOB, "other", "scripted", None)

        apply()

        async with Backstay.open(database) as backstay:
            (first,) = await backstay.batches.revisions("job")
            assert (first.number, first.fingerprint, first.recipe) == (1, _RECIPE.fingerprint, _RECIPE.frozen())
            assert first.created_at == (await backstay.batches.checkpoint("job")).created_at
            assert await backstay.batches.revisions("other") == []
            revisions = [(await backstay.batches.checkpoint(job_id)).revision for job_id in ("job", "other")]
            assert revisions == [1, None]
