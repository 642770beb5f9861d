"""Another program holds the database's write lock while workers work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from durability.faults._timing_victim import Ticks
from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("B4", "B5", "B6")

_SECONDS = 40 if FULL else 3  # the long one exceeds the time after which the engine logs that it waits


@contextmanager
def _locked(database: Path, seconds: float) -> Iterator[tuple[float, float]]:
    connection = apsw.Connection(str(database))
    connection.set_busy_timeout(5_000)
    connection.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    time.sleep(seconds)  # must not happen: the loop is blocked, or a worker is taken for dead
    yield begun, time.monotonic()
    connection.execute("ROLLBACK")
    connection.close()


@pytest.mark.sweep
def test_the_loop_runs_while_the_database_is_locked(scene):
    """A locked database blocks the event loop for less than a second; calls in flight end, and none is repeated."""
    scene.items, scene.concurrency = 60, 8
    worker = scene.start(program="durability.faults._timing_victim", seconds=0.1)
    scene.until_called(worker, 16)

    with _locked(scene.database, _SECONDS) as (begun, ended):
        called = len(scene.witness().calls)
    code = scene.finish(worker)

    assert code == 0, scene.errors()
    ticks = Ticks.from_ledger(scene.ledger)
    assert ticks.longest_gap < 1
    assert len([end for end in ticks.ends if end < ended]) == called, "a call did not end while it was locked"
    assert any(begun < end for end in ticks.ends if end < ended)
    assert ("database_unavailable_retrying" in scene.errors()) == FULL
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


def test_a_blocked_loop_is_noticed(scene):
    """The control: a processor that blocks the event loop leaves a gap."""
    scene.items = 10

    code = scene.run(program="durability.faults._timing_victim", doing="block@3", seconds=0.001)

    assert code == 0, scene.errors()
    assert Ticks.from_ledger(scene.ledger).longest_gap > 1


def test_no_lease_is_reclaimed_because_of_a_lock(scene):
    """A lock that lasts longer than a lease stops all heartbeats, and no lease is reclaimed because of it."""
    scene.items, scene.concurrency = 120, 4
    workers = [scene.start(seconds=0.1, lease=1.2) for _ in range(3)]
    for worker in workers:
        scene.until_called(worker, 40)

    with _locked(scene.database, 3):
        pass
    codes = [scene.finish(worker) for worker in workers]

    assert codes == [0, 0, 0], scene.errors()
    assert "lease_reclaimed" not in scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []
