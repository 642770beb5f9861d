"""Requests generated from the OpenAPI document: no unexpected errors and no undescribed responses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.harness.sampling import FULL
from support.servers.api import ANN, BOB, KINDS, bearer, library, served, token_of
from support.stores.kinds import require

_EXAMPLES = 200 if FULL else 1
_EACH = [(kind, who) for kind in KINDS for who in (ANN, BOB)]
_RUNS = _EACH if FULL else _EACH[:1]
# Rules that a schema cannot express (a selection that is not empty, a suffix .csv) are refused as well.
_LEFT_OUT = "positive_data_acceptance"
# A conversation may be named `delete/events`, so a GET of that address gets 404 instead of the expected 405.
_CONFIGURATION = """
[[operations]]
include-path = "/api/conversations/delete/events"
checks.unsupported_method.enabled = false
"""
_SECRET = "a-topic-of-the-others-own"


def _has_something(server, owner, topic):
    """Create a job, a conversation and a backup for a user."""
    headers = bearer(token_of(owner))
    items = [{"id": "0", "topic": topic}]
    body = {"jobId": "0", "items": items, "processor": "scripted"}
    server.client.post("/api/batches", json=body, headers=headers).raise_for_status()
    server.wait_for(lambda: server.client.get("/api/batches/0", headers=headers).json()["state"] == "completed")
    listed = server.client.get("/api/conversations", headers=headers).json()
    ids = [conversation["id"] for conversation in listed["conversations"]]
    server.client.post("/api/backup/create", json={"conversationIds": ids}, headers=headers).raise_for_status()
    return ids, headers


@pytest.mark.sweep
@pytest.mark.parametrize("kind, who", _RUNS, ids=lambda parameter: getattr(parameter, "name", parameter))
def test_nothing_made_up_breaks_anything(kind, who, tmp_path):
    """Generated requests of one user cause no unexpected error, and neither read nor change another user's data."""
    require(kind)
    other = BOB if who == ANN else ANN
    with library(kind, tmp_path) as settings:
        environment = {
            "BACKSTAY_DATABASE_URL": str(settings.database_url),
            "BACKUP_DIRECTORY": str(settings.backup_directory),
        }
        with served(tmp_path, "poll_seconds = 0.05\n", jwt_mode=True, **environment) as server:
            _has_something(server, who, "ones-own-topic")
            ids, headers = _has_something(server, other, _SECRET)
            before = _everything(server, headers)

            ended, report = _run(server, who, tmp_path)

            assert ended.returncode == 0, ended.stdout[-6_000:]
            assert report.stat().st_size > 100_000
            seen = report.read_text()
            assert _SECRET not in seen
            assert not [name for name in ids if name in seen]
            assert '"status": 5' not in seen
            assert _everything(server, headers) == before
            assert not server.logged("unexpected_error")


def _run(server, who, folder: Path):
    report = folder / "report.har"
    (folder / "schemathesis.toml").write_text(_CONFIGURATION)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
        "--phases=examples,coverage,fuzzing,stateful", f"--max-examples={_EXAMPLES}", f"--exclude-checks={_LEFT_OUT}",
        "-H", f"Authorization: Bearer {token_of(who, exp=4_000_000_000)}",
        f"--report-har-path={report}", "--no-color", "--seed=1", "--request-timeout=20", "--generation-database=none",
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=3_000)
    return ended, report


def _everything(server, headers):
    addresses = ("/api/batches/0", "/api/batches", "/api/conversations", "/api/backups", "/api/backups?every=true")
    return json.dumps([server.client.get(address, headers=headers).json() for address in addresses])
