"""A laptop is closed: all workers are stopped for longer than a lease, and continue at the same moment."""

import signal
import time

import pytest

from support.faults.suspended_worker import stop, stop_between_transactions

pytestmark = pytest.mark.promise("B4", "B5")

_LEASE = 1.2


def test_all_workers_sleep_through_their_leases(scene):
    """Workers that slept equally long reclaim no lease of each other, and every item is called once."""
    scene.items, scene.concurrency = 240, 4
    workers = [scene.start(cold=True, seconds=0.1, lease=_LEASE) for _ in range(3)]
    for worker in workers:
        scene.until_called(worker, 60)

    for worker in workers:
        stop(worker)
    called = len(scene.witness().calls)
    time.sleep(2.5 * _LEASE)  # the lid is closed: only time passes
    slept = len(scene.witness().calls) == called
    for worker in workers:
        worker.send_signal(signal.SIGCONT)
    codes = [scene.finish(worker) for worker in workers]

    assert slept
    assert codes == [0, 0, 0], scene.errors()
    assert "lease_reclaimed" not in scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


def test_a_worker_that_sleeps_alone_is_reclaimed(scene):
    """The control: a worker that stays awake reclaims the lease of one that sleeps."""
    scene.items, scene.concurrency = 120, 4
    workers = [scene.start(cold=True, seconds=0.1, lease=_LEASE) for _ in range(2)]
    for worker in workers:
        scene.until_called(worker, 30)

    stop_between_transactions(scene, workers[0])
    code = scene.finish(workers[1])
    workers[0].send_signal(signal.SIGCONT)

    assert code == 0, scene.errors()
    assert "lease_reclaimed" in scene.errors()
    assert scene.finish(workers[0]) == 0
    assert scene.broken(crashes=1) == []
