"""`backstay resume`, and the reminder of unfinished jobs."""

import asyncio
import os

import pytest

from backstay import Backstay
from backstay.cli import reminders


def _stop_at_limit(within, backstay, name: str) -> None:
    backstay.write(f"{name}.csv", "Gardens", "Bridges", "Tea")
    assert within("run", f"{name}.csv", "--model", "scripted", "--limit", "1", "--concurrency", "1").code == 4


def test_resume_continues_the_only_unfinished_job(within, backstay):
    """`resume` without a name continues the only unfinished job."""
    _stop_at_limit(within, backstay, "topics")

    ended = within("resume")

    assert ended.code == 0
    assert ended.out.startswith("topics: 3 of 3 completed")
    assert ended.err.startswith("The built-in scripted writer composes these conversations; no model is called.\n")


def test_resume_asks_which_of_several(within, backstay):
    """`resume` without a name lists several unfinished jobs and refuses to choose."""
    _stop_at_limit(within, backstay, "topics")
    _stop_at_limit(within, backstay, "more")

    ended = within("resume")
    named = within("resume", "more")

    assert ended.code == 2
    assert ended.one_line_error() == "Several jobs are unfinished; name one of: more, topics"
    assert named.code == 0
    assert named.out.startswith("more: 3 of 3 completed")


def test_resume_with_nothing_to_do_says_so(within, backstay):
    """`resume` without an unfinished job exits with 0."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")

    ended = within("resume")
    as_json = within("resume", "--json")

    assert (ended.code, ended.out) == (0, "No job is unfinished; `backstay jobs` lists all.\n")
    assert as_json.code == 0
    assert as_json.json == {
        "job": None,
        "ending": "finished",
        "didNothing": True,
        "added": 0,
        "repeated": 0,
        "badRows": 0,
        "badRowReasons": [],
        "notes": [],
        "seconds": 0.0,
    }


def test_resume_of_a_finished_job_does_nothing(within, backstay):
    """`resume` of a finished job changes nothing."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")

    ended = within("resume", "topics", "--json")

    assert ended.code == 0
    assert ended.json["didNothing"] is True
    assert ended.json["job"]["completed"] == 1


def test_failed_items_are_retried_when_asked(within, backstay):
    """`resume` processes failed items again only with --retry-failed."""
    backstay.write("topics.csv", "Gardens", "bad things")
    within("run", "topics.csv", "--processor", "made:picky")
    (backstay.folder / "mended").touch()

    still = within("resume", "topics")
    ended = within("resume", "topics", "--retry-failed")

    assert still.code == 3
    assert ended.code == 0
    assert ended.out.startswith("topics: 2 of 2 completed, 0 failed")


def test_new_items_can_be_added(within, backstay):
    """`resume --accept-new-items` adds the items of a file that the job does not have."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    backstay.write("more.csv", "Gardens", "Bridges")

    ended = within("resume", "topics", "--accept-new-items", "more.csv")

    assert ended.code == 0
    assert ended.out.startswith("topics: 2 of 2 completed")
    assert "1 new item added.\n" in ended.err


def test_a_job_of_a_program_is_left_to_it(within, backstay):
    """A job whose processor is a function of a program is refused, and every message says so."""

    async def make() -> None:
        async with Backstay.open(backstay.database) as library:
            await library.batches.run("mine", [{"topic": "Tea"}, {"topic": "Salt"}], lambda _: None, limit=1)

    asyncio.run(make())

    ended = within("resume", "mine")

    assert ended.code == 2
    assert "run that program again to resume it" in ended.one_line_error()
    assert "its processor is a function of that program" in within("status", "mine").out


def test_unknown_jobs_are_named(within, backstay):
    """`resume` of an unknown job names it."""
    _stop_at_limit(within, backstay, "topics")

    ended = within("resume", "nothing")

    assert ended.code == 1
    assert ended.one_line_error() == "Job 'nothing' not found; `backstay jobs` lists all"


def test_other_commands_remind_of_what_is_unfinished(within, backstay):
    """Other commands name unfinished jobs in one line, once a day."""
    _stop_at_limit(within, backstay, "topics")
    reminder = "1 unfinished job: topics ({}, 1 of 3); continue with: backstay resume topics\n"
    state = within("status", "topics", "--json").json["state"]

    listed = within("conversations", "list")
    again = within("conversations", "list")
    _is_a_day_old(backstay)
    about_it = within("status", "topics")
    as_json = within("conversations", "list", "--json")
    after_a_day = within("conversations", "list")

    assert listed.err == after_a_day.err == reminder.format(state)
    assert (again.err, about_it.err, as_json.err) == ("", "", "")
    assert within("jobs").err == ""


def _is_a_day_old(backstay) -> None:
    stamp = backstay.folder / ".backstay" / "reminded"
    os.utime(stamp, (0, stamp.stat().st_mtime - 86_401))


def test_nothing_is_reminded_of_where_that_cannot_be_noted(within, backstay):
    """In a folder that cannot be written no command reminds of unfinished jobs except `resume`."""
    for name in ("a", "b"):
        _stop_at_limit(within, backstay, name)
    stamp = backstay.folder / ".backstay" / "reminded"
    stamp.unlink(missing_ok=True)
    stamp.symlink_to(backstay.folder / "missing" / "reminded")

    listed = within("conversations", "list")
    resumed = within("resume", "a")

    assert (listed.code, listed.err) == (0, "")
    assert resumed.code == 0
    assert resumed.err.splitlines()[-1].startswith("1 unfinished job: b (")


def test_several_unfinished_jobs_are_one_reminder(within, backstay):
    """Several unfinished jobs are one line of reminder."""
    for name in ("a", "b"):
        _stop_at_limit(within, backstay, name)
    _is_a_day_old(backstay)  # the second of them reminded of the first
    backstay.write("c.csv", "Tea")

    ended = within("run", "c.csv", "--model", "scripted")

    last = ended.err.splitlines()[-1]
    assert last.startswith("2 unfinished jobs: b (")
    assert last.endswith("; continue with: backstay resume JOB")


@pytest.mark.parametrize(("max_read", "count"), [(2, "at least 2"), (3, "2")])
def test_reminder_says_whether_there_may_be_more_jobs(within, backstay, monkeypatch, max_read, count):
    """The number of unfinished jobs is a minimum only if as many were read as are read at most."""
    for name in ("one", "two"):
        _stop_at_limit(within, backstay, name)
    _is_a_day_old(backstay)
    monkeypatch.setattr(reminders, "_MAX_JOBS_READ", max_read)

    assert within("conversations", "list").err.startswith(f"{count} unfinished jobs: ")


def test_printed_commands_reach_the_same_library(within, backstay):
    """Printed commands repeat the database and the owner of the call, quoted for a shell."""
    backstay.write("my topics.csv", "Gardens", "Bridges")

    ended = within(
        *("--database", "a b.db", "--owner", "ann's"),
        *("run", "my topics.csv", "--model", "scripted", "--limit", "1", "--concurrency", "1"),
    )

    assert ended.code == 4
    message = """backstay --database 'a b.db' --owner 'ann'"'"'s' resume 'my topics'\n"""
    assert f"Continue with: {message}" in ended.err
    assert (backstay.folder / "a b.db").exists()
    assert not backstay.database.exists()


def test_a_name_like_an_option_can_be_pasted(within, backstay):
    """A job whose name begins with a dash is printed so that the command accepts it."""
    backstay.write("topics.csv", "Gardens", "Bridges")

    ended = within("run", "topics.csv", "--job=-x", "--model", "scripted", "--limit", "1", "--concurrency", "1")

    assert "Continue with: backstay resume '\\x2dx'\n" in ended.err
    assert within("resume", "\\x2dx").code == 0


def test_status_shows_the_limits_that_a_job_keeps(within, backstay):
    """A job stores the limits of its last run, and `resume` changes them."""
    _stop_at_limit(within, backstay, "topics")

    first = within("status", "topics")
    within("resume", "topics", "--concurrency", "3", "--limit", "1")
    second = within("status", "topics")
    as_json = within("status", "topics", "--json")

    assert "  limits     1 call at once\n" in first.out
    assert "  limits     3 calls at once\n" in second.out
    assert (as_json.json["concurrency"], as_json.json["rpm"]) == (3, None)


def test_requests_are_bounded_only_where_there_are_any(within, backstay):
    """A limit on the requests of a processor is refused before a database is made."""
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", "--processor", "made:picky", "--rpm", "5")

    assert (ended.code, ended.one_line_error()) == (
        2, "--processor cannot be combined with --rpm"
    )  # fmt: skip
    assert not (backstay.folder / ".backstay").exists()
