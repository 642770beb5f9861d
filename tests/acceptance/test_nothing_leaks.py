"""What people write and models answer is theirs: it is in the database and in exports, and nowhere else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.promise("B8")

_SECRETS = ("zircon-heron", "quartz-otter", "basalt-finch")  # in a topic, in another column, in an answer

_WRITER = """
import os
from pathlib import Path

from backstay import Conversation, Doom, Fail, Retry, Skip, Turn

def write(item, work):
    work.raw("raw basalt-finch")
    match item.parameters["number"]:
        case 1:
            return Fail("refused")
        case 2:
            return Skip("known")
        case 3:
            return Retry("later", after=0.01)
        case 4:
            return Conversation([Turn("user", item.topic), Turn("nobody", "")])
        case 5 if not Path("crashed").exists():
            Path("crashed").touch()
            os._exit(7)
        case 6 if not Path("mended").exists():
            Path("mended").touch()
            return Doom(f"no key for {LEAK}")
    return Conversation([Turn("user", item.topic), Turn("assistant", "basalt-finch")])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "topics.jsonl").open("w") as file:
        for number in range(30):
            row = {"id": f"i{number}", "topic": f"zircon-heron {number}", "number": number, "note": "quartz-otter"}
            file.write(json.dumps(row) + "\n")
    return tmp_path


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_text_of_a_conversation_is_printed_or_logged(folder, log_format):
    """Neither by runs that crash, pause and fail, nor by what tells of them; `failed` shows it to who asks."""
    said = _all_that_is_said(folder, log_format, leak="'you'")

    assert "no key" in said
    assert [secret for secret in _SECRETS if secret in said] == []


def test_a_processor_that_puts_its_topic_into_its_message(folder):
    """The control: it is found where it is printed."""
    said = _all_that_is_said(folder, "text", leak="item.topic")

    assert "zircon-heron" in said


def _all_that_is_said(folder: Path, log_format: str, *, leak: str) -> str:
    (folder / "writer.py").write_text(_WRITER.replace("LEAK", leak))
    commands = [
        ["run", "topics.jsonl", "--processor", "writer:write", "--concurrency", "1"],  # crashes
        ["jobs"],
        ["resume", "--concurrency", "1"],  # pauses
        ["resume", "--json"],
        *(["status", "topics", *json_or_not] for json_or_not in ([], ["--json"])),
        ["jobs", "--json"],
        ["doctor"],
        ["discard", "topics", "--yes"],
    ]
    said = ""
    for words in commands:
        command = [sys.executable, "-m", "backstay", "--log-format", log_format, *words]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        said += ended.stdout + ended.stderr
    assert "discard" in said.lower(), said
    return said
