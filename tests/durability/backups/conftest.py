"""A library with backups, in a folder of its own."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.keeping import Digests, violations
from support.library import fill


@dataclass(frozen=True, slots=True)
class Kept:
    """A library, and what was in it at first."""

    database: Path
    originals: Digests

    def broken(self, **expected: bool) -> list[str]:
        return violations(self.database, self.originals, **expected)

    def copied(self, folder: Path) -> "Kept":
        """Return a copy, with its backups."""
        shutil.copytree(self.database.parent, folder)
        return Kept(folder / self.database.name, self.originals)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Kept:
    """One library for all: nothing but copies of it is changed."""
    database = tmp_path_factory.mktemp("pristine") / "library" / "holdfast.db"
    return Kept(database, fill(database, 60))


@pytest.fixture
def kept(pristine, tmp_path) -> Kept:
    return pristine.copied(tmp_path / "library")
