"""Kills right before and right after each commit, where a half-written state would show."""

import signal

import pytest

from support.harness.sampling import sample

pytestmark = pytest.mark.promise("B1", "B2", "B5", "B7")

_BOUNDARIES = [f"{when}:{number}" for number in range(1, 31) for when in ("before", "after")]


@pytest.mark.sweep
@pytest.mark.parametrize("boundary", sample(_BOUNDARIES, 4))
def test_killed_at_a_commit(scene, boundary):
    """A kill at any commit of a job, from its creation to its cleanup, breaks no promise."""
    scene.items = 60

    died = scene.run(die=boundary, seconds=0.002)
    held = scene.broken(at_rest=False, planned=None) if died else []
    resumed = scene.run()

    assert died in (0, -signal.SIGKILL)
    assert held == []
    assert resumed == 0, scene.errors()
    assert scene.broken() == []
