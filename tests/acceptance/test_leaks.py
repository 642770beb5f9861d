"""Texts of conversations appear in the database and in exports, and nowhere else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.harness.commands import in_process

pytestmark = pytest.mark.promise("B8")

_SECRETS = ("zircon-heron", "quartz-otter", "basalt-finch")  # in a topic, in another column, in an answer

_WRITER = """
import os
from pathlib import Path

from backstay import Conversation, Halt, Fail, Retry, Skip, Turn

def write(item, work):
    work.raw("raw basalt-finch")
    match item.parameters["number"]:
        case 1:
            return Fail("refused")
        case 2:
            return Skip("known")
        case 3:
            return Retry("later", after_seconds=0.01)
        case 4:
            return Conversation([Turn("user", item.topic), Turn("nobody", "")])
        case 5 if not Path("crashed").exists():
            Path("crashed").touch()
            os._exit(7)
        case 6 if not Path("mended").exists():
            Path("mended").touch()
            return Halt(f"no key for {LEAK}")
    return Conversation([Turn("user", item.topic), Turn("assistant", "basalt-finch")])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "topics.jsonl").open("w") as file:
        for number in range(30):
            row = {"id": f"i{number}", "topic": f"zircon-heron {number}", "number": number, "note": "quartz-otter"}
            file.write(json.dumps(row) + "\n")
    return tmp_path


@pytest.fixture
def within(folder, monkeypatch, capfd):
    """Run `backstay` in that folder and in this process, importing the processor afresh."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield in_process(capfd)
    sys.modules.pop("writer", None)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_text_of_a_conversation_is_printed_or_logged(within, folder, log_format):
    """Runs that crash, pause or fail print and log no text of a conversation; `failed` shows it on request."""
    message = _all_that_is_said(within, folder, log_format, leak="'you'")

    assert "no key" in message
    assert [secret for secret in _SECRETS if secret in message] == []


def test_a_processor_that_puts_its_topic_into_its_message(within, folder):
    """The search for leaked texts finds a topic that a processor puts into its message."""
    message = _all_that_is_said(within, folder, "text", leak="item.topic")

    assert "zircon-heron" in message


def _all_that_is_said(within, folder: Path, log_format: str, *, leak: str) -> str:
    (folder / "writer.py").write_text(_WRITER.replace("LEAK", leak))
    crashes = ["run", "topics.jsonl", "--processor", "writer:write", "--concurrency", "1"]
    commands = [
        ["jobs"],
        ["resume", "--concurrency", "1"],  # pauses
        ["resume", "--json"],
        *(["status", "topics", *json_or_not] for json_or_not in ([], ["--json"])),
        ["jobs", "--json"],
        ["doctor"],
        ["discard", "topics", "--yes"],
    ]
    command = [sys.executable, "-m", "backstay", "--log-format", log_format, *crashes]
    crashed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    message = crashed.stdout + crashed.stderr
    for words in commands:
        ended = within("--log-format", log_format, *words)
        message += ended.out + ended.err
    assert "discard" in message.lower(), message
    return message
