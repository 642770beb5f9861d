"""`backstay migrate --from-original`, and the guide to it, word for word."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.storage.postgres.schema_migration import migrations
from support.stores.original_app import BACKUP, conversation, original

_NEWEST = migrations()[-1][0]
_ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def app(tmp_path):
    with original(tmp_path, migrated=False) as made:
        yield made


@pytest.fixture
def command(within, app, monkeypatch):
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", app.url)
    monkeypatch.setenv("BACKUP_DIRECTORY", str(app.folder))
    return within


def test_an_import_from_check_to_continued_job(command, app):
    """A check previews the import, the import does it, every command shows it, and a run continues the job."""
    app.checkpoint("batch-1", ["1", "2"], [{"id": "3", "error": "rate limit"}])
    app.backup([conversation(1)])

    planned = command("migrate", "--from-original", "--check")
    ended = command("migrate", "--from-original")
    again = command("migrate", "--from-original")

    assert (planned.code, ended.code, again.code) == (0, 0, 0)
    assert f"{_NEWEST} migrations would be applied" in planned.out
    assert "1 unfinished job would be imported.\n" in planned.out
    assert "Apply with: backstay migrate --from-original --source public" in planned.err
    assert "  batch-1: 2 completed, 1 failed, of local\n1 unfinished job imported.\n" in ended.out
    assert re.search(rf"  {BACKUP}: 1 conversation, until \S+ \S+Z, of local\n1 live backup imported\.\n", ended.out)
    assert "Continue an imported job with its complete input: backstay run FILE --job JOB" in ended.err
    assert again.out.endswith(
        "0 unfinished jobs imported, 1 imported before.\n0 live backups imported, 1 imported before.\n"
    )

    how = (
        "run it with all its items, finished ones included, under their original ids: `backstay run FILE --job batch-1`"
    )
    jobs, status, doctor = command("jobs"), command("status", "batch-1"), command("doctor")
    assert jobs.out.split("\t")[:4] == ["batch-1", "imported", "3", "1"]
    assert how in jobs.err
    assert how in status.one_line_error()
    assert "backstay resume" not in status.err + jobs.err
    assert "imported, without their items yet: batch-1 (3 settled)" in doctor.out
    assert how in doctor.out
    (waiting,) = json.loads(command("jobs", "--json").out)["waitingImports"]
    assert (waiting["jobId"], waiting["completed"], waiting["failed"]) == ("batch-1", 2, 1)

    resumed = command("resume", "batch-1")
    assert (resumed.code, how in resumed.one_line_error()) == (1, True)
    Path("all.csv").write_text("id,topic\n" + "".join(f"{number},topic {number}\n" for number in range(1, 6)))
    ran = command("run", "all.csv", "--job", "batch-1", "--model", "scripted")
    assert (ran.code, "batch-1: 4 of 5 completed, 1 failed" in ran.out) == (3, True)
    assert command("resume", "batch-1", "--retry-failed").code == 0
    assert command("backups", "restore", BACKUP).code == 0


def test_what_was_left_is_named_and_ends_it_with_3(command, app):
    """What cannot be imported is listed with its reason, as text and as JSON, and the command exits with 3."""
    app.checkpoint("bad\x1b[31m", [None])
    app.checkpoint("done", ["1"], progress=100)
    app.backup([conversation(1)], "backup-1-x", said=["conv-2"])

    ended = command("migrate", "--from-original", "--owner", "team")
    result = command("migrate", "--from-original", "--check", "--json")

    assert (ended.code, result.code) == (3, 3)
    assert "0 unfinished jobs imported, 1 already finished, 1 not imported.\n" in ended.out
    assert "  bad[31m was not imported: the job_id has a control character or a line break; remove it\n" in ended.out
    assert "  backup-1-x was not imported: its file lacks conversations of its conversation_ids: conv-2\n" in ended.out
    assert result.json == {
        "source": "public",
        "isCheck": True,
        "migration": {"before": _NEWEST, "after": _NEWEST, "applied": [], "isCheck": True},
        "jobs": {
            "imported": [],
            "alreadyImported": 0,
            "finished": 1,
            "skipped": [
                {"id": "bad\x1b[31m", "reason": "the job_id has a control character or a line break; remove it"}
            ],
        },
        "backups": {
            "imported": [],
            "alreadyImported": 0,
            "expired": 0,
            "skipped": [
                {"id": "backup-1-x", "reason": "its file lacks conversations of its conversation_ids: conv-2"},
            ],
        },
    }


def test_a_source_without_an_import_is_refused(within):
    """`--source` names the schema to import from, so it is refused where nothing would be imported."""
    refused = within("migrate", "--source", "public")

    assert (refused.code, "--source needs --from-original" in refused.one_line_error()) == (2, True)


def test_sqlite_has_nothing_to_import(within):
    """An import from the original library into a SQLite file is refused in one line and creates no database."""
    ended = within("--database", "library.db", "migrate", "--from-original")

    assert ended.code == 2
    assert ended.one_line_error().startswith(
        "The original library's tables are in PostgreSQL, and this is a SQLite file"
    )
    assert not Path("library.db").exists()


def test_the_guide_works_word_for_word(tmp_path, app):
    """The commands of the guide lead from the original library's tables to a resumed batch and a restored backup."""
    blocks = _BLOCK.findall((_ROOT / "docs" / "guides" / "existing-apps.md").read_text())
    examine, take, go_on, restore = [block for block in blocks if "from-original" in block or "nightly" in block]
    app.checkpoint("nightly", ["1", "2"], ["3"])
    app.backup([conversation(1)])
    (tmp_path / "all-items.csv").write_text("id,topic\n1,Gardens\n2,Rivers\n3,Clouds\n4,Bridges\n")

    def run(script):
        surroundings = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "BACKSTAY_DATABASE_URL": app.url,
        }
        script = script.replace("/var/backups", str(tmp_path))
        return subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=surroundings,
        )  # fmt: skip

    assert "1 live backup would be imported." in run(examine).stdout
    assert "1 unfinished job imported." in run(examine + take).stdout
    assert "nightly: 4 of 4 completed, 0 failed" in run(examine + go_on).stdout
    assert "1 conversation restored." in run(examine + restore).stdout
