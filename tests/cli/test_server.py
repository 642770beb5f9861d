"""The commands on a PostgreSQL server, beginning with an empty database."""

import json
import re
import signal
from urllib.parse import urlsplit

import pytest

from backstay.storage.postgres.schema_migration import migrations
from support.harness.waiting import until
from support.stores import postgres
from support.stores.library import rows
from support.stores.sql import ask

_NUMBERS = [number for number, _ in migrations()]
_NEWEST = _NUMBERS[-1]


@pytest.fixture
def url():
    """Create an empty database."""
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=False)
    yield url
    postgres.drop_database(url)


@pytest.fixture
def server(backstay, within, url, monkeypatch):
    """Run `backstay` on a migrated database with a backup folder, as a separate process if it gets input."""
    environment = {"BACKSTAY_DATABASE_URL": url, "BACKUP_DIRECTORY": str(backstay.folder / "safe")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def command(*words: str, stdin: bytes | None = None):
        return within(*words) if stdin is None else backstay(*words, stdin=stdin, **environment)

    assert command("migrate").code == 0
    return command


def test_an_empty_database_is_refused_until_it_is_migrated(backstay, url):
    """Every command on an empty database names `migrate`, whose check changes nothing and which is idempotent."""
    environment = {"BACKSTAY_DATABASE_URL": url}
    refused = backstay("jobs", **environment)
    planned = backstay("migrate", "--check", "--json", **environment)
    refused_still = backstay("run", "-", "--job", "a", "--model", "scripted", stdin=b"topic\ntea\n", **environment)
    ended = backstay("migrate", **environment)
    again = backstay("migrate", "--json", **environment)

    assert refused.code == refused_still.code == 1
    assert "has no Backstay tables in the schema 'backstay'; run `backstay migrate`" in refused.one_line_error()
    assert planned.json == {"before": 0, "after": _NEWEST, "applied": _NUMBERS, "isCheck": True}
    assert ended.out == f"{len(_NUMBERS)} migrations applied: schema 0 to {_NEWEST}.\n"
    assert again.json == {"before": _NEWEST, "after": _NEWEST, "applied": [], "isCheck": False}


def test_another_schema_holds_another_library(backstay, url):
    """Another schema of the same database is another library; an invalid name is refused."""
    environment = {"BACKSTAY_DATABASE_URL": url}
    assert backstay("migrate", BACKSTAY_SCHEMA="other", **environment).code == 0
    backstay.write("topics.csv", "tea")
    assert backstay("run", "topics.csv", "--model", "scripted", BACKSTAY_SCHEMA="other", **environment).code == 0
    wrong = backstay("jobs", BACKSTAY_SCHEMA='no"good', **environment)

    assert [job["id"] for job in backstay("jobs", "--json", BACKSTAY_SCHEMA="other", **environment).json["jobs"]] == [
        "topics"
    ]
    assert backstay("jobs", **environment).code == 1
    assert wrong.code == 2
    assert "BACKSTAY_SCHEMA" in wrong.one_line_error()


def test_a_job_is_killed_and_resumed(backstay, server, url):
    """A killed job is resumed, and the printed command contains no password."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(60)))
    words = ("--database", url, "run", "topics.csv", "--model", "scripted:0.05", "--concurrency", "4")
    process = backstay.start(*words)
    until(lambda: _completed(url) >= 8)
    process.kill()
    process.wait()
    interrupted = server("jobs")
    process = backstay.start(*words)
    until(lambda: _completed(url) >= 20)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    resumed = server("resume", "--json")
    again = server("run", "topics.csv", "--model", "scripted:0.05")

    assert "interrupted" in interrupted.out
    assert process.returncode == 130
    assert b"Continue with: backstay --database postgresql://postgres@127.0.0.1:" in message
    assert str(urlsplit(url).password).encode() not in message
    assert resumed.code == 0
    assert resumed.json["job"]["state"] == "completed"
    assert "nothing to do" in again.out
    assert ask(url, "SELECT count(*), count(DISTINCT item_id) FROM conversations") == [(60, 60)]


def _completed(url: str) -> int:
    return ask(url, "SELECT count(*) FROM items WHERE state = 'completed'")[0][0]


def test_a_delete_is_undone(backstay, server):
    """A delete on a server is undone byte for byte by the command it prints."""
    (backstay.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(30)), encoding="utf-8")
    imported = server("conversations", "import", "rows.jsonl")
    before = server("conversations", "export", "--all", "--format", "native").out
    deleted = server("conversations", "delete", "--all", "--yes")
    empty = server("conversations", "list", "--json").json["conversations"]
    backup = re.search(r"backups restore (\S+)", deleted.err)[1]
    result = [server("backups", word, backup).code for word in ("verify", "show", "pin", "unpin")]
    undone = server("backups", "restore", backup)

    assert imported.code == deleted.code == undone.code == 0
    assert empty == []
    assert result == [0, 0, 0, 0]
    assert server("conversations", "export", "--all", "--format", "native").out == before


def test_nothing_is_deleted_where_no_backup_can_go(backstay, server, url):
    """A delete without a backup folder is refused, and names the setting."""
    server("conversations", "import", "-", stdin=b'{"messages":[{"role":"user","content":"a"}]}\n')

    refused = backstay("conversations", "delete", "--all", "--yes", BACKSTAY_DATABASE_URL=url)

    assert refused.code == 2
    assert "set BACKUP_DIRECTORY" in refused.one_line_error()
    assert ask(url, "SELECT count(*) FROM conversations") == [(1,)]


def test_a_backup_of_another_machine_says_so(backstay, server, url):
    """A backup on another machine is named with its host, and a cleanup keeps it."""
    server("conversations", "import", "-", stdin=b'{"messages":[{"role":"user","content":"a"}]}\n')
    backup = server("backups", "create", "--all", "--json").json["backupId"]
    ask(url, "UPDATE backups SET host = 'elsewhere', folder = '/mnt/far', expires_at = created_at + 1")
    next((backstay.folder / "safe").rglob("backup-*.json.zst")).unlink()

    refused = server("backups", "restore", backup)
    cleaned = server("backups", "cleanup", "--now")

    assert refused.code == cleaned.code == 1
    assert f"The folder of {backup} cannot be reached from this machine: /mnt/far/" in refused.one_line_error()
    assert " on elsewhere" in refused.one_line_error()
    assert "A cleanup that can reach it removes the file" in cleaned.one_line_error()


def test_searches_know_upper_and_lower_case(server):
    """A search on a server ignores case, also beyond ASCII."""
    row = {"topic": "Über Straßen", "messages": [{"role": "user", "content": "ÉCOLE 100%"}]}
    server("conversations", "import", "-", stdin=json.dumps(row).encode())

    for words, number in (("über", 1), ("STRASSEN", 0), ("école", 1), ("100%", 1), ("100_", 0)):
        assert len(server("conversations", "list", "--search", words, "--json").json["conversations"]) == number, words


def test_the_doctor_looks_at_the_server(server, backstay, url):
    """Doctor reports the server's version, schema and backup folder, and a server that is unreachable."""
    sound = server("doctor", "--deep", "--json")
    gone = backstay("doctor", BACKSTAY_DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/app")

    checks = {check["name"]: check for check in sound.json["checks"]}
    assert sound.code == 0
    assert checks["server"]["message"].startswith("PostgreSQL ")
    assert checks["schema"]["message"] == f"backstay, {_NEWEST}"
    assert checks["counters"]["level"] == "ok"
    assert gone.code == 1
    assert "127.0.0.1:1/app cannot be reached" in gone.out
    assert "hunter2" not in gone.out + gone.err
