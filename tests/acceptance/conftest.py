"""What the acceptance tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One database, one ledger, and real processes that work and are killed."""
    scene = Scene(tmp_path)
    yield scene
    scene.end()
