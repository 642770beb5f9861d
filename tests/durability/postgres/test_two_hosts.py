"""Workers on hosts that share only the database: beats alone decide which worker is frozen or dead."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from durability.postgres._hosts import Host
from support.faults.suspended_worker import stop
from support.harness.sampling import FULL
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B2", "B4", "B6")

_LEASE = 15 if FULL else 2
_LATE_SECONDS = 2  # by which a lease may be reclaimed late


@pytest.fixture
def host(scene, url) -> Iterator:
    """A function that makes a host of the given name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Host(scene.folder, url, name=name))


def start(scene, host: Host, **options: object):
    return scene.start(under=host.inside, database=host.url, **options)


def is_stopped(process) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def reclaims(scene) -> int:
    return scene.errors().count("lease_reclaimed")


def seconds_until_reclaimed(scene, count: int) -> float:
    begun = time.monotonic()
    until(lambda: reclaims(scene) == count, seconds=60)
    return time.monotonic() - begun


@pytest.mark.sweep
def test_one_frozen_past_its_lease_and_one_killed(scene, host):
    """The leases of a frozen and a killed worker are reclaimed once they expire, and nothing is stored twice."""
    scene.items, scene.concurrency = 700, 4
    options = {"lease": _LEASE, "seconds": 0.03 * _LEASE}
    first = start(scene, host("here"), **options)
    second = start(scene, host("there"), **options)
    for each in (first, second):
        scene.until_called(each, 20)

    stop(first)
    frozen = seconds_until_reclaimed(scene, 1)
    first.send_signal(signal.SIGCONT)
    until(lambda: "lease_lost" in scene.errors())
    scene.until_called(first, len(scene.witness().calls) + 20)
    scene.kill(second)
    killed = seconds_until_reclaimed(scene, 2)
    code = scene.finish(first, seconds=300)

    assert code == 0, scene.errors()
    assert scene.broken(crashes=2) == []
    if FULL:
        assert max(frozen, killed) < _LEASE + _LATE_SECONDS, (frozen, killed)


def frozen_within_its_commit(scene, host, without: str) -> int:
    """Freeze a worker between its fence and its writes until another has done its work; return how it ends."""
    scene.items, scene.concurrency = 60, 4
    options = {"lease": 1, "seconds": 0.02, "without": without}
    first = start(scene, host("here"), freeze=3, **options)
    until(lambda: is_stopped(first))
    second = start(scene, host("there"), **options)
    code = scene.finish(second)
    assert code == 0, scene.errors()
    assert reclaims(scene) == 1

    first.send_signal(signal.SIGCONT)
    return scene.finish(first)


@pytest.mark.parametrize("without", ["", "guards", "row-lock,idle-limit"], ids=lambda without: without or "nothing")
def test_one_frozen_between_its_fence_and_its_writes(scene, host, without):
    """A worker frozen within its commit blocks its successor until the server ends its session; it stores nothing."""
    code = frozen_within_its_commit(scene, host, without)

    assert code == 0, scene.errors()
    assert "lease_lost" in scene.errors()
    assert scene.broken(crashes=1) == []


def test_without_lock_and_guards_it_writes_over_its_successor(scene, host):
    """Control: without the lock and the guards a frozen worker overwrites what its successor stored."""
    frozen_within_its_commit(scene, host, "row-lock,guards,idle-limit")

    broken = scene.broken(crashes=1, at_rest=False)

    assert any(line.startswith("B2") for line in broken), broken


@pytest.mark.parametrize("without", ["", "machine"], ids=["", "control"])
def test_two_of_one_name(scene, host, without):
    """Two hosts with the same name are not mistaken for one that rebooted, whose workers would all be dead."""
    scene.items, scene.concurrency = 160, 4
    options = {"lease": 3, "seconds": 0.1, "without": without}
    with scene.gate() as gate:
        workers = [start(scene, host("localhost"), gate=gate, **options) for _ in range(2)]
        scene.until_arrived(workers)

    codes = [scene.finish(worker) for worker in workers]

    errors = scene.errors()
    # A worker mistaken for dead loses its lease, or, if it is creating the job, also the items it has staged.
    is_mistaken = any(sign in errors for sign in ("lease_lost", "LeaseLost", "ItemsDiffer"))
    assert is_mistaken == bool(without), errors
    assert is_mistaken or codes == [0, 0], errors
