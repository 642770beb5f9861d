"""Fixtures of the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faults.scene import Scene
from support.stores.kinds import PARAMETERS, Kind, require


@pytest.fixture(params=PARAMETERS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Create one database, one ledger, and real processes that work and are killed."""
    kind: Kind = request.param
    require(kind)
    with kind.fresh_database(tmp_path) as where:
        scene = Scene(tmp_path, database=where)
        yield scene
        scene.end()
