"""A command that revises a recipe is killed: the revision is stored whole or not at all, and nothing is paid twice."""

import json
import os
import signal
import subprocess
import sys

import pytest

from support.fakes.provider import ProviderServer
from support.faults.batch_invariants import violations
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B1", "B2", "B5", "B7")

_KILLED = """
import os, signal, sys
from backstay.batch import revisions as service
from backstay.storage.sql import revisions as storage

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where, sys.argv = sys.argv[1], ["backstay", *sys.argv[2:]]
if where == "planned":
    service.JobRevisions.revise_recipe = die
elif where == "within":
    insert = storage.insert_revision
    storage.insert_revision = lambda *arguments: (insert(*arguments), die())
elif where == "stored":
    service.JobRevisions.resume = die
from backstay.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(("where", "revision"), [("planned", 1), ("within", 1), ("stored", 2), ("never", 2)])
def test_a_killed_revision_is_whole_or_not_at_all(tmp_path, where, revision):
    """Wherever it is killed, the same command again follows the new recipe for exactly the items that were left."""
    items = "".join(json.dumps({"id": f"i{n}", "topic": f"topic {n}"}) + "\n" for n in range(6))
    (tmp_path / "topics.jsonl").write_text(items)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def call(*words):
        argv = [sys.executable, "-c", _KILLED, *words[:1], "--database", "d.db", *words[1:]]
        return subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)

    with ProviderServer() as provider:
        options = ("--model", "first", "--base-url", provider.base_url, "--turns", "2", "--limit", "2")
        assert call("never", "run", "topics.jsonl", *options, "--concurrency", "1").returncode == 4
        revise = ("resume", "topics", "--model", "second", "--yes")

        killed = call(where, *revise)
        stored = ask(tmp_path / "d.db", "SELECT number FROM recipe_revisions ORDER BY number")
        again = call("never", *revise)
        models = [call.body["model"] for call in provider.calls]

    assert killed.returncode == (0 if where == "never" else -signal.SIGKILL), killed.stderr
    assert stored == [(number,) for number in range(1, revision + 1)]
    assert again.returncode == 0, again.stderr
    assert models == ["first"] * 2 + ["second"] * 4
    assert violations(tmp_path / "d.db", planned=6) == []
