"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faults.mounts import Mounts
from support.faults.scene import Scene
from support.harness import requirements


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One database, one ledger, and real worker processes."""
    scene = Scene(tmp_path)
    yield scene
    scene.end()


@pytest.fixture
def mounts(scene: Scene) -> Iterator[Mounts]:
    """File systems of the test's own. The scene's workers start inside them; its database has a folder of its own."""
    with Mounts(requirements.mounts_of_its_own()) as mounts:
        scene.inside, scene.root = mounts.inside, mounts.root
        scene.database = scene.folder / "disk" / "backstay.db"
        scene.database.parent.mkdir()
        yield mounts
