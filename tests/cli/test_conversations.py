"""`backstay conversations list`, `show`, `export`."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def three(within, backstay):
    """Create two conversations of one job and one of another; return their ids by topic."""
    within("run", backstay.write("topics.csv", "Gardens", "=Bridges()"), "--model", "scripted")
    within("run", backstay.write("other.csv", "Tea"), "--model", "scripted")
    return {item["topic"]: item["id"] for item in within("conversations", "list", "--json").json["conversations"]}


def test_conversations_are_listed(within, three):
    """Conversations are listed newest first, as JSON objects or as one line each."""
    output = within("conversations", "list", "--json").json
    lines = [line.split("\t") for line in within("conversations", "list").out.splitlines()]
    of_job = within("conversations", "list", "--job", "other", "--json").json["conversations"]

    newest = output["conversations"][0]
    assert newest.pop("createdAt").endswith("Z")
    assert newest.pop("characters") > 0
    assert newest == {
        "id": three["Tea"],
        "topic": "Tea",
        "opening": None,
        "persona": None,
        "jobId": "other",
        "itemId": "i1",
        "turns": 4,
        "status": "unreviewed",
        "rating": None,
        "tags": [],
        "model": "scripted",
        "hasTools": False,
    }
    assert output["total"] == {"count": 3, "isExact": True}
    assert output["nextCursor"] is None
    assert [line[0] for line in lines] == [item["id"] for item in output["conversations"]]
    assert [item["id"] for item in of_job] == [three["Tea"]]


def test_a_list_is_read_page_by_page(within, three):
    """Each page of a list prints how many there are and the commands for the pages on either side of it."""
    first = within("conversations", "list", "--limit", "2", "--json").json
    rest = within("conversations", "list", "--limit", "2", "--before", str(first["nextCursor"]), "--json").json
    back = within("conversations", "list", "--limit", "2", "--back", str(rest["previousCursor"]), "--json").json
    ended = within("conversations", "list", "--limit", "2")
    after = within("conversations", "list", "--before", "1")

    seen = [item["id"] for page in (first, rest) for item in page["conversations"]]
    assert sorted(seen) == sorted(three.values())
    assert rest["nextCursor"] is None
    assert ended.err == (
        f"2 of 3 conversations.\nNext page: backstay conversations list --limit=2 --before={first['nextCursor']}\n"
    )
    assert back["conversations"] == first["conversations"]
    assert after.err == "No more conversations.\n"


def test_a_conversation_is_shown_whole(within, three):
    """`conversations show` prints all turns, as text and as JSON."""
    text = within("conversations", "show", three["Gardens"])
    output = within("conversations", "show", three["Gardens"], "--json").json

    assert f"id        {three['Gardens']}" in text.out
    assert "user:\n  I would like to talk about this: Gardens\n" in text.out
    assert output["topic"] == "Gardens"
    assert output["metadata"] == {"writer": "scripted", "generation": {"processor": "scripted", "attempt": 1}}
    assert [turn["sequence"] for turn in output["turns"]] == [1, 2, 3, 4]
    assert output["turns"][0] == {
        "sequence": 1,
        "id": None,
        "role": "user",
        "name": None,
        "content": "I would like to talk about this: Gardens",
        "reasoning": None,
        "parts": None,
        "toolCalls": [],
        "toolCallId": None,
        "metadata": {},
    }
    assert output["tools"] == []


_ARGUMENTS = '{"city":"Paris","days":[1,2]}'
_WITH_TOOLS = {
    "id": "paris",
    "topic": "Paris",
    "metadata": {"tools": [{"type": "function", "function": {"name": "get_weather"}}], "source": "a"},
    "conversation_turns": [
        {
            "role": "user",
            "content": "Look: where is it?",
            "metadata": {
                "name": "Ann",
                "parts": [
                    {"type": "text", "text": "Look: "},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 4_000}"}},
                    {"type": "text", "text": "where is it?"},
                ],
            },
        },
        {
            "role": "assistant",
            "content": "",
            "metadata": {
                "reasoning": "A tower.\n\x1b[31mParis?",
                "tool_calls": [
                    {"id": "c\x1b1", "type": "function", "function": {"name": "get_weather", "arguments": _ARGUMENTS}},
                    {"type": "function", "function": {"name": "look", "arguments": '{"broken'}, "index": 1},
                ],
            },
        },
        {"role": "tool", "content": "", "metadata": {"name": "look", "tool_call_id": "c\x1b1"}},
        {"role": "assistant", "content": f"Paris.{'!' * 20_000}", "metadata": {"weight": 0, "parts": ["Lyon."]}},
    ],
}


def test_tool_calls_reasoning_and_parts_are_shown(within, backstay):
    """`conversations show` prints the fields of turns whole, each under its own heading, without control characters."""
    (backstay.folder / "in.jsonl").write_text(json.dumps(_WITH_TOOLS))
    within("conversations", "import", "in.jsonl")

    text = within("conversations", "show", "paris").out
    turns = within("conversations", "show", "paris", "--json").json["turns"]

    assert text.partition("metadata")[2].splitlines() == [
        "  source=a",
        "tools:",
        *("  [", "    {", '      "type": "function",', '      "function": {', '        "name": "get_weather"'),
        *("      }", "    }", "  ]"),
        "",
        *("user Ann, part: text:", "  Look: "),
        *("user Ann, part: image_url:", "  data:image/png;base64,… (about 3,000 bytes)"),
        *("user Ann, part: text:", "  where is it?"),
        "",
        *("assistant, reasoning:", "  A tower.", "  [31mParis?"),
        "assistant calls get_weather as c1:",
        *("  {", '    "city": "Paris",', '    "days": [', "      1,", "      2", "    ]", "  }"),
        *("assistant calls look:", '  {"broken'),
        "",
        "tool look, result of c1:",
        "",
        *("assistant, weight 0:", f"  Paris.{'!' * 20_000}"),
        *("assistant, part before its text was edited: text:", "  Lyon."),
    ]
    assert turns[1] == {
        "sequence": 2,
        "id": None,
        "role": "assistant",
        "name": None,
        "content": "",
        "reasoning": "A tower.\n\x1b[31mParis?",
        "parts": None,
        "toolCalls": [
            {"id": "c\x1b1", "name": "get_weather", "arguments": _ARGUMENTS, "extra": {}},
            {"id": None, "name": "look", "arguments": '{"broken', "extra": {"index": 1}},
        ],
        "toolCallId": None,
        "metadata": {},
    }
    assert turns[0]["parts"] == _WITH_TOOLS["conversation_turns"][0]["metadata"]["parts"]
    assert (turns[2]["toolCallId"], turns[2]["name"], turns[3]["metadata"]) == ("c\x1b1", "look", {"weight": 0})


def test_unknown_conversations_are_named(within, three):
    """Showing or exporting an unknown conversation is refused before anything is written."""
    result = within("conversations", "show", "nothing")
    exported = within("conversations", "export", three["Tea"], "nothing", "-o", "out.jsonl")

    for ended in (result, exported):
        assert ended.code == 1
        assert ended.one_line_error().startswith("Conversation 'nothing' not found")


def test_export_writes_messages(within, three):
    """An export writes the training file to standard output and the count to standard error."""
    ended = within("conversations", "export", "--job", "topics")

    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [line["messages"][0] for line in lines] == [
        {"role": "user", "content": "I would like to talk about this: Gardens"},
        {"role": "user", "content": "I would like to talk about this: =Bridges()"},
    ]
    assert ended.err.splitlines()[0] == "2 conversations exported."


def test_export_formats(within, three):
    """Each export format has its shape, and a spreadsheet executes none of its cells."""
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
    """An export writes its file completely, and reports how many conversations it contains."""
    ended = within("conversations", "export", "--all", "-o", "out.jsonl")
    answer = within("conversations", "export", "--all", "-o", "again.jsonl", "--json")
    nowhere = within("conversations", "export", "--all", "-o", "no/such/folder.jsonl")

    assert (ended.code, ended.out, ended.err.splitlines()[0]) == (0, "", "3 conversations exported to out.jsonl.")
    assert len((backstay.folder / "out.jsonl").read_text().splitlines()) == 3
    assert (answer.json["exported"], answer.json["format"], answer.json["path"]) == (3, "messages", "again.jsonl")
    assert answer.json["files"] == [{"name": "again.jsonl", "split": None, "conversations": 3}]
    assert nowhere.code == 1
    assert "no/such/folder.jsonl cannot be written" in nowhere.one_line_error()


def test_export_of_nothing_leaves_a_file_as_it_was(within, three, backstay):
    """An export that selects nothing does not overwrite the file of an earlier export."""
    target = backstay.folder / "out.jsonl"
    target.write_bytes(b"good\n")

    mistyped = within("conversations", "export", "--job", "typo", "-o", str(target))
    ended = within("conversations", "export", "--search", "typo", "-o", str(target))

    assert mistyped.code == 1
    assert "Job 'typo' not found" in mistyped.one_line_error()
    assert ended.code == 2
    assert ended.one_line_error() == (
        f"No conversation is selected; {target} is unchanged. `backstay conversations list` shows all"
    )
    assert target.read_bytes() == b"good\n"


@pytest.mark.parametrize("name", ["backstay.db", "backstay.db-wal", "link"])
def test_export_never_writes_over_the_database(within, three, backstay, name):
    """An export never overwrites the database, under whatever name."""
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
    """An export reads ids, one per line, from a file or from standard input."""
    (backstay.folder / "ids.txt").write_text(f"\ufeff{three['Tea']}\r\n\r\n{three['Gardens']}\n", encoding="utf-8")

    from_file = within("conversations", "export", "--ids-file", "ids.txt")
    from_stdin = backstay("conversations", "export", "--ids-file", "-", stdin=three["Tea"].encode())

    assert len(from_file.out.splitlines()) == 2
    assert len(from_stdin.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--all", "--format", "tvs"],
            2,
            "'--format': 'tvs' is not one of 'messages', 'alpaca', 'anthropic', 'chatml', 'csv', 'native', ",
        ),
        (["--all", "--job", "topics"], 2, "--all cannot be combined"),
        (["--all", "--json"], 2, "With --json, name a file with -o"),
        (["--job", "topics", "--ids-file", "empty.txt"], 2, "empty.txt names no conversations"),
        (["--ids-file", "none.txt"], 2, "none.txt not found"),
        (["--ids-file", "."], 1, ". cannot be read: Is a directory"),
        (["--ids-file", "latin.txt"], 1, "latin.txt: not UTF-8 text"),
    ],
)
def test_export_refuses_an_unclear_selection(within, three, backstay, words, code, message):
    """An export without a clear selection is refused; an empty list of ids does not mean all."""
    (backstay.folder / "empty.txt").write_text("\n\n")
    (backstay.folder / "latin.txt").write_bytes(b"\xe9\n")

    ended = within("conversations", "export", *words)

    assert ended.code == code
    assert message in (ended.one_line_error() if "--json" not in words else ended.error["message"])
    assert ended.out == ""


def test_export_into_a_pipe_that_closes_is_quiet(backstay, within):
    """An export into `head` ends without a message, and with the status of other programs."""
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
    """An export that fits into the buffer reports a closed pipe, too; a closed standard output is refused."""
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
    assert closed.stderr == "Error: Standard output is closed; name a file with -o\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_standard_output_is_reported(backstay, three):
    """An export to a full disk through standard output fails with a message."""
    with Path("/dev/full").open("wb") as full:
        process = backstay.start("conversations", "list", "--json", stdout=full)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert json.loads(err)["error"]["code"] == "output_unwritable"


def test_a_run_whose_output_is_closed_keeps_its_status(backstay):
    """A run whose summary cannot be printed exits with the status of the job."""
    backstay.write("topics.csv", "Gardens", "bad things")
    process = backstay.start("run", "topics.csv", "--processor", "made:picky", stdout=subprocess.PIPE)
    process.stdout.close()

    err = process.stderr.read()

    assert process.wait(timeout=60) == 3
    assert b"Show why they failed: " in err
    assert b"Traceback" not in err
