"""A command that is killed at any instant while its library is on a server: create, delete, restore, cleanup.

After each kill: what was deleted can be restored, no final name is anything but whole, the next start leaves nothing of
the dead, and the same command, or the one it was told to go on with, comes to the end.
"""

import random
import shutil
import subprocess
import sys
import time

import pytest

from support import postgres
from support.sql import ask
from support.torture import FULL
from support.waiting import until

pytestmark = pytest.mark.promise("K1", "K2", "K3", "K6")

_KILLS = 60 if FULL else 1  # of each command


def _command(kept, *words: str) -> list[str]:
    return [sys.executable, "-m", "backstay", "--database", str(kept.database), *words]


def _backstay(kept, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        _command(kept, *words), capture_output=True, text=True, check=False, timeout=120, env=kept.environment
    )


def _is_there(kept) -> bool:
    """Return whether the command has connected to the server."""
    asked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backstay'"
    return bool(ask(kept.database, asked))


def _make(kept) -> None:
    assert _backstay(kept, "backups", "create", "--all").returncode == 0
    ask(kept.database, "UPDATE backups SET expires_at = created_at + 1")


def _delete(kept) -> None:
    assert _backstay(kept, "conversations", "delete", "--all", "--yes").returncode == 0


_COMMANDS = {
    "create": (lambda _: None, lambda _: ["backups", "create", "--all"]),
    "delete": (lambda _: None, lambda _: ["conversations", "delete", "--all", "--yes"]),
    "restore": (_delete, lambda kept: ["backups", "restore", kept.latest_backup()]),
    "cleanup": (_make, lambda _: ["backups", "cleanup", "--now"]),
}


@pytest.mark.sweep
@pytest.mark.parametrize("what", _COMMANDS)
@pytest.mark.parametrize("pristine_on_a_server", ["own", "adopted"], indirect=True, scope="session")
def test_killed_at_any_instant(pristine_on_a_server, what, tmp_path, request, aftermath):
    """A command killed at any moment keeps every promise, and rows of adopted tables are all there again."""
    arrange, words_of = _COMMANDS[what]
    is_adopted = request.node.callspec.params["pristine_on_a_server"] == "adopted"
    chance, broken = random.Random(what), {}
    for number in range(_KILLS):
        kept = pristine_on_a_server.copied(tmp_path / str(number))
        arrange(kept)
        words = words_of(kept)
        process = subprocess.Popen(_command(kept, *words), stdout=-3, stderr=-3, env=kept.environment)
        until(lambda kept=kept, process=process: _is_there(kept) or process.poll() is not None)
        time.sleep(chance.uniform(0, 0.7))  # random moment of the kill
        process.kill()
        code = process.wait()
        found = aftermath(kept, what, words)
        if is_adopted and _rows(kept) != _rows(pristine_on_a_server):
            found.append("rows of the app are not as they were")
        if found:
            broken[number, code] = found
        postgres.drop_database(str(kept.database))
        shutil.rmtree(tmp_path / str(number))

    assert broken == {}


def _rows(kept) -> list[list[tuple[str]]]:
    tables = ("chats", "messages", "tags", "seen")
    return [ask(kept.database, f"SELECT t::text FROM public.{table} AS t ORDER BY 1") for table in tables]
