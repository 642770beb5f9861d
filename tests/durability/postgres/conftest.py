"""Fixtures for faults of a server: a database on it, and processes that work there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faults.scene import Scene
from support.stores import postgres


@pytest.fixture
def url() -> Iterator[str]:
    """A fresh database with the present schema."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def scene(tmp_path: Path, url: str) -> Iterator[Scene]:
    """One database on a server, one ledger of calls, and real processes that work and are killed."""
    scene = Scene(tmp_path, database=url)
    yield scene
    scene.end()
