"""Two versions of Backstay use one database: an older one works, and a newer one wants to migrate."""

import apsw
import pytest

from backstay import Backstay
from backstay.errors import SchemaOutdated, SchemaTooNew
from backstay.storage.sqlite import file_identity, schema_migration
from backstay.storage.sqlite.schema_migration import migrations, prepare
from support.data.conversations import items
from support.faults.scene import last_words

pytestmark = pytest.mark.promise("B4")

_NEWER = [*migrations(), (migrations()[-1][0] + 1, "CREATE TABLE later (x)")]


def _schema(database):
    connection = apsw.Connection(str(database))
    version = connection.execute("PRAGMA user_version").get
    connection.close()
    return version


def _jobs(database):
    connection = apsw.Connection(str(database))
    count = connection.execute("SELECT count(*) FROM jobs").get
    connection.close()
    return count


def _copies(scene):
    return list(scene.folder.glob("*.bak"))


def test_nothing_is_migrated_under_a_worker(scene):
    """A newer version refuses to migrate under a live worker, names it and leaves no copy; the worker can finish."""
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 40)

    with pytest.raises(SchemaOutdated, match=str(worker.pid)):
        prepare(scene.database, create=False, known=_NEWER)
    copies = _copies(scene)
    code = scene.finish(worker)

    assert copies == []
    assert code == 0, scene.errors()
    assert _schema(scene.database) == migrations()[-1][0]
    assert scene.broken() == []


def test_a_dead_worker_does_not_prevent_a_migration(scene):
    """A database with a dead worker is migrated and copied; the older version is then refused and changes nothing."""
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 40)
    scene.kill(worker)

    prepare(scene.database, create=False, known=_NEWER)
    calls = len(scene.witness().calls)
    code = scene.run()

    assert (code, last_words(scene.errors())) == (1, SchemaTooNew)
    assert "install the newest version" in scene.errors()
    assert len(scene.witness().calls) == calls
    assert scene.broken(at_rest=False) == []
    assert [_schema(copy) for copy in _copies(scene)] == [migrations()[-1][0]]


async def test_an_older_version_writes_nothing_after_a_migration(tmp_path):
    """An older version that has the database open without a worker is refused at its next write after a migration."""
    database = tmp_path / "library.db"
    async with Backstay.open(database) as older:
        prepare(database, create=False, known=_NEWER)

        with pytest.raises(SchemaTooNew, match="install the newest version"):
            await older.batches.create("job", items(3), "scripted")

    assert _jobs(database) == 0


async def test_an_older_version_without_the_check(tmp_path, monkeypatch):
    """The control: without the schema check an older version writes to a migrated database."""
    monkeypatch.setattr(file_identity.FileIdentity, "check_schema", lambda *_: None)
    database = tmp_path / "library.db"
    async with Backstay.open(database) as older:
        prepare(database, create=False, known=_NEWER)

        await older.batches.create("job", items(3), "scripted")

    assert _jobs(database) == 1


def test_a_late_starter_finds_the_database_created(scene, monkeypatch):
    """A process that finds a new database created and in use by another does not refuse to start."""
    first_look, check_header = [0], schema_migration.check_header
    monkeypatch.setattr(
        schema_migration, "check_header", lambda *args: first_look.pop() if first_look else check_header(*args)
    )
    worker = scene.start(seconds=0.05)
    scene.until_called(worker, 20)

    prepare(scene.database, create=True)

    assert scene.finish(worker) == 0, scene.errors()
    assert scene.broken() == []
