"""Output: what is printed where, and that stored data cannot control a terminal."""

import asyncio
import json
import re
import sys

import pytest

from backstay import Backstay, Conversation, Turn
from backstay.batch.progress import ItemCounts, JobProgress, TokenCounts
from backstay.cli import error_output
from backstay.cli.invocation import Invocation
from backstay.cli.output import Output
from backstay.cli.progress import ProgressLines, describe_job
from backstay.cli.text import format_count, format_duration, format_size, printable, printable_lines, truncate
from backstay.signal_counter import SAME_SIGNAL_SECONDS

_HOSTILE = "\x1b[31mred\x1b]0;title\x07\n\u202egnirts\x9b2J\ttail"


def test_plain_text_commands_no_terminal():
    """`printable` removes control and direction characters, and replaces line breaks by spaces."""
    assert printable(_HOSTILE) == "[31mred]0;title gnirts2J tail"
    assert printable_lines("a\tb\n\x1b[2Jc\u2029d") == ["a   b", "[2Jc", "d"]
    assert printable("half \ud800 a pair") == "half \\ud800 a pair"
    assert printable("Grüße, 你好 🙂") == "Grüße, 你好 🙂"


def test_numbers_are_readable():
    """Counts, durations and long names are formatted for people."""
    assert [format_count(1, "item"), format_count(1234, "item")] == ["1 item", "1,234 items"]
    assert [format_size(size) for size in (0, 1, 999, 999_949, 999_950, 2.5e15)] == [
        "0 bytes",
        "1 byte",
        "999 bytes",
        "999.9 kB",
        "1.0 MB",
        "2,500.0 TB",
    ]
    assert [format_duration(s) for s in (0.04, 59.9, 59.96, 125, 3600, 12_000)] == [
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "2 min 05 s",
        "1 h 00 min",
        "3 h 20 min",
    ]
    assert truncate("abcdef", 4) == "abc…"


def test_hostile_data_is_made_harmless(within, backstay):
    """Error messages, topics and turns are printed without escape sequences, in pipes and on terminals."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--processor", "made:hostile")

    async def store() -> None:
        async with Backstay.open(backstay.database) as library:
            made = Conversation([Turn("user\x1b[1m", _HOSTILE)], id="evil\x1b[2J", metadata={"k\x07": _HOSTILE})
            await library.batches.run("other", [{"topic": _HOSTILE, "persona": _HOSTILE}], lambda _: made)

    asyncio.run(store())

    commands = [
        ["failed", "topics"],
        ["conversations", "list"],
        ["conversations", "show", "evil\x1b[2J"],
        ["conversations", "show", "missing\x1b[2J"],
    ]
    for words in commands:
        piped = within(*words)
        assert not set(piped.out + piped.err) & set("\x1b\x07\x9b\u202e"), words
    for words in commands[:2]:
        output = backstay.on_terminal(*words).out
        # Rich's own styles are no harm; what the data says is.
        assert not any(mark in output for mark in ("\x1b[31m", "\x1b]0", "\x07", "\x9b", "\u202e", "\x1b[2J")), words


def test_tables_keep_ids_whole_on_a_narrow_terminal(backstay):
    """A name longer than its column is folded, not truncated."""
    backstay.write("topics.csv", "Gardens")
    name = "n" * 150
    backstay("run", "topics.csv", "--job", name, "--model", "scripted")

    ended = backstay.on_terminal("jobs")

    assert "JOB" in ended.out
    assert ended.out.count("n" * 30) >= 1
    assert sum(line.split(" ")[0].count("n") for line in ended.out.splitlines()) == 150


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_keep_ids_and_times_whole(within, backstay, columns):
    """Lists never break ids and times; other columns are folded or moved to lines of their own."""
    backstay.write("topics.csv", "A garden that is described in rather more words than a column has room for")
    within("run", "topics.csv", "--model", "scripted")
    within("backups", "create", "--all")
    (item,) = within("conversations", "list", "--json").json["conversations"]
    (backup,) = within("backups", "list", "--json").json["backups"]

    listed = backstay.on_terminal("conversations", "list", columns=columns).out
    backups = backstay.on_terminal("backups", "list", columns=columns).out

    assert item["id"] in listed
    assert item["createdAt"] in listed
    assert backup["backupId"] in backups
    assert backup["createdAt"][:19].replace("T", " ") + "Z" in backups
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in (listed + backups).splitlines()) <= columns


# -- progress ----------------------------------------------------------------------------------------------------------


def _progress(settled: int) -> JobProgress:
    return JobProgress(
        "topics", ItemCounts(pending=10 - settled, completed=settled - 1, failed=1), TokenCounts(7, 1200), 1, 2.0, 4
    )


def test_progress_lines_come_now_and_then_and_at_the_end(capsys):
    """Without a terminal, progress is a line at most every five seconds, and one at the end."""
    now = [0.0]
    out = Output(Invocation(), as_json=False)
    with ProgressLines(out, describe_job, is_last_printed=True, now=lambda: now[0]) as lines:
        for moment, settled in ((1, 2), (5, 3), (6, 4), (9.9, 5), (10, 6), (11, 7)):
            now[0] = moment
            lines(_progress(settled))

    assert capsys.readouterr().err.splitlines() == [
        f"topics: {settled} of 10, 2.0/s, 4.0 s left, 1 failed, 7 + 1,200 tokens" for settled in (3, 6, 7)
    ]


def test_a_run_without_progress_prints_no_line(capsys):
    """A run without progress prints no progress line."""
    with ProgressLines(Output(Invocation(), as_json=False), describe_job, is_last_printed=True):
        pass

    assert capsys.readouterr().err == ""


def test_the_bar_is_live_on_a_terminal(backstay):
    """The bar moves, disappears at the end, and restores the cursor."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(12)))

    ended = backstay.on_terminal("run", "topics.csv", "--processor", "made:slow", "--concurrency", "4")

    assert ended.code == 0
    assert "of 12, " in ended.out
    assert ended.out.count("\x1b[?25l") == ended.out.count("\x1b[?25h") == 1
    last = ended.out.replace("\r", "").split("\x1b[2K")[-1]
    assert "topics: 12 of 12 completed, 0 failed, 0 skipped in " in last
    assert "Export them with: " in last


def test_leaving_at_once_gives_the_cursor_back(backstay):
    """A second Ctrl-C on a terminal restores the cursor and prints the command that resumes."""
    backstay.write("topics.csv", "Gardens")
    words = ("run", "topics.csv", "--processor", "made:endless")

    typed = [(b"0 of 1", b"\x03"), (b"Stopping", b"\x03")]
    ended = backstay.on_terminal(*words, typed=typed, apart_seconds=1.1 * SAME_SIGNAL_SECONDS)

    assert ended.code == 130
    assert "Stopping: 1 call in flight gets up to 10 s; press again to stop at once" in ended.out
    assert "Stopped at once; all finished items are stored. Continue with: backstay resume topics" in ended.out
    assert ended.out.rindex("\x1b[?25h") > ended.out.rindex("\x1b[?25l")


# -- logs --------------------------------------------------------------------------------------------------------------


def test_json_logs_are_all_there_is_on_standard_error(within, backstay):
    """With --log-format json every line on standard error is an object."""
    backstay.write("topics.csv", "Gardens")

    ended = within("--log-format", "json", "run", "topics.csv", "--model", "scripted")

    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert ended.code == 0
    assert ended.out.startswith("topics: 1 of 1 completed")
    assert all({"event", "level", "logger", "timestamp"} <= set(line) for line in lines)
    assert {
        "event": "checkpoint_cleaned",
        "job": "topics",
        "level": "info",
        "logger": "backstay.batch",
    }.items() <= next(line for line in lines if line["event"] == "checkpoint_cleaned").items()


def test_json_logs_carry_errors_with_code_and_context(within):
    """With --log-format json an error is an event with its code and context."""
    ended = within("--log-format", "json", "run", "none.csv", "--model", "scripted")

    (line,) = [json.loads(line) for line in ended.err.splitlines() if '"error"' in line]
    assert ended.code == 2
    assert (line["event"], line["level"], line["code"]) == ("command_failed", "error", "input_not_found")
    assert line["error"] == "none.csv: there is no such file"
    assert line["context"] == {"path": "none.csv"}


def test_errors_as_json_have_code_message_and_details(within):
    """With --json an error has the same shape as in the API."""
    ended = within("run", "none.csv", "--model", "scripted", "--json")

    assert ended.error == {
        "code": "input_not_found",
        "message": "none.csv: there is no such file",
        "details": {"path": "none.csv"},
        "remedy": None,
    }


def test_a_file_name_that_is_not_utf8_is_printed(backstay):
    """An error that names a file whose name is not UTF-8 is printed."""
    text = backstay("run", "b\udcffd.csv", "--model", "scripted")
    as_json = backstay("run", "b\udcffd.csv", "--model", "scripted", "--json")

    assert text.code == as_json.code == 2
    assert text.one_line_error() == "b\\xffd.csv: there is no such file"
    assert as_json.error["code"] == "input_not_found"


@pytest.mark.parametrize("is_verbose", [False, True])
def test_a_fault_is_one_line_unless_asked(within, monkeypatch, is_verbose):
    """An unexpected error is one line, and shows its traceback only on request."""

    def broken(*_args: object, **_more: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(Invocation, "open", broken)
    if is_verbose:
        monkeypatch.setenv("BACKSTAY_TRACEBACK", "1")

    ended = within("jobs")

    assert ended.code == 1
    message = "Error: KeyError: 'lost'. This is a bug in Backstay; set BACKSTAY_TRACEBACK=1 to see the traceback"
    assert ended.err.splitlines()[0] == message
    assert ("Traceback" in ended.err) is is_verbose
    assert len(ended.err.splitlines()) == 1 or is_verbose


def test_a_fault_is_logged_with_its_traceback(within, monkeypatch):
    """The structured log of an unexpected error always contains the traceback."""

    def broken(*_args: object, **_more: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(Invocation, "open", broken)

    line = json.loads(within("--log-format", "json", "jobs").err)

    assert line["code"] == "internal_error"
    assert "broken" in line["exception"]


@pytest.mark.parametrize(("command", "module"), [("serve", "settings"), ("doctor", "doctor_checks")])
def test_module_of_backstay_that_is_missing_is_a_bug(within, monkeypatch, command, module):
    """A command of the server does not name packages if a module of Backstay itself is missing."""
    monkeypatch.setitem(sys.modules, f"backstay.server.{module}", None)

    message = within(command).one_line_error()

    assert message.startswith("ModuleNotFoundError: ")
    assert "This is a bug in Backstay" in message


def test_an_unexpected_error_without_a_text_is_printed(capsys):
    """An unexpected error without a text is printed as JSON, too."""
    status = error_output.print_unexpected(Invocation(), ValueError(), as_json=True)

    assert status == 1
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "internal_error"


def test_version_and_help(within):
    """`--version` prints the version; a call without a command prints the help."""
    version = within("--version")
    nothing = within()

    assert version.out.startswith("backstay ")
    assert nothing.code == 0
    assert nothing.out == within("--help").out
