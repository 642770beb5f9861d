"""The database is deleted, moved, replaced or write-protected before or while a worker uses it."""

import asyncio
import signal
import subprocess
from pathlib import Path

import apsw
import pytest

from backstay import Backstay
from backstay.errors import StorageError, StoreGone, StoreReadOnly
from support.data.conversations import conversation, items
from support.faults import strace
from support.faults.batch_invariants import violations
from support.faults.scene import Scene, last_words
from support.harness import requirements

pytestmark = pytest.mark.promise("B1")


def test_a_deleted_database_is_noticed(scene):
    """A worker whose database is deleted ends with StoreGone, and makes and reports no more calls."""
    worker = _at_work(scene)

    for file in _files(scene):
        file.unlink()
    code = scene.finish(worker)

    assert (code, last_words(scene.errors())) == (1, StoreGone)
    assert scene.witness().reported < scene.items
    assert str(scene.database) in scene.errors()
    assert _files(scene) == []


def test_a_deleted_database_without_the_check(scene):
    """The control: without the check of the file, a worker reports a hundred items that are stored nowhere."""
    worker = _at_work(scene, without="identity")

    for file in _files(scene):
        file.unlink()
    code = scene.finish(worker)

    assert code == 0, scene.errors()
    assert scene.witness().reported == scene.items
    assert not scene.database.exists()


@pytest.mark.parametrize("with_its_log", [True, False], ids=["with its log", "without its log"])
def test_a_moved_database_is_intact_when_it_is_put_back(scene, with_its_log):
    """A run whose database is moved ends; put back, the file holds all that was reported, wherever its log was."""
    worker = _at_work(scene)
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()

    for file in _files(scene) if with_its_log else [scene.database]:
        file.rename(elsewhere / file.name)
    code = scene.finish(worker)
    last = last_words(scene.errors())
    for file in elsewhere.iterdir():
        file.rename(scene.folder / file.name)
    broken = scene.broken(at_rest=False, crashes=1)
    resumed = scene.run(seconds=0.002)

    assert (code, last) == (1, StoreGone)
    assert broken == []
    assert resumed == 0, scene.errors()
    assert scene.broken(crashes=1) == []


def test_a_database_that_replaces_another_is_left_alone(scene):
    """A worker whose database is replaced by another, with its log, ends without changing either."""
    other = scene.folder / "other" / scene.database.name
    other.parent.mkdir()
    _another_job(other)
    before = _other_rows(other)
    # Kept open, so that its log stays.
    holding = apsw.Connection(str(other))
    holding.execute("UPDATE jobs SET updated_at = updated_at + 1")
    worker = _at_work(scene)

    for file in _files(scene):
        file.unlink()
    for file in other.parent.glob("*.db*"):
        file.rename(scene.folder / file.name)
    code = scene.finish(worker)
    logs = {file.name for file in scene.folder.glob("*.db-wal")}
    holding.close()

    assert (code, last_words(scene.errors())) == (1, StoreGone)
    assert logs == {f"{scene.database.name}-wal"}
    assert _other_rows(scene.database) == before
    assert violations(scene.database) == []


def test_a_deleted_log_is_noticed_and_loses_nothing(scene):
    """A worker whose log is deleted still has it open, and checkpoints it before it ends."""
    worker = _at_work(scene)

    Path(f"{scene.database}-wal").unlink()
    code = scene.finish(worker)
    last = last_words(scene.errors())
    broken = scene.broken(at_rest=False, crashes=1)
    resumed = scene.run(seconds=0.002)

    assert (code, last) == (1, StoreGone)
    assert broken == []
    assert resumed == 0, scene.errors()
    assert scene.broken(crashes=1) == []


def test_a_file_system_that_becomes_read_only(scene):
    """A run whose file system becomes read-only ends with StorageError, harms no other job, and is resumed later."""
    requirements.injected_faults()
    log = Path(f"{scene.database}-wal")
    _another_job(scene.database)
    before = _other_rows(scene.database)

    code = scene.run(under=strace.injecting("error=EROFS", "pwrite64", "150+", log, scene.folder / "log"))
    last = last_words(scene.errors())
    completed, reported = _completed(scene.database), scene.witness().reported
    resumed = scene.run()

    assert (code, last) == (1, StorageError)
    assert completed >= reported
    assert 0 < completed < scene.items
    assert resumed == 0, scene.errors()
    assert _completed(scene.database) == scene.items
    assert violations(scene.database) == []
    assert _other_rows(scene.database) == before


def test_a_read_only_file_system_is_refused(scene, mounts):
    """A run on a read-only file system makes no call and names the database; the job continues once it is writable."""
    worker = scene.start(seconds=0.02)
    scene.until_called(worker, 30)
    scene.kill(worker)
    called = len(scene.witness().calls)
    mounts.read_only(scene.database.parent)

    code = scene.run()
    last = last_words(scene.errors())
    mounts.run("umount", str(scene.database.parent))
    after = len(scene.witness().calls)
    resumed = scene.run(seconds=0.002)

    assert code == 1
    assert isinstance(last, type)
    assert issubclass(last, StorageError)
    assert str(scene.database.parent) in scene.errors()
    assert after == called
    assert resumed == 0, scene.errors()
    assert scene.broken() == []


def test_permissions_removed_during_a_run(scene):
    """A worker that has the file open keeps its access; the next one is refused until the permissions are restored."""
    bound_by_permissions = requirements.rights_that_bind()
    worker = scene.start(seconds=0.05, under=bound_by_permissions)
    scene.until_called(worker, 40)

    scene.database.chmod(0o444)
    scene.until_called(worker, 60)
    worker.send_signal(signal.SIGTERM)
    stopped = scene.finish(worker)
    refused = scene.run(under=bound_by_permissions)
    last = last_words(scene.errors())
    # The refused run may have created a log and its index, with the permissions of the database.
    for file in scene.folder.glob("backstay.db*"):
        file.chmod(0o600)
    again = scene.run(under=bound_by_permissions)

    assert stopped == 130, scene.errors()
    assert (refused, last) == (1, StoreReadOnly)
    assert again == 0, scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


def test_a_folder_of_lock_files_that_cannot_be_written(scene):
    """A worker that cannot create its lock file does not start, and names the folder."""
    bound_by_permissions = requirements.rights_that_bind()
    locks = scene.folder / "backstay.workers"
    locks.mkdir(mode=0o500)

    code = scene.run(under=bound_by_permissions)
    last = last_words(scene.errors())
    locks.chmod(0o700)
    again = scene.run(seconds=0.002)

    assert (code, last) == (1, StorageError)
    assert str(locks) in scene.errors()
    assert again == 0, scene.errors()
    assert scene.broken() == []


def _at_work(scene: Scene, **options: object) -> subprocess.Popen[bytes]:
    """Start a worker and wait until it has committed something."""
    worker = scene.start(seconds=0.05, **options)
    scene.until_called(worker, 40)
    return worker


def _files(scene: Scene) -> list[Path]:
    return list(scene.folder.glob(f"{scene.database.name}*"))


def _another_job(database: Path) -> None:
    """Complete a job of another owner in a database."""

    async def work() -> None:
        async with Backstay.open(database, owner="another-owner") as backstay:
            await backstay.batches.run("other", items(20), lambda item: conversation(item.topic))

    asyncio.run(work())


def _completed(database: Path) -> int:
    connection = apsw.Connection(str(database))
    (count,) = connection.execute("SELECT count(*) FROM items WHERE owner = 'local' AND state = 'completed'").fetchone()
    connection.close()
    return count


def _other_rows(database: Path) -> list[tuple]:
    connection = apsw.Connection(str(database))
    statement = """SELECT items.*, turns.content
                     FROM items
                     JOIN conversations ON conversations.owner = items.owner AND conversations.id = conversation_id
                     JOIN turns ON conversation_key = conversations.key
                    WHERE items.owner = 'another-owner' ORDER BY position, sequence"""
    rows = connection.execute(statement).fetchall()
    connection.close()
    assert rows
    return rows
