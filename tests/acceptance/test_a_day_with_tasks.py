"""A file of 175 tasks with nested columns, killed three times, resumed and exported."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B5", "B7")

_WRITER = """
import asyncio
from backstay import Conversation, Turn

async def write(item):
    await asyncio.sleep(0.25)  # simulates a slow call
    first = item.parameters["instances"][0]["output"]
    return Conversation([Turn("user", item.topic), Turn("assistant", first)])
"""


def _made_up_tasks(path: Path) -> None:
    with path.open("w") as file:
        for number in range(175):
            instances = [{"input": "", "output": f"Answer {number}, “as is” \u2028 with\nlines"}]
            task = {"id": f"task_{number}", "name": f"n{number}", "instruction": f"Do {number}", "instances": instances}
            file.write(json.dumps({**task, "is_classification": number % 2 == 0}) + "\n")


@pytest.fixture
def tasks(tmp_path):
    """Return the tasks of the file that BACKSTAY_SEED_TASKS names, or made-up ones of the same shape."""
    path = tmp_path / "seed_tasks.jsonl"
    value = os.environ.get("BACKSTAY_SEED_TASKS")
    if value:
        path.write_bytes(Path(value).read_bytes())
    else:
        _made_up_tasks(path)
    (tmp_path / "writer.py").write_text(_WRITER)
    return path


def test_killed_three_times_and_exported(tasks, tmp_path):
    """175 tasks become 175 conversations, none twice, and the nested column reaches the writer unchanged."""
    run = ["run", tasks.name, "--topic-column", "instruction", "--processor", "writer:write", "--concurrency", "8"]
    for resume in (run, ["resume"], ["resume", "seed_tasks"]):
        before = _completed(tmp_path)
        process = _start(tmp_path, *resume)
        until(lambda before=before: _completed(tmp_path) >= before + 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    _call(tmp_path, "resume")
    job = json.loads(_call(tmp_path, "status", "seed_tasks", "--json"))
    exported = _call(tmp_path, "conversations", "export", "--job", "seed_tasks", "--format", "native").split("\n")[:-1]

    rows = {row["id"]: row for row in map(json.loads, tasks.read_text().split("\n")[:-1])}
    conversations = [json.loads(line) for line in exported]
    assert (job["state"], job["completed"], job["planned"]) == ("completed", 175, 175)
    assert len(conversations) == len(rows) == 175
    assert {conversation["item_id"] for conversation in conversations} == set(rows)
    for conversation in conversations:
        row = rows[conversation["item_id"]]
        texts = [turn["content"] for turn in conversation["conversation_turns"]]
        assert texts == [row["instruction"], row["instances"][0]["output"]]


def _completed(folder: Path) -> int:
    database = folder / ".backstay" / "backstay.db"
    if not database.exists():
        return 0
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5_000)
        return connection.execute("SELECT count(*) FROM items WHERE state = 'completed'").get
    except apsw.SQLError:
        return 0  # its tables are not there yet
    finally:
        connection.close()


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backstay", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _call(folder: Path, *arguments: str) -> str:
    process = _start(folder, *arguments)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return out.decode()
