"""Fixtures: a library with backups, in its own folder or on a server."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from backstay import Backstay
from support.faults.backup_invariants import Digests, violations
from support.harness.commands import in_process
from support.stores import adopted_database, postgres
from support.stores.library import ALL, fill
from support.stores.sql import ask


@dataclass(frozen=True, slots=True)
class LibraryFixture:
    """A library, and the digests of its original conversations."""

    database: Path | str
    originals: Digests
    safe: Path | None = None
    """The folder of its backups, unless that is the default one."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that uses it, without settings of the user who runs the tests."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))}
        return clean if self.safe is None else {**clean, "BACKUP_DIRECTORY": str(self.safe)}

    def broken(self, **expected: bool) -> list[str]:
        return violations(self.database, self.originals, safe=self.safe, **expected)

    def latest_backup(self) -> str:
        return str(ask(self.database, "SELECT id FROM backups ORDER BY key DESC LIMIT 1")[0][0])

    def copied(self, folder: Path) -> "LibraryFixture":
        """Return a copy with its backups. The caller drops a copy on a server."""
        if isinstance(self.database, Path):
            shutil.copytree(self.database.parent, folder)
            return LibraryFixture(folder / self.database.name, self.originals)
        folder.mkdir(parents=True)
        return LibraryFixture(postgres.copied_database(self.database), self.originals, folder / "safe")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> LibraryFixture:
    """One library for all tests, which change only copies of it."""
    database = tmp_path_factory.mktemp("pristine") / "library" / "backstay.db"
    database.parent.mkdir()
    return LibraryFixture(database, fill(database, 60))


@pytest.fixture(scope="session")
def pristine_on_a_server(request, tmp_path_factory) -> LibraryFixture:
    """One library on a server for all tests; with the parameter `adopted`, in adopted tables with related rows."""
    postgres.need_a_server()
    if getattr(request, "param", "own") == "own":
        url = postgres.fresh_database()
        return LibraryFixture(url, fill(url, 60))
    url = adopted_database.fresh_database()
    fill(url, 60)
    ask(url, adopted_database.HANGING)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BACKUP_DIRECTORY", str(tmp_path_factory.mktemp("safe")))
        return LibraryFixture(url, asyncio.run(_as_backed_up(url)))


async def _as_backed_up(url: str) -> Digests:
    """Return the digests of a backup's conversations, which include user columns and related rows."""
    async with Backstay.open(url) as backstay:
        backup = await backstay.backups.create(ALL)
        rows = await asyncio.to_thread(ask, url, "SELECT id, encode(digest, 'hex') FROM backup_items")
        await backstay.backups.delete(backup.id)
    return dict(rows)


@pytest.fixture
def file_library(pristine, tmp_path) -> LibraryFixture:
    return pristine.copied(tmp_path / "library")


@pytest.fixture
def server_library(pristine_on_a_server, tmp_path) -> Iterator[LibraryFixture]:
    library = pristine_on_a_server.copied(tmp_path / "library")
    yield library
    postgres.drop_database(str(library.database))


@pytest.fixture
def aftermath(capfd, monkeypatch) -> Callable[[LibraryFixture, str, Sequence[str]], list[str]]:
    """Return a function that lists the problems after a command was killed: in what it left, and in finishing it.

    It takes a library, the command's name and its arguments, and runs its own commands in this process.
    """
    for name in [name for name in os.environ if name.startswith(("BACKSTAY", "BACKUP"))]:
        monkeypatch.delenv(name)
    command = in_process(capfd)

    def examined(library: LibraryFixture, what: str, words: Sequence[str]) -> list[str]:
        if library.safe is not None:
            monkeypatch.setenv("BACKUP_DIRECTORY", str(library.safe))
        backstay = partial(command, "--database", str(library.database))
        problems = library.broken(is_started=False)
        backups = backstay("backups", "list", "--json").json["backups"]  # a start
        problems += library.broken()
        problems += [f"{backup['backupId']} is running for ever" for backup in backups if backup["state"] == "running"]
        unfinished = [backup["backupId"] for backup in backups if (backup["deletion"] or {}).get("state") == "deleting"]
        if unfinished:
            words = ["conversations", "delete", "--continue", unfinished[0]]
        again = backstay(*words)
        is_done = what == "delete" and "No conversation is selected" in again.err
        if again.code != 0 and not is_done:
            problems.append(f"tried again, it ended with {again.code} and {again.err}")
        problems += library.broken()
        if what == "delete":
            restored = backstay("backups", "restore", unfinished[0] if unfinished else library.latest_backup())
            if restored.code != 0:
                problems.append(f"not restored: {restored.err}")
        if what != "cleanup":
            here = {name for (name,) in ask(library.database, "SELECT id FROM conversations")}
            problems += [f"{name} is missing" for name in set(library.originals) - here]
        return problems

    return examined


@pytest.fixture(params=["sqlite", "postgres"])
def any_library(request, monkeypatch) -> LibraryFixture:
    """A library in a file, and one on a server."""
    if request.param == "sqlite":
        return request.getfixturevalue("file_library")
    library: LibraryFixture = request.getfixturevalue("server_library")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(library.safe))
    return library
