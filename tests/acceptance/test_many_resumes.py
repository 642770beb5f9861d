"""Many processes on one job share the work; they never store an item twice."""

import pytest

from support.harness.sampling import FULL

pytestmark = [pytest.mark.promise("B2", "B5"), pytest.mark.sweep]

_MANY = 50 if FULL else 8


def started(scene, count: int) -> list:
    """Start so many processes and release them at once."""
    with scene.gate() as gate:
        victims = [scene.start(gate=gate, seconds=0.02) for _ in range(count)]
        scene.until_arrived(victims)
    return victims


def test_many_resumes_in_the_same_instant(scene):
    """Many processes that start a job at once create it once and call each item once."""
    scene.items, scene.concurrency = 400, 2
    victims = started(scene, _MANY)

    assert [scene.finish(victim) for victim in victims] == [0] * _MANY, scene.errors()
    assert scene.broken() == []
    assert len(scene.witness().calls) == scene.items


def test_many_resumes_of_a_killed_job(scene):
    """Many processes that resume a killed job call each of the dead worker's items once."""
    scene.items, scene.concurrency = 400, 4
    first = scene.start(seconds=0.02)
    scene.until_called(first, 100)
    scene.kill(first)

    victims = started(scene, _MANY)

    assert [scene.finish(victim) for victim in victims] == [0] * _MANY, scene.errors()
    assert scene.broken() == []
