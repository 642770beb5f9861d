"""`backstay run`."""

import gzip
import json
import os
import subprocess
import sys

import pytest

from backstay import ItemCounts, JobProgress, TokenCounts
from backstay.batch.progress import Listener
from backstay.batch.service import Batches
from backstay.errors import StoreFull

_SCRIPTED = "The built-in scripted writer composes these conversations; no model is called."


def test_run_completes_a_job_named_after_its_file(backstay):
    """`run` turns a file of topics into conversations, and prints the next step."""
    backstay.write("a.b.csv", "Gardens", "Bridges")

    ended = backstay("run", "a.b.csv", "--model", "scripted")

    assert ended.code == 0
    assert ended.out.startswith("a.b: 2 of 2 completed, 0 failed, 0 skipped in ")
    assert ended.out.count("\n") == 1
    assert ended.err.splitlines()[0] == _SCRIPTED
    assert ended.err.splitlines()[1].startswith("a.b: 2 of 2, ")
    assert (
        ended.err.splitlines()[2] == "Export them with: backstay conversations export --job a.b -o conversations.jsonl"
    )
    assert backstay.database.exists()


def test_run_again_does_nothing(within, backstay):
    """A second `run` of a finished job makes no calls and says so."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")

    ended = within("run", "topics.csv", "--model", "scripted")

    assert ended.code == 0
    assert ended.out == "topics: 1 of 1 completed, 0 failed, 0 skipped; already finished, nothing to do\n"


def test_run_again_after_failures_says_how_to_retry(within, backstay):
    """A job that finished with failures exits 3 each time, with the commands that show and retry them."""
    backstay.write("topics.csv", "Gardens", "bad things")
    first = within("run", "topics.csv", "--processor", "made:picky")

    ended = within("run", "topics.csv", "--processor", "made:picky")

    assert first.code == 3
    assert first.out.startswith("topics: 1 of 2 completed, 1 failed, 0 skipped, 6 + 10 tokens in ")
    assert ended.code == 3
    assert "already finished" in ended.out
    for message in (first, ended):
        assert "Show why they failed: backstay failed topics\n" in message.err
        assert "Retry them with: backstay resume topics --retry-failed" in message.err


def test_run_as_json_prints_the_job_and_nothing_else(backstay):
    """`run --json` prints one object and no advice, whatever the processor prints."""
    backstay.write("topics.csv", "Gardens", "Gardens")

    ended = backstay("run", "topics.csv", "--processor", "made:good", "--json", "--max-attempts", "5", "--timeout", "9")

    assert ended.code == 0
    assert ended.err == "a processor prints what it likes\n" * 2
    output = ended.json
    assert output.pop("seconds") >= 0
    job = output.pop("job")
    assert output == {
        "ending": "finished",
        "didNothing": False,
        "added": 0,
        "repeated": 0,
        "badRows": 0,
        "badRowReasons": [],
        "notes": [],
    }
    for name in ("createdAt", "updatedAt", "finishedAt"):
        assert job.pop(name).endswith("Z")
    assert job == {
        "id": "topics",
        "state": "completed",
        "processor": "made:good",
        "revision": None,
        "planned": 2,
        "pending": 0,
        "running": 0,
        "completed": 2,
        "failed": 0,
        "skipped": 0,
        "percentage": 100.0,
        "tokensIn": 0,
        "tokensOut": 0,
        "workers": 0,
        "waiting": None,
        "pause": None,
        "recipe": None,
        "regenerates": None,
        "cleaned": True,
        "maxAttempts": 5,
        "timeoutSeconds": 9.0,
        "concurrency": None,
        "rpm": None,
        "tpm": None,
    }


def test_standard_input_is_read(backstay):
    """`run -` reads items from standard input."""
    ended = backstay(
        "run", "-", "--job", "piped", "--model", "scripted", stdin=b'{"topic": "Tea"}\n{"topic": "Salt"}\n'
    )

    assert ended.code == 0
    assert ended.out.startswith("piped: 2 of 2 completed")


def test_limit_stops_early(within, backstay):
    """`run --limit` stops at the limit, exits with 4 and prints how to continue."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(6)))

    ended = within("run", "topics.csv", "--model", "scripted", "--limit", "2", "--concurrency", "1")

    assert ended.code == 4
    assert ended.out.startswith("topics: 2 of 6 completed")
    assert "Stopped at the limit. Continue with: backstay resume topics\n" in ended.err


def test_an_error_of_every_item_pauses(within, backstay):
    """An error that would fail every item pauses the job with its reason, exits with 5 and prints how to continue."""
    backstay.write("topics.csv", "Gardens", "Bridges")

    ended = within("run", "topics.csv", "--processor", "made:broke")

    assert ended.code == 5
    assert ended.out.startswith("topics: 0 of 2 completed, 0 failed")
    assert "Paused: the key was refused. Continue with: backstay resume topics\n" in ended.err
    assert within("status", "topics", "--json").json["pause"] == {
        "code": "credentials",
        "message": "the key was refused",
    }


def test_new_items_are_added_when_accepted(within, backstay):
    """A longer input is refused with the difference, unless --accept-new-items is given."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    backstay.write("topics.csv", "Gardens", "Bridges")

    refused = within("run", "topics.csv", "--model", "scripted")
    ended = within("run", "topics.csv", "--model", "scripted", "--accept-new-items", "--json")

    assert refused.code == 1
    assert "1 new" in refused.one_line_error()
    assert ended.code == 0
    assert ended.json["added"] == 1
    assert ended.json["job"]["completed"] == 2


def test_columns_can_be_named(within, backstay):
    """Options name the columns of id, topic and persona."""
    rows = [{"key": "k1", "question": "Why?", "who": "a nurse", "id": "other"}]
    (backstay.folder / "q.json").write_text(json.dumps(rows))

    ended = within(
        *("run", "q.json", "--model", "scripted"),
        *("--id-column", "key", "--topic-column", "question", "--persona-column", "who"),
    )
    listed = within("conversations", "list", "--json").json["conversations"]

    assert ended.code == 0
    assert [(item["itemId"], item["topic"], item["persona"]) for item in listed] == [("k1", "Why?", "a nurse")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Choose what makes the conversations: --model PROVIDER:NAME"),
        (["--model", "gpt-9"], "The model 'gpt-9' names no provider; the known providers are openai:…"),
        (["--model", "scripted:soon"], "'scripted:soon' is not a processor"),
        (["--model", "scripted", "--processor", "a:b"], "--processor cannot be combined with --model"),
        (["--model", "", "--processor", "a:b"], "--processor cannot be combined with --model"),
        (["--processor", "nowhere_at_all:f"], "Module 'nowhere_at_all' not found"),
        (["--processor", "json:nothing"], "Module 'json' has no function 'nothing'"),
        (["--processor", "made:needs_three"], "must take (item) or (item, work)"),
        (["--processor", "made"], "'made' is not a processor"),
        (["--model", "scripted", "--concurrency", "0"], "concurrency must be from 1 to"),
        (
            ["--model", "scripted", "--concurrency", "many"],
            "Invalid value for '--concurrency': it must be a whole number;",
        ),
        (["--model", "scripted", "--dry-run", "0"], "Invalid value for '--dry-run': it must be at least 1;"),
        (["--model", "scripted", "--max-attempts", "0"], "max_attempts must be from 1 to"),
        (["--model", "scripted", "--timeout", "0"], "Invalid value for '--timeout': it must be at least 0.001;"),
        (["--model", "scripted", "--limit", "0"], "limit must be from 1"),
        (["--model", "scripted", "--id-column", "nope"], "has no column 'nope'"),
        (["--model", "scripted", "--nonsense"], "No such option: --nonsense"),
    ],
)
def test_wrong_usage_is_reported_in_one_line(within, backstay, words, message):
    """Wrong usage exits with 2 and names the correct form in one line."""
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", *words)

    assert ended.code == 2
    assert message in ended.one_line_error()
    assert ended.out == ""


def test_an_unknown_command_suggests_the_nearest(within):
    """An unknown command suggests the nearest ones, with correct punctuation."""
    message = within("rusume").one_line_error()

    assert message.endswith("'resume'? See `backstay --help`"), message


@pytest.mark.parametrize(
    ("verb", "suggested"),
    [("export", "'conversations export'"), ("delete", "'conversations delete', 'backups delete'")],
)
def test_a_verb_without_its_group_suggests_the_group(within, verb, suggested):
    """A command of a group that is given alone suggests each group that has it."""
    message = within(verb).one_line_error()

    assert message == f"No such command '{verb}'. Did you mean {suggested}? See `backstay --help`"


@pytest.mark.parametrize("name", ["version", "help", "owner"])
def test_an_option_without_its_dashes_suggests_the_option(within, name):
    """The name of a global option that is given as a command suggests the option."""
    message = within(name).one_line_error()

    assert message == f"No such command '{name}'. Did you mean '--{name}'? See `backstay --help`"


def test_the_database_may_be_named_after_the_command(within, backstay):
    """`--database` works before and after the command; if it is given twice, the later one counts."""
    backstay.write("topics.csv", "Gardens")

    made = within("--database", "first.db", "run", "topics.csv", "--model", "scripted", "--database", "second.db")
    listed = within("jobs", "--database", "second.db", "--json")

    assert (made.code, [job["id"] for job in listed.json["jobs"]]) == (0, ["topics"])
    assert not (backstay.folder / "first.db").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jobs", "--owner", "ann"], "--owner goes before the command: `backstay --owner … jobs`"),
        (["jobs", "--log-format=json"], "--log-format goes before the command: `backstay --log-format … jobs`"),
        (
            ["backups", "--database", "x", "list"],
            "--database goes before the command: `backstay --database … backups`",
        ),
    ],
)
def test_a_misplaced_global_option_is_named_with_its_place(within, words, message):
    """The error for a global option after a command that does not accept it there shows where it goes."""
    ended = within(*words)

    assert (ended.code, ended.one_line_error()) == (2, message)


def test_a_folder_without_files_of_items_is_refused(within, backstay):
    """A run of a folder without files of items, even of the current one, says so and creates no database."""
    for folder in (".", str(backstay.folder)):
        ended = within("run", folder, "--model", "scripted")

        assert ended.one_line_error() == (
            f"{folder}: no file in this folder ends in one of .csv .tsv .jsonl .ndjson .json .parquet .txt"
            "; left out: made.py"
        )
    assert not backstay.database.exists()


@pytest.mark.parametrize("pattern", ["", "/**/*.jsonl"])
@pytest.mark.parametrize("command", [["run", "--job", "j", "--model", "scripted"], ["conversations", "import"]])
def test_a_subfolder_that_cannot_be_read_refuses_the_input(bound, backstay, command, pattern):
    """A subfolder that may not be read is an error that names it, and not left out."""
    data = backstay.folder / "data"
    (data / "closed").mkdir(parents=True)
    (data / "a.jsonl").write_text('{"topic": "tea", "messages": [{"role": "user", "content": "Hello"}]}\n')
    (data / "closed").chmod(0)

    ended = bound("--database", str(backstay.folder / "own.db"), *command, f"{data}{pattern}")
    (data / "closed").chmod(0o700)

    assert (ended.returncode, ended.stderr) == (1, f"Error: {data}/closed: no permission to read it\n")


def test_a_shell_completes_after_a_verb_without_its_group(backstay):
    """While a shell completes, a verb without its group is no error."""
    typed = {"_BACKSTAY_COMPLETE": "complete_bash", "COMP_WORDS": "backstay export ", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "backstay"]

    ended = subprocess.run(command, env=os.environ | typed, cwd=backstay.folder, capture_output=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_is_noticed_about_an_input_is_said_once(within, backstay):
    """A run notes the delimiter of a file once on standard error, as does a second run, and with --json in `notes`."""
    (backstay.folder / "topics.csv").write_bytes(b"\xef\xbb\xbf Topic ;Audience;\r\nTea;all;\r\n;;\r\n")

    for _ in range(2):
        ended = within("run", "topics.csv", "--model", "scripted")

        assert ended.code == 0
        assert ended.err.count("topics.csv: columns are separated by semicolons.\n") == 1
        assert ended.err.count("topics.csv: an empty column at the end is ignored.\n") == 1
        assert "separated" not in ended.out
    (backstay.folder / "chats.csv").write_text("id;prompt;completion\n1;Tea?;Tea.\n")
    run = within("run", "topics.csv", "--model", "scripted", "--json").json
    imported = within("conversations", "import", "chats.csv", "--json").json
    assert run["notes"][0] == "topics.csv: columns are separated by semicolons."
    assert imported["notes"] == ["chats.csv: columns are separated by semicolons."]
    item = within("conversations", "list", "--job", "topics", "--json").json["conversations"][0]
    assert (item["topic"], item["jobId"]) == ("Tea", "topics")


def test_a_folder_names_its_job(within, backstay):
    """A run of a folder is named after it, reads all its files, and an error names the file and the line."""
    (backstay.folder / "shards").mkdir()
    for number in (1, 2):
        (backstay.folder / "shards" / f"part-{number}.jsonl").write_text(f'{{"topic": "t{number}"}}\n')

    ended = within("run", "shards", "--model", "scripted")
    (backstay.folder / "shards" / "part-3.csv").write_text("id,topic\na,Tea\nb,\n")
    bad = within("run", "shards/", "--model", "scripted")

    assert (ended.code, "shards: 2 files.\n" in ended.err) == (0, True)
    assert within("status", "shards", "--json").json["completed"] == 2
    assert bad.one_line_error().startswith("shards/part-3.csv line 3: the topic is missing or empty; --on-bad-row")


def test_a_pattern_needs_a_name(within, backstay):
    """A run of a pattern needs --job; a pattern that matches nothing is an error that says so."""
    for number in (1, 2):
        (backstay.folder / f"part-{number}.csv").write_text(f"topic\nTea {number}\n")

    unnamed = within("run", "part-*.csv", "--model", "scripted")
    none = within("run", "none-*.csv", "--job", "j", "--model", "scripted")
    named = within("run", "part-*.csv", "--job", "j", "--model", "scripted")

    assert (unnamed.code, unnamed.one_line_error()) == (2, "A pattern has no name; name the job with --job")
    assert (none.code, none.one_line_error()) == (2, "none-*.csv: no file matches this pattern")
    assert (named.code, within("status", "j", "--json").json["completed"]) == (0, 2)


def test_the_same_id_in_two_files_is_a_duplicate(within, backstay):
    """Two different items with one id are refused across files as within one; equal ones count once."""
    (backstay.folder / "shards").mkdir()
    (backstay.folder / "shards" / "a.csv").write_text("id,topic\nx,Tea\n")
    (backstay.folder / "shards" / "b.csv").write_text("id,topic\nx,Tea\n")
    same = within("run", "shards", "--model", "scripted")
    (backstay.folder / "shards" / "c.csv").write_text("id,topic\nx,Salt\n")
    other = within("run", "shards", "--job", "other", "--model", "scripted")

    assert (same.code, within("status", "shards", "--json").json["planned"]) == (0, 1)
    assert other.one_line_error() == (
        "Two different items have the id 'x' (one is in shards/c.csv line 2); give each its own id"
    )


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("topics.csv", "Topic;x\nGröße;1\n".encode("cp1252"), ("--encoding", "cp1252")),
        ("topics.csv", b"x^topic\n1^Tea\n", ("--delimiter", "^")),
        ("topics.csv", "topic\nGröße\n".encode("utf-16"), ()),
        ("topics.txt", b"Tea\n\nSalt\n", ()),
        ("topics.jsonl.gz", gzip.compress(b'{"TOPIC": "Tea"}\n', mtime=0), ()),
    ],
)
def test_files_of_many_kinds_make_a_job(within, backstay, name, content, options):
    """A job is made from each kind of file, and has its name without the whole ending."""
    (backstay.folder / name).write_bytes(content)

    ended = within("run", name, "--model", "scripted", *options)

    assert ended.code == 0
    assert within("status", "topics", "--json").json["failed"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--encoding", "cp1253x"), "Unknown encoding 'cp1253x'; did you mean cp1253?"),
        (("--delimiter", "tabs"), "The delimiter is one character, or one of tab, comma, semicolon, pipe, not 'tabs'"),
    ],
)  # fmt: skip
def test_unknown_ways_to_read_are_refused(within, backstay, options, message):
    """An unknown encoding or delimiter is refused by every command that reads files, before a database is made."""
    backstay.write("topics.csv", "Tea")

    for words in (("run", "topics.csv", "--model", "scripted"), ("conversations", "import", "topics.csv")):
        ended = within(*words, *options)

        assert (ended.code, ended.one_line_error()) == (2, message)
    assert not backstay.database.exists()


def test_standard_input_needs_a_name(within, backstay):
    """`run -` without --job is refused."""
    ended = within("run", "-", "--model", "scripted")

    assert ended.code == 2
    assert ended.one_line_error() == "Standard input has no name; name the job with --job"
    assert not backstay.database.exists()


_INPUTS = {
    "missing file": ("none.csv", None, "none.csv: there is no such file"),
    "empty file": ("empty.csv", b"", "empty.csv: there are no rows in it"),
    "unknown kind": ("topics.xlsx", b"PK", "this is a spreadsheet; save it there as CSV UTF-8"),
    "other kind": ("topics.docx", b"PK", "unknown kind of file"),
    "ragged row": ("a.csv", b"id,topic\n1,Tea\n2,Salt,more\n", "a.csv line 3"),
    "bad UTF-8": ("a.csv", b"id,topic\n1,Tea\n2,\xff\xfe\n", "a.csv line 3: not UTF-8"),
    "bad JSON line": ("a.jsonl", b'{"topic": "Tea"}\n{"topic": \n', "a.jsonl line 2"),
    "missing topic": ("a.csv", b"id,topic\n1,Tea\n2,\n", "a.csv line 3: the topic is missing or empty"),
    "changed duplicate": ("a.csv", b"id,topic\n1,Tea\n1,Salt\n", "'1'"),
}


@pytest.mark.parametrize(("name", "content", "message"), _INPUTS.values(), ids=_INPUTS.keys())
def test_unusable_input_is_reported_in_one_line(within, backstay, name, content, message):
    """Unusable input is named with its line, creates no job and prints no traceback."""
    if content is not None:
        (backstay.folder / name).write_bytes(content)

    ended = within("run", name, "--model", "scripted")
    error = ended.one_line_error()

    assert ended.code == (2 if content is None else 1)  # as for a recipe that is not there
    assert message in error
    assert within("status", name.partition(".")[0]).code == 1


def test_a_mistyped_file_leaves_nothing_behind(within, backstay):
    """A missing input file creates no database."""
    within("run", "topcis.csv", "--model", "scripted")

    assert not (backstay.folder / ".backstay").exists()


def test_a_job_with_other_items_is_refused(within, backstay):
    """`run` refuses the name of a job that has other items."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    backstay.write("topics.csv", "Bridges")

    ended = within("run", "topics.csv", "--model", "scripted", "--json")

    assert ended.code == 1
    assert ended.error["code"] == "items_differ"
    assert ended.error["details"] == {"jobId": "topics", "new": 0, "missing": 0, "changed": 1}
    assert ended.out == ""


def test_a_usage_error_is_printed_as_json(within):
    """With --json a usage error is JSON, too."""
    ended = within("run", "--json")

    assert ended.code == 2
    assert ended.error["code"] == "usage"
    assert "FILE" in ended.error["message"]


def test_a_full_disk_needs_the_user(within, backstay, monkeypatch):
    """A full disk exits with 5, the remedy and the command that resumes."""

    async def full(_batches: Batches, job_id: str, *_args: object, on_progress: Listener, **_more: object) -> None:
        on_progress(JobProgress(job_id, ItemCounts(pending=1), TokenCounts(), 1.0, 0.0, None))
        raise StoreFull("No space is left for here.db; free some, then try again", path="here.db")

    monkeypatch.setattr(Batches, "run", full)
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", "--model", "scripted")

    assert ended.code == 5
    assert ended.one_line_error() == "No space is left for here.db; free some, then try again"
    assert "Continue with: backstay resume topics\n" in ended.err


def test_a_refused_run_does_not_say_who_composes(within, backstay):
    """The note about the scripted writer is printed once a run has begun, and not before a refusal."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    backstay.write("topics.csv", "Bridges")

    ended = within("run", "topics.csv", "--model", "scripted")

    assert ended.code == 1
    assert ended.one_line_error().startswith("Job 'topics' exists with other items")
