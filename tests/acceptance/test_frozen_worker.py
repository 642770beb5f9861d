"""A process that is frozen past its lease cannot write over its successor."""

import pytest

from support.faults.suspended_worker import wake_up_beside_a_successor

pytestmark = pytest.mark.promise("B3", "B4")


def test_stopped_past_the_lease_and_continued(scene):
    """A worker that is stopped past its lease, reclaimed and continued stores nothing twice."""
    workers = wake_up_beside_a_successor(scene)

    assert [scene.finish(worker) for worker in workers] == [0, 0], scene.errors()
    assert "lease_reclaimed" in scene.errors()
    assert "lease_lost" in scene.errors()
    # What the frozen one had in flight was called twice, as if it had crashed.
    assert scene.broken(crashes=1) == []
