"""A processor forks. The child inherits the descriptors of the database and of the lock file, but not their locks.

POSIX locks belong to a process: a fork does not copy them, a child that closes its copy of a descriptor drops none of
its parent's, and they end with the parent, whichever process still holds the file open. A child must not use the
connections of its parent, as SQLite requires; these children do not.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from backstay.batch import liveness
from backstay.batch.store import WorkerIdentity
from durability.faults._forking_victim import child_of
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B4")

_LEASE = 60.0  # far longer than the second run takes, so that only proof of death can explain its end


@pytest.fixture
def child(scene):
    """Return the process id of a worker's child, and end the child afterwards."""
    processes: list[int] = []

    def wait() -> int:
        until(lambda: child_of(scene.ledger) is not None)
        processes.append(child_of(scene.ledger))
        return processes[0]

    yield wait
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_child_that_ends_drops_no_lock(scene, child):
    """A child that ends closes its copies of all descriptors, and its parent keeps its locks and its lease."""
    worker = scene.start(program="durability.faults._forking_victim", doing="leaves@0", seconds=0.05, lease=_LEASE)
    child()
    scene.until_called(worker, 20)

    alive = _life(scene)
    other = scene.run(seconds=0.05, lease=_LEASE)

    assert alive is liveness.Liveness.ALIVE
    assert [scene.finish(worker), other] == [0, 0], scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


def test_a_child_that_closes_what_it_inherited_drops_no_lock(scene, child):
    """Lock file and database stay locked by the parent after its child has closed its copies and lives on."""
    worker = scene.start(program="durability.faults._forking_victim", doing="closes@0", seconds=0.05, lease=_LEASE)
    child()
    scene.until_called(worker, 20)

    alive = _life(scene)
    other = scene.run(seconds=0.05, lease=_LEASE)

    assert alive is liveness.Liveness.ALIVE
    assert [scene.finish(worker), other] == [0, 0], scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


def test_a_child_does_not_make_its_dead_parent_look_alive(scene, child):
    """A child that holds a killed parent's descriptors does not delay the reclaim of the parent's items."""
    worker = scene.start(program="durability.faults._forking_victim", doing="stays@0", seconds=0.05, lease=_LEASE)
    inherited = child()
    scene.until_called(worker, 20)
    worker.kill()
    scene.finish(worker)

    holds = {str(link.readlink()) for link in Path(f"/proc/{inherited}/fd").iterdir()}
    dead = _life(scene)
    begun = time.monotonic()
    code = scene.run(seconds=0.001, lease=_LEASE)
    seconds = time.monotonic() - begun

    assert str(scene.database) in holds
    assert any(path.endswith(".lock") for path in holds)
    assert dead is liveness.Liveness.DEAD
    assert code == 0, scene.errors()
    assert seconds < _LEASE / 2
    assert scene.broken() == []


def test_with_locks_that_a_child_inherits(scene, child, monkeypatch):
    """The control: with `flock` in place of `lockf`, a child makes its dead parent look alive."""
    monkeypatch.setattr(liveness.fcntl, "lockf", liveness.fcntl.flock)
    worker = scene.start(
        program="durability.faults._forking_victim", doing="stays@0", without="lockf", seconds=0.05, lease=_LEASE
    )
    child()
    scene.until_called(worker, 20)

    worker.kill()
    scene.finish(worker)

    assert _life(scene) is liveness.Liveness.ALIVE


def _life(scene) -> liveness.Liveness:
    connection = apsw.Connection(str(scene.database))
    columns = "host, boot_id, pid, lock_path, lock_device, lock_inode"
    ((*card,),) = connection.execute(f"SELECT {columns} FROM workers").fetchall()
    connection.close()
    return liveness.liveness_of(WorkerIdentity(*card))
