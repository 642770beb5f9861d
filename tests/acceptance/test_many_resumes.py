"""Many processes on one job share the work; they never store an item twice."""

import pytest

from support.sql import is_server
from support.torture import FULL

pytestmark = [pytest.mark.promise("B2", "B5"), pytest.mark.sweep]


_MANY = 50
_FEW = _MANY if FULL else 15


def started(scene, count: int) -> list:
    """Start so many, that begin together once all are there."""
    with scene.gate() as gate:
        victims = [scene.start(gate=gate, seconds=0.02) for _ in range(count)]
        scene.until_arrived(victims)
    return victims


def test_many_resumes_in_the_same_instant(scene):
    """The first may create the job, all work on it, each item is called once."""
    scene.items, scene.concurrency = 400, 2
    # A server is asked for a connection by each of their threads.
    count = _FEW if is_server(scene.database) else _MANY

    victims = started(scene, count)

    assert [scene.finish(victim) for victim in victims] == [0] * count, scene.errors()
    assert scene.broken() == []
    assert len(scene.witness().calls) == scene.items


def test_many_resumes_of_a_killed_job(scene):
    """They find the dead worker's items once."""
    scene.items, scene.concurrency = 400, 4
    first = scene.start(seconds=0.02)
    scene.until_called(first, 100)
    scene.kill(first)

    victims = started(scene, _FEW)

    assert [scene.finish(victim) for victim in victims] == [0] * _FEW, scene.errors()
    assert scene.broken() == []
