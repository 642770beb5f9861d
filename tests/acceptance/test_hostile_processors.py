"""Processors that crash, hang or block harm their own items at most."""

import pytest

from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("B5", "B6")

_PATIENCE = 40  # runs after which a job that is not finished never will be
_CRASHES = ["exit", "segfault"] if FULL else ["exit"]  # test_two_items_that_crash_their_workers covers segfault


@pytest.mark.parametrize("fault", _CRASHES)
def test_an_item_that_crashes_its_worker_fails_alone(scene, fault):
    """An item that crashes every worker fails as crashed_worker, and no other item fails."""
    scene.items, scene.concurrency = 40, 8
    runs = 1

    while scene.run(doing=f"{fault}@5", seconds=0.002) != 0:
        scene.crashes += 1
        runs += 1
        assert runs < _PATIENCE, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5"})) == []
    assert runs - 1 <= 2 + 3, "twice in company, three times alone"


def test_two_items_that_crash_their_workers(scene):
    """Two items that crash their workers both fail, and no other item does."""
    scene.items, scene.concurrency = 40, 8
    runs = 1

    while scene.run(doing="exit@5,segfault@6", seconds=0.002) != 0:
        scene.crashes += 1
        runs += 1
        assert runs < _PATIENCE, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5", "i6"})) == []


@pytest.mark.parametrize("fault", ["hang", "stubborn"])
def test_a_call_that_hangs_is_abandoned_at_its_deadline(scene, fault):
    """A call that hangs fails its item after max_attempts timeouts, whether or not it heeds its cancellation."""
    scene.items = 30

    assert scene.run(doing=f"{fault}@5", timeout=0.3, seconds=0.002) == 0, scene.errors()

    assert scene.broken(may_fail=frozenset({"i5"})) == []


def test_a_blocked_event_loop_is_not_death(scene):
    """A worker whose event loop is blocked for longer than a lease keeps its lease."""
    scene.items, scene.concurrency = 60, 4
    blocked = scene.start(doing="block@3", lease=2.5, seconds=0.02)
    other = scene.start(doing="block@3", lease=2.5, seconds=0.02)

    assert scene.finish(blocked) == 0, scene.errors()
    assert scene.finish(other) == 0, scene.errors()

    assert scene.broken() == []
    assert "lease_lost" not in scene.errors()
