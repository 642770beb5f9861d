"""What the tests of faults share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import needs
from support.mounts import Mounts
from support.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One database, one ledger, and real processes that work and suffer."""
    scene = Scene(tmp_path)
    yield scene
    scene.end()


@pytest.fixture
def mounts(scene: Scene) -> Iterator[Mounts]:
    """File systems of our own. The scene's victims are started where these are; its database is in a folder apart."""
    with Mounts(needs.mounts_of_its_own()) as mounts:
        scene.inside, scene.root = mounts.inside, mounts.root
        scene.database = scene.folder / "disk" / "backstay.db"
        scene.database.parent.mkdir()
        yield mounts
