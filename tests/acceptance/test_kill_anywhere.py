"""kill -9 at any instant loses nothing that was acknowledged and repeats only calls in flight."""

import random
import time

import pytest

from support.harness.sampling import FULL
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B5")

_KILLS = 320 if FULL else 4
_KILLS_A_JOB = 4


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(_KILLS // _KILLS_A_JOB))
def test_killed_at_random_instants_and_resumed(scene, seed):
    """A job of 300 items that is killed four times and resumed is complete."""
    scene.items, chance = 300, random.Random(seed)

    for _ in range(_KILLS_A_JOB):
        victim = scene.start(seconds=0.01)
        _until_it_works(scene, victim)
        time.sleep(chance.uniform(0, 0.15))  # random moment of the kill
        scene.kill(victim)
        assert scene.broken(at_rest=False) == []

    assert scene.run() == 0, scene.errors()
    assert scene.broken() == []


def _until_it_works(scene, victim):
    seen = len(scene.witness().calls)
    until(lambda: len(scene.witness().calls) > seen or victim.poll() is not None)
