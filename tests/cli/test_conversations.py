"""`backstay conversations list`, `show`, `export`."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.cli.export import FormatName
from backstay.library.formats import FORMATS


@pytest.fixture
def three(within, backstay):
    """Two conversations of one job and one of another; their ids by topic."""
    within("run", backstay.write("topics.csv", "Gardens", "=Bridges()"), "--model", "scripted")
    within("run", backstay.write("other.csv", "Tea"), "--model", "scripted")
    return {one["topic"]: one["id"] for one in within("conversations", "list", "--json").json["conversations"]}


def test_conversations_are_listed(within, three):
    """Newest first; as objects, or one a line with whole cells."""
    shown = within("conversations", "list", "--json").json
    lines = [line.split("\t") for line in within("conversations", "list").out.splitlines()]
    of_job = within("conversations", "list", "--job", "other", "--json").json["conversations"]

    newest = shown["conversations"][0]
    assert newest.pop("createdAt").endswith("Z")
    assert newest == {
        "id": three["Tea"],
        "topic": "Tea",
        "persona": None,
        "jobId": "other",
        "itemId": "i1",
        "turns": 4,
    }
    assert shown["nextCursor"] is None
    assert [line[0] for line in lines] == [one["id"] for one in shown["conversations"]]
    assert [one["id"] for one in of_job] == [three["Tea"]]


def test_a_list_is_read_page_by_page(within, three):
    """A page says how to get the next one, and the last says that there is none."""
    first = within("conversations", "list", "--limit", "2", "--json").json
    rest = within("conversations", "list", "--limit", "2", "--before", str(first["nextCursor"]), "--json").json
    told = within("conversations", "list", "--limit", "2")

    seen = [one["id"] for page in (first, rest) for one in page["conversations"]]
    assert sorted(seen) == sorted(three.values())
    assert rest["nextCursor"] is None
    assert told.err == f"Next page: backstay conversations list --limit=2 --before={first['nextCursor']}\n"


def test_a_conversation_is_shown_whole(within, three):
    """All turns, for people and for programs."""
    text = within("conversations", "show", three["Gardens"])
    shown = within("conversations", "show", three["Gardens"], "--json").json

    assert f"id        {three['Gardens']}" in text.out
    assert "user:\n  I would like to talk about this: Gardens\n" in text.out
    assert shown["topic"] == "Gardens"
    assert shown["metadata"] == {"writer": "scripted"}
    assert [turn["sequence"] for turn in shown["turns"]] == [1, 2, 3, 4]
    assert shown["turns"][0] == {
        "sequence": 1,
        "id": None,
        "role": "user",
        "content": "I would like to talk about this: Gardens",
        "metadata": {},
    }


def test_unknown_conversations_are_named(within, three):
    """Showing or exporting one that is not there is refused, before anything is written."""
    shown = within("conversations", "show", "nothing")
    exported = within("conversations", "export", three["Tea"], "nothing", "-o", "out.jsonl")

    for ended in (shown, exported):
        assert ended.code == 1
        assert ended.one_line_error().startswith("Conversation 'nothing' not found")


def test_export_writes_messages(within, three):
    """Standard output gets the training file, standard error the count."""
    ended = within("conversations", "export", "--job", "topics")

    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [line["messages"][0] for line in lines] == [
        {"role": "user", "content": "I would like to talk about this: Gardens"},
        {"role": "user", "content": "I would like to talk about this: =Bridges()"},
    ]
    assert ended.err == "2 conversations exported.\n"


def test_every_format_can_be_named():
    """The command knows the formats that there are."""
    assert [str(name) for name in FormatName] == list(FORMATS)


def test_export_formats(within, three):
    """Each format has its shape; a spreadsheet runs nothing."""
    sharegpt = within("conversations", "export", three["Tea"], "--format", "sharegpt").out
    native = within("conversations", "export", three["Tea"], "--format", "native").out
    table = within("conversations", "export", "--all", "--format", "csv").out
    wrong = within("conversations", "export", "--all", "--format", "xml")

    assert json.loads(sharegpt)["conversations"][0]["from"] == "human"
    assert json.loads(native)["conversation_turns"][0]["role"] == "user"
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 12
    assert {row["topic"] for row in rows} == {"Gardens", "'=Bridges()", "Tea"}
    assert wrong.code == 2
    assert "'xml'" in wrong.one_line_error()


def test_export_into_a_file(within, three, backstay):
    """A file is written whole, and the answer says what is in it."""
    told = within("conversations", "export", "--all", "-o", "out.jsonl")
    answer = within("conversations", "export", "--all", "-o", "again.jsonl", "--json")
    nowhere = within("conversations", "export", "--all", "-o", "no/such/folder.jsonl")

    assert (told.code, told.out, told.err) == (0, "", "3 conversations exported to out.jsonl.\n")
    assert len((backstay.folder / "out.jsonl").read_text().splitlines()) == 3
    assert answer.json == {"exported": 3, "format": "messages", "path": "again.jsonl"}
    assert nowhere.code == 1
    assert "no/such/folder.jsonl cannot be written" in nowhere.one_line_error()


def test_export_of_nothing_leaves_a_file_as_it_was(within, three, backstay):
    """A mistyped name of a job, or a word, must not cost the file of an earlier export."""
    target = backstay.folder / "out.jsonl"
    target.write_bytes(b"good\n")

    mistyped = within("conversations", "export", "--job", "typo", "-o", str(target))
    ended = within("conversations", "export", "--search", "typo", "-o", str(target))

    assert mistyped.code == 1
    assert "Job 'typo' not found" in mistyped.one_line_error()
    assert ended.code == 2
    assert ended.one_line_error() == f"No conversation is selected; {target} is unchanged"
    assert target.read_bytes() == b"good\n"


@pytest.mark.parametrize("name", ["backstay.db", "backstay.db-wal", "link"])
def test_export_never_writes_over_the_database(within, three, backstay, name):
    """Under whatever name it goes."""
    database = backstay.folder / ".backstay" / "backstay.db"
    target = database.with_name(name)
    if name == "link":
        target.symlink_to(database)
    before = database.read_bytes()

    ended = within("conversations", "export", "--all", "-o", str(target))

    assert ended.code == 1
    assert "belongs to the database" in ended.one_line_error()
    assert database.read_bytes() == before


def test_export_takes_ids_from_a_file(within, three, backstay):
    """One id a line, from a file or from standard input."""
    (backstay.folder / "ids.txt").write_text(f"\ufeff{three['Tea']}\r\n\r\n{three['Gardens']}\n", encoding="utf-8")

    from_file = within("conversations", "export", "--ids-file", "ids.txt")
    from_stdin = backstay("conversations", "export", "--ids-file", "-", given=three["Tea"].encode())

    assert len(from_file.out.splitlines()) == 2
    assert len(from_stdin.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "Nothing is selected"),
        (["--all", "--job", "topics"], 2, "--all cannot be combined"),
        (["--all", "--json"], 2, "--json needs a file to write with -o"),
        (["--job", "topics", "--ids-file", "empty.txt"], 2, "empty.txt names no conversations"),
        (["--ids-file", "none.txt"], 2, "none.txt not found"),
        (["--ids-file", "."], 1, ". cannot be read: Is a directory"),
        (["--ids-file", "latin.txt"], 1, "latin.txt: not UTF-8 text"),
    ],
)
def test_export_refuses_an_unclear_selection(within, three, backstay, words, code, told):
    """All is never guessed, least of all from an empty list."""
    (backstay.folder / "empty.txt").write_text("\n\n")
    (backstay.folder / "latin.txt").write_bytes(b"\xe9\n")

    ended = within("conversations", "export", *words)

    assert ended.code == code
    assert told in (ended.one_line_error() if "--json" not in words else ended.error["message"])
    assert ended.out == ""


def test_export_into_a_pipe_that_closes_is_quiet(backstay, within):
    """`| head` gets its lines, and nobody complains; the status is that of other programs."""
    backstay.write("topics.csv", *(f"Topic {number} {'x' * 500}" for number in range(500)))
    within("run", "topics.csv", "--model", "scripted")
    process = backstay.start("conversations", "export", "--all")

    first = process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()

    assert json.loads(first)["messages"]
    assert process.wait(timeout=60) == 141
    assert err == b""


def test_a_short_export_into_a_pipe_that_closes_has_the_same_status(backstay, three):
    """Though all of it may wait in a buffer; and without a standard output there is nowhere to write to."""
    reading, writing = os.pipe()
    os.close(reading)
    gone = backstay.start("conversations", "export", "--all", stdout=writing)
    os.close(writing)
    words = [sys.executable, "-m", "backstay", "conversations", "export", "--all"]
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *words],
        cwd=backstay.folder, env=backstay.environment(), stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert gone.wait(timeout=60) == 141
    assert closed.returncode == 1
    assert closed.stderr == "Error: Standard output is closed; --json needs a file to write with -o\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_standard_output_is_told(backstay, three):
    """An answer that could not be written is not reported as written."""
    with Path("/dev/full").open("wb") as full:
        process = backstay.start("conversations", "list", "--json", stdout=full)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert json.loads(err)["error"]["code"] == "output_unwritable"


def test_a_run_nobody_reads_from_ends_as_it_ended(backstay):
    """The status is the job's, whether or not its summary found a reader."""
    backstay.write("topics.csv", "Gardens", "bad things")
    process = backstay.start("run", "topics.csv", "--processor", "made:picky", stdout=subprocess.PIPE)
    process.stdout.close()

    err = process.stderr.read()

    assert process.wait(timeout=60) == 3
    assert b"Show why they failed: " in err
    assert b"Traceback" not in err
