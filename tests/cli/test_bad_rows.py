"""Bad rows on the command line: counted in the error, or left out and reported at the end."""

import json
from pathlib import Path

import pytest

_GOOD = '{"id": "a", "messages": [{"role": "user", "content": "Hello"}]}\n'
_CHATS = _GOOD + "no JSON\n" + '{"id": "b"}\n'
_REMEDY = "--on-bad-row skip leaves such rows out, --quarantine FILE keeps them in a file"


def test_an_import_names_the_first_bad_row(within):
    """Without an option, the error names the first bad row, counts the others and says how to leave them out."""
    Path("chats.jsonl").write_text(_CHATS)

    ended = within("conversations", "import", "chats.jsonl")

    message = ended.one_line_error()
    assert (ended.code, ended.out) == (1, "")
    assert message.startswith("chats.jsonl line 2: not valid JSON")
    assert message.endswith(f"; 1 more row is unusable. {_REMEDY}")
    assert within("conversations", "list", "--json").json["conversations"] == []


def test_an_import_skips_bad_rows(within):
    """`--on-bad-row skip` imports the others, and says how many were left out and why the first one was."""
    Path("chats.jsonl").write_text(_CHATS)

    ended = within("conversations", "import", "chats.jsonl", "--on-bad-row", "skip")
    again = within("conversations", "import", "chats.jsonl", "--on-bad-row", "skip", "--json")

    assert (ended.code, ended.out) == (0, "chats.jsonl: 1 conversation imported.\n")
    assert ended.err.startswith("2 rows were left out; the first is chats.jsonl line 2: not valid JSON: ")
    assert (again.code, again.err) == (0, "")
    assert (again.json["identical"], again.json["badRows"]) == (1, 2)
    assert [(reason["line"], reason["file"]) for reason in again.json["badRowReasons"]] == [(2, None), (3, None)]


def test_an_import_keeps_bad_rows(within):
    """`--quarantine` alone keeps bad rows in its file, from which they can be imported once repaired."""
    Path("chats.jsonl").write_text(_GOOD + "no JSON\n")

    ended = within("conversations", "import", "chats.jsonl", "--quarantine", "bad.jsonl")
    kept = Path("bad.jsonl").read_text()
    Path("bad.jsonl").write_text(_GOOD.replace('"a"', '"b"'))
    repaired = within("conversations", "import", "bad.jsonl")

    assert ended.code == 0
    assert ended.err.startswith("1 row was left out and kept in bad.jsonl: chats.jsonl line 2: not valid JSON: ")
    assert kept == "no JSON\n"
    assert json.loads(Path("bad.jsonl.reasons.jsonl").read_text())["line"] == 2
    assert repaired.out == "bad.jsonl: 1 conversation imported.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--on-bad-row", "quarantine"), "The quarantine needs a file; name one with --quarantine FILE"),
        (
            ("--on-bad-row", "skip", "--quarantine", "x.jsonl"),
            "A quarantine file is named, but the policy for bad rows is skip",
        ),
    ],
    ids=["no file", "two policies"],
)
@pytest.mark.parametrize(
    "command",
    [
        ("conversations", "import", "in.jsonl"),
        ("run", "in.jsonl", "--model", "scripted"),
        ("resume", "in", "--accept-new-items", "in.jsonl"),
    ],
    ids=["import", "run", "resume"],
)
def test_options_that_do_not_fit_are_wrong_usage(within, command, options, message):
    """Options that do not fit each other are wrong usage, found before a database is created."""
    Path("in.jsonl").write_text(_CHATS)
    before = sorted(Path().iterdir())

    ended = within(*command, *options)

    assert (ended.code, ended.one_line_error()) == (2, message)
    assert sorted(Path().iterdir()) == before


def test_a_run_leaves_bad_rows_out(within):
    """A run without its bad rows can be repeated; rows that were repaired are added."""
    Path("topics.jsonl").write_text('{"name": "no topic"}\n{"topic": "tea"}\n{"topic": ""}\n')
    run = ("run", "topics.jsonl", "--model", "scripted")

    refused = within(*run)
    before = list(Path().glob("backstay.db"))
    first = within(*run, "--quarantine", "bad.jsonl")
    again = within(*run, "--quarantine", "bad.jsonl", "--json")
    Path("more.jsonl").write_text('{"topic": "cake"}\n{"topic": ""}\n')
    added = within("resume", "topics", "--accept-new-items", "more.jsonl", "--on-bad-row", "skip")

    assert refused.code == 2
    assert "topics.jsonl has no column 'topic', only name" in refused.one_line_error()
    assert before == []
    assert (first.code, Path("bad.jsonl").read_text()) == (0, '{"name": "no topic"}\n{"topic": ""}\n')
    assert "2 rows were left out and kept in bad.jsonl; the first is " in first.err
    assert (again.json["didNothing"], again.json["badRows"], again.json["job"]["planned"]) == (True, 2, 1)
    assert added.code == 0
    assert "1 row was left out: more.jsonl line 2: the topic is missing or empty.\n" in added.err
    assert "1 new item added.\n" in added.err


def test_a_bad_first_row_creates_no_database(within):
    """A run whose first row is bad counts the other bad rows, and creates no database."""
    Path("topics.jsonl").write_text('{\n{"topic": "tea"}\n{"topic": ""}\n')

    ended = within("run", "topics.jsonl", "--model", "scripted")

    assert ended.one_line_error().endswith(f"; 1 more row is unusable. {_REMEDY}")
    assert [path.name for path in Path().iterdir() if "backstay" in path.name] == []


def test_a_dry_run_leaves_bad_rows_out(within):
    """`--dry-run` shows the prompts of the good rows, and writes no quarantine."""
    Path("topics.jsonl").write_text('{\n{"topic": "tea"}\n')
    options = ("--model", "llama3", "--base-url", "http://localhost:9/v1", "--dry-run")

    ended = within("run", "topics.jsonl", *options, "--quarantine", "bad.jsonl")

    assert ended.code == 0, ended.err
    assert "1 item for llama3" in ended.out
    assert not Path("bad.jsonl").exists()


@pytest.mark.parametrize(
    "command", [("conversations", "import", ""), ("run", "", "--job", "tea", "--model", "scripted")]
)
def test_an_empty_name_of_the_input_is_refused(within, backstay, command):
    """`""`, as from a variable that is not set, does not mean all files in the folder of the command."""
    (backstay.folder / "rows.jsonl").write_text('{"topic": "tea", "prompt": "Q", "completion": "A"}\n')

    ended = within(*command)

    assert (ended.code, ended.one_line_error()) == (2, "The name of the input is empty; name a file or a folder")
