"""A library with backups, in a folder of its own or on a server."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstay import Backstay
from support import adopted, postgres
from support.keeping import Digests, violations
from support.library import ALL, fill
from support.sql import ask


@dataclass(frozen=True, slots=True)
class Kept:
    """A library, and what was in it at first."""

    database: Path | str
    originals: Digests
    safe: Path | None = None
    """Where its backups are, when that is not beside it."""

    @property
    def environment(self) -> dict[str, str]:
        """What a command that uses it is to be given, and nothing of whoever runs the tests."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))}
        return clean if self.safe is None else {**clean, "BACKUP_DIRECTORY": str(self.safe)}

    def broken(self, **expected: bool) -> list[str]:
        return violations(self.database, self.originals, safe=self.safe, **expected)

    def copied(self, folder: Path) -> "Kept":
        """Return a copy, with its backups. One on a server is dropped by whoever asked for it."""
        if isinstance(self.database, Path):
            shutil.copytree(self.database.parent, folder)
            return Kept(folder / self.database.name, self.originals)
        folder.mkdir(parents=True)
        return Kept(postgres.copied_database(self.database), self.originals, folder / "safe")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Kept:
    """One library for all: nothing but copies of it is changed."""
    database = tmp_path_factory.mktemp("pristine") / "library" / "backstay.db"
    database.parent.mkdir()
    return Kept(database, fill(database, 60))


@pytest.fixture(scope="session")
def pristine_on_a_server(request, tmp_path_factory) -> Kept:
    """The same on a server; in adopted tables, with rows of the app that hang on them, where that is asked for."""
    postgres.need_a_server()
    if getattr(request, "param", "own") == "own":
        url = postgres.fresh_database()
        return Kept(url, fill(url, 60))
    url = adopted.fresh_database()
    fill(url, 60)
    ask(url, adopted.HANGING)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BACKUP_DIRECTORY", str(tmp_path_factory.mktemp("safe")))
        return Kept(url, asyncio.run(_as_backed_up(url)))


async def _as_backed_up(url: str) -> Digests:
    """Return the digests of what a backup holds: columns and rows of the app, too."""
    async with Backstay.open(url) as backstay:
        made = await backstay.backups.create(ALL)
        noted = await asyncio.to_thread(ask, url, "SELECT id, encode(digest, 'hex') FROM backup_items")
        await backstay.backups.delete(made.id)
    return dict(noted)


@pytest.fixture
def kept(pristine, tmp_path) -> Kept:
    return pristine.copied(tmp_path / "library")


@pytest.fixture
def kept_on_a_server(pristine_on_a_server, tmp_path) -> Iterator[Kept]:
    kept = pristine_on_a_server.copied(tmp_path / "library")
    yield kept
    postgres.drop_database(str(kept.database))


@pytest.fixture(params=["sqlite", "postgres"])
def kept_anywhere(request, monkeypatch) -> Kept:
    """A library of every kind."""
    if request.param == "sqlite":
        return request.getfixturevalue("kept")
    kept: Kept = request.getfixturevalue("kept_on_a_server")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(kept.safe))
    return kept
