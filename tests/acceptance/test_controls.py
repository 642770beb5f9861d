"""The checker detects broken promises when a protection is switched off."""

import pytest

from support.faults.batch_invariants import violations
from support.faults.suspended_worker import wake_up_beside_a_successor
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B2", "B3", "B4", "B5", "B6", "B7")


def test_without_the_fence_a_frozen_worker_writes_over_its_successor(scene):
    """If its token is not checked, a frozen worker writes over its successor."""
    workers = wake_up_beside_a_successor(scene, without="fence")
    # With wrong counters the workers may never end.
    until(
        lambda: (
            _overwritten(violations(scene.database, at_rest=False))
            or all(worker.poll() is not None for worker in workers)
        )
    )
    for worker in workers:
        scene.kill(worker)

    broken = scene.broken(at_rest=False)

    assert _overwritten(broken), broken


def _overwritten(broken):
    return [line for line in broken if line.startswith(("B2", "B3", "B4", "B7"))]


def test_without_the_shared_transaction_an_item_is_stored_twice(scene):
    """If conversations and item states are committed separately, a kill between them stores an item twice."""
    scene.items, broken = 60, []
    for number in range(4, 12):
        scene.run(die=f"before:{number}", without="shared-transaction", seconds=0.002)
        broken = scene.broken(at_rest=False)
        if any(line.startswith("B2") for line in broken):
            return

    pytest.fail(f"nothing was stored twice: {broken}")


@pytest.mark.parametrize("without", ["", "replay"])
def test_an_outcome_that_the_database_refuses(scene, without):
    """Of two items with one conversation id the later fails alone; without the replay, no item is committed."""
    scene.items = 60

    code = scene.run(doing="clash@10,clash@11", without=without, seconds=0.002)
    broken = scene.broken(may_fail=frozenset({"i10", "i11"}))

    if without:
        assert code != 0
        assert any(line.startswith("B6") for line in broken), broken
    else:
        assert code == 0, scene.errors()
        assert broken == []
