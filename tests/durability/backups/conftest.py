"""A library with backups, in a folder of its own or on a server."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from backstay import Backstay
from support import adopted, postgres
from support.commands import in_process
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

    def latest_backup(self) -> str:
        return str(ask(self.database, "SELECT id FROM backups ORDER BY key DESC LIMIT 1")[0][0])

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


@pytest.fixture
def aftermath(capfd, monkeypatch) -> Callable[[Kept, str, Sequence[str]], list[str]]:
    """Return a function that lists what is wrong after a command was killed: with what it left, and with finishing it.

    It takes a library, the command's name and its arguments, and runs its own commands in this process.
    """
    for name in [name for name in os.environ if name.startswith(("BACKSTAY", "BACKUP"))]:
        monkeypatch.delenv(name)
    command = in_process(capfd)

    def examined(kept: Kept, what: str, words: Sequence[str]) -> list[str]:
        if kept.safe is not None:
            monkeypatch.setenv("BACKUP_DIRECTORY", str(kept.safe))
        backstay = partial(command, "--database", str(kept.database))
        found = kept.broken(is_started=False)
        backups = backstay("backups", "list", "--json").json["backups"]  # a start
        found += kept.broken()
        found += [f"{one['backupId']} is running for ever" for one in backups if one["state"] == "running"]
        unfinished = [one["backupId"] for one in backups if (one["deletion"] or {}).get("state") == "deleting"]
        if unfinished:
            words = ["conversations", "delete", "--continue", unfinished[0]]
        again = backstay(*words)
        is_done = what == "delete" and "No conversation is selected" in again.err
        if again.code != 0 and not is_done:
            found.append(f"tried again, it ended with {again.code} and {again.err}")
        found += kept.broken()
        if what == "delete":
            restored = backstay("backups", "restore", unfinished[0] if unfinished else kept.latest_backup())
            if restored.code != 0:
                found.append(f"not restored: {restored.err}")
        if what != "cleanup":
            here = {name for (name,) in ask(kept.database, "SELECT id FROM conversations")}
            found += [f"{one} is not there" for one in set(kept.originals) - here]
        return found

    return examined


@pytest.fixture(params=["sqlite", "postgres"])
def kept_anywhere(request, monkeypatch) -> Kept:
    """A library of every kind."""
    if request.param == "sqlite":
        return request.getfixturevalue("kept")
    kept: Kept = request.getfixturevalue("kept_on_a_server")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(kept.safe))
    return kept
