"""Commands killed at any instant while their library is on a server: create, delete, restore, cleanup.

Afterwards: what was deleted can be restored, each file with a final name is complete, the next start removes what the
dead process left, and the same command, or the one that resumes it, succeeds.
"""

import random
import shutil
import subprocess
import sys
import time

import pytest

from support.harness.sampling import FULL
from support.harness.waiting import until
from support.stores import postgres
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K2", "K3", "K6")

_KILLS = 60 if FULL else 1  # of each command


def _command(library, *words: str) -> list[str]:
    return [sys.executable, "-m", "backstay", "--database", str(library.database), *words]


def _backstay(library, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        _command(library, *words), capture_output=True, text=True, check=False, timeout=120, env=library.environment
    )


def _is_connected(library) -> bool:
    """Return whether the command has connected to the server."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backstay'"
    return bool(ask(library.database, query))


def _make_expired(library) -> None:
    assert _backstay(library, "backups", "create", "--all").returncode == 0
    ask(library.database, "UPDATE backups SET expires_at = created_at + 1")


def _delete(library) -> None:
    assert _backstay(library, "conversations", "delete", "--all", "--yes").returncode == 0


_COMMANDS = {
    "create": (lambda _: None, lambda _: ["backups", "create", "--all"]),
    "delete": (lambda _: None, lambda _: ["conversations", "delete", "--all", "--yes"]),
    "restore": (_delete, lambda library: ["backups", "restore", library.latest_backup()]),
    "cleanup": (_make_expired, lambda _: ["backups", "cleanup", "--now"]),
}


@pytest.mark.sweep
@pytest.mark.parametrize("what", _COMMANDS)
@pytest.mark.parametrize("pristine_on_a_server", ["own", "adopted"], indirect=True, scope="session")
def test_killed_at_any_instant(pristine_on_a_server, what, tmp_path, request, aftermath):
    """A command killed at any moment keeps every promise, and all rows of adopted tables are restored."""
    arrange, words_of = _COMMANDS[what]
    is_adopted = request.node.callspec.params["pristine_on_a_server"] == "adopted"
    chance, broken = random.Random(what), {}
    for number in range(_KILLS):
        library = pristine_on_a_server.copied(tmp_path / str(number))
        arrange(library)
        words = words_of(library)
        process = subprocess.Popen(_command(library, *words), stdout=-3, stderr=-3, env=library.environment)
        until(lambda library=library, process=process: _is_connected(library) or process.poll() is not None)
        time.sleep(chance.uniform(0, 0.7))  # random moment of the kill
        process.kill()
        code = process.wait()
        problems = aftermath(library, what, words)
        if is_adopted and _rows(library) != _rows(pristine_on_a_server):
            problems.append("rows of the app have changed")
        if problems:
            broken[number, code] = problems
        postgres.drop_database(str(library.database))
        shutil.rmtree(tmp_path / str(number))

    assert broken == {}


def _rows(library) -> list[list[tuple[str]]]:
    tables = ("chats", "messages", "tags", "seen")
    return [ask(library.database, f"SELECT t::text FROM public.{table} AS t ORDER BY 1") for table in tables]
