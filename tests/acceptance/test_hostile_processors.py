"""Processors that crash, hang or block cost their own items at most."""

import pytest

from support.torture import FULL

pytestmark = pytest.mark.promise("B5", "B6")

_PATIENCE = 40  # runs after which a job that is not finished never will be
_CRASHES = ["exit", "segfault"] if FULL else ["exit"]  # test_two_items_that_crash_their_workers covers segfault


@pytest.mark.parametrize("fault", _CRASHES)
def test_an_item_that_crashes_its_worker_fails_alone(scene, fault):
    """Resumed after every crash, the job ends: the culprit failed as crashed_worker, its neighbours did not."""
    scene.items, scene.concurrency = 40, 8
    runs = 1

    while scene.run(doing=f"{fault}@5", seconds=0.002) != 0:
        scene.crashes += 1
        runs += 1
        assert runs < _PATIENCE, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5"})) == []
    assert runs - 1 <= 2 + 3, "twice in company, three times alone"


def test_two_items_that_crash_their_workers(scene):
    """Each is found out; nobody else fails."""
    scene.items, scene.concurrency = 40, 8
    runs = 1

    while scene.run(doing="exit@5,segfault@6", seconds=0.002) != 0:
        scene.crashes += 1
        runs += 1
        assert runs < _PATIENCE, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5", "i6"})) == []


@pytest.mark.parametrize("fault", ["hang", "stubborn"])
def test_a_call_that_hangs_is_abandoned_at_its_deadline(scene, fault):
    """Heeding the cancellation or not, it fails after max_attempts time-outs, and the job ends."""
    scene.items = 30

    assert scene.run(doing=f"{fault}@5", timeout=0.3, seconds=0.002) == 0, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5"})) == []


def test_a_blocked_event_loop_is_not_death(scene):
    """The beats go on from their own thread while a processor blocks the loop for longer than a lease."""
    scene.items, scene.concurrency = 60, 4
    blocked = scene.start(doing="block@3", lease=2.5, seconds=0.02)
    other = scene.start(doing="block@3", lease=2.5, seconds=0.02)

    assert scene.finish(blocked) == 0, scene.errors()
    assert scene.finish(other) == 0, scene.errors()

    assert scene.broken() == []
    assert "lease_lost" not in scene.errors()
