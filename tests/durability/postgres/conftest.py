"""What the tests of a server's faults share: a database of their own on it, and processes that work there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import postgres
from support.scene import Scene


@pytest.fixture
def url() -> Iterator[str]:
    """A fresh database of the schema that the code knows."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def scene(tmp_path: Path, url: str) -> Iterator[Scene]:
    """One database on a server, one ledger, and real processes that work and suffer."""
    scene = Scene(tmp_path, database=url)
    yield scene
    scene.end()
