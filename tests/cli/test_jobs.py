"""`backstay jobs`, `status`, `failed`, `retry`, `skip`, `pause`, `cancel`, `discard`."""

import pytest

from support.harness.waiting import until
from support.stores.sql import ask


@pytest.fixture
def with_failures(within, backstay):
    """Run a job of which one item fails."""
    backstay.write("topics.csv", "Gardens", "bad things")
    assert within("run", "topics.csv", "--processor", "made:picky").code == 3
    return backstay


@pytest.fixture
def stopped(within, backstay):
    """Run a job until one of its three items is completed."""
    backstay.write("topics.csv", "Gardens", "Bridges", "Tea")
    assert within("run", "topics.csv", "--model", "scripted", "--limit", "1", "--concurrency", "1").code == 4
    return backstay


@pytest.fixture
def paused_by_itself(within, backstay):
    """Create a job of three items that pauses at the second one each time."""
    backstay.write("topics.csv", "Gardens", "bad things", "Tea")
    assert within("run", "topics.csv", "--processor", "made:refused", "--concurrency", "1").code == 5
    return backstay


def test_jobs_are_listed(within, stopped):
    """Jobs are listed as one line each in a pipe and as JSON objects; --incomplete omits finished ones."""
    name = "n" * 200
    within("run", stopped.write("one.csv", "Salt"), "--job", name, "--model", "scripted")

    lines = [line.split("\t") for line in within("jobs").out.splitlines()]
    listed = within("jobs", "--json").json["jobs"]
    incomplete = within("jobs", "--incomplete", "--json").json["jobs"]

    assert [line[0] for line in lines] == [name, "topics"]
    assert lines[0][1:6] == ["completed", "1 of 1", "0", "0", "scripted"]
    assert [job["id"] for job in listed] == [name, "topics"]
    assert [job["id"] for job in incomplete] == ["topics"]


def test_no_jobs_are_an_empty_list(within, stopped):
    """Without jobs, `jobs` prints an empty list and exits with 0."""
    within("discard", "topics", "--yes")

    ended = within("jobs")

    assert (ended.code, ended.out, ended.err) == (0, "", "No jobs.\n")
    assert within("jobs", "--json").json == {"jobs": [], "waitingImports": [], "nextCursor": None}


def test_status_shows_where_a_job_stands(within, stopped):
    """`status` prints counts, settings, times and the next command."""
    ended = within("status", "topics")

    assert ended.code == 0
    assert ended.out.splitlines()[0].endswith(", 1 of 3")
    assert "1 completed, 0 failed, 0 skipped, 0 running, 2 pending" in ended.out
    assert "continue with backstay resume topics" in ended.out
    job = within("status", "topics", "--json").json
    assert (job["id"], job["planned"], job["percentage"]) == ("topics", 3, 33.3)


def test_failed_items_are_listed(within, with_failures):
    """Each failed item is shown with its last error."""
    cells = within("failed", "topics").out.rstrip("\n").split("\t")
    items = within("failed", "topics", "--json").json["items"]

    assert cells[:3] == ["i2", "processor_error.ValueError", "1"]
    assert cells[4:] == ["bad things", "ValueError: there is no bad things"]
    assert items[0].pop("failedAt").endswith("Z")
    assert items[0].pop("traceback").endswith(" in picky")
    assert items == [
        {
            "id": "i2",
            "position": 1,
            "topic": "bad things",
            "attempts": 1,
            "errorCode": "processor_error.ValueError",
            "errorMessage": "ValueError: there is no bad things",
            "raw": None,
            "editedSince": False,
        }
    ]


def test_traceback_is_shown_when_it_is_asked_for(within, with_failures):
    """`failed --traceback` prints the frames of the processor, by file, line and function."""
    without, output = within("failed", "topics").out, within("failed", "topics", "--traceback").out

    assert output.splitlines()[-1].strip().startswith("made.py:")
    assert output.endswith(" in picky\n")
    assert "made.py" not in without


def test_failure_that_was_returned_has_no_traceback(within, backstay):
    """For a failure that the processor returned, `failed --traceback` reports that no traceback is stored."""
    backstay.write("topics.csv", "Gardens")
    assert within("run", "topics.csv", "--processor", "made:declines").code == 3

    assert "(no traceback stored)" in within("failed", "topics", "--traceback").out


def test_no_failed_items_are_an_empty_list(within, stopped):
    """`failed` of a job without failures prints an empty list."""
    assert within("failed", "topics", "--json").json == {"items": [], "pauseEvidence": []}
    assert within("failed", "topics").err == "0 failed items.\n"


def test_failed_of_an_unknown_job_prints_no_half_object(within, stopped):
    """`failed --json` of an unknown job prints an error and no partial object."""
    ended = within("failed", "nothing", "--json")

    assert (ended.code, ended.out) == (1, "")
    assert ended.error["code"] == "job_not_found"


def test_status_shows_what_a_job_paused_on(within, paused_by_itself):
    """`status` names the item, the code, the message, the number of calls, and the command that shows them."""
    ended = within("status", "topics")
    evidence = within("status", "topics", "--json").json["pauseEvidence"]

    assert "  paused     the prompt was refused (refused)\n" in ended.out
    assert "  paused on  i2 (pending): refused\n" in ended.out  # what it says was said
    assert "  1 call caused the pause: backstay failed topics --raw\n" in ended.out
    assert [(item["id"], item["state"], item["errorCode"], item["raw"]) for item in evidence] == [
        ("i2", "pending", "refused", "<html>refused</html>")
    ]


def test_failed_shows_what_a_job_paused_on(within, paused_by_itself):
    """`failed --raw` lists the answers that caused the pause after the failed items; a pipe gets failed items only."""
    with_raw = within("failed", "topics", "--raw")
    piped = within("failed", "topics")
    as_json = within("failed", "topics", "--json").json

    first, *rest = with_raw.out.splitlines()
    assert first.startswith("paused on i2 (pending)  refused, attempt 1, 2")
    assert rest == ["    topic: bad things", "    the prompt was refused", "    | <html>refused</html>"]
    assert with_raw.err == "0 failed items; paused on 1 answer.\n"
    assert piped.out == ""
    assert piped.err == "0 failed items; paused on 1 answer.\nShow the answers: backstay failed topics --raw\n"
    assert as_json["items"] == []
    assert [(item["id"], item["state"]) for item in as_json["pauseEvidence"]] == [("i2", "pending")]


def test_failed_items_and_pause_evidence_are_separate_lists(within, backstay):
    """`failed --json` has one list of failed items and one of the answers that caused the pause."""
    backstay.write("topics.csv", "none at all", "bad things", "Tea")
    within("run", "topics.csv", "--processor", "made:refused", "--concurrency", "1", "--max-attempts", "1")

    output = within("failed", "topics", "--json").json
    lines = within("failed", "topics", "--raw").out

    assert [item["id"] for item in output["items"]] == ["i1"]
    assert [item["id"] for item in output["pauseEvidence"]] == ["i2"]
    assert lines.index("\npaused on i2 (pending)") > lines.index("i1  failed, attempt 1")


def test_skip_passes_an_item(within, paused_by_itself):
    """A job finishes after the item on which it pauses each time is skipped."""
    again = within("resume", "topics", "--concurrency", "1")
    skipped = within("skip", "topics", "i2")
    status = within("status", "topics")
    resumed = within("resume", "topics")

    assert again.code == 5
    assert (skipped.code, skipped.out) == (0, "topics: 1 item skipped; paused, 2 of 3.\n")
    assert skipped.err == "Continue with: backstay resume topics\n"
    assert "the prompt was refused (refused)" in status.out
    assert "paused on  i2 (skipped): refused" in status.out
    assert resumed.code == 0
    assert resumed.out.startswith("topics: 2 of 3 completed, 0 failed, 1 skipped")
    assert within("status", "topics", "--json").json["skipped"] == 1


def test_skip_refuses_what_cannot_be_skipped(within, paused_by_itself):
    """`skip` refuses completed, skipped, unknown and missing items by name, and skips none."""
    assert within("skip", "topics", "i3", "i1").one_line_error() == (
        "Item 'i1' of job 'topics' is completed; only pending and failed items can be skipped"
    )
    assert within("skip", "topics", "i3", "i9").one_line_error() == "Job 'topics' has no item 'i9'"
    assert within("skip", "topics").code == 2
    assert paused_by_itself.count("topics", "skipped") == 0
    answer = within("skip", "topics", "i2", "i3", "--json").json
    assert (answer["skipped"], answer["job"]["state"]) == (2, "completed")
    assert within("skip", "topics", "i3", "--json").error["code"] == "invalid_transition"


def test_retry_puts_items_back(within, with_failures):
    """`retry` returns all failed items, or those named, to pending."""
    unknown = within("retry", "topics", "i7")
    unfailed = within("retry", "topics", "i1")
    ended = within("retry", "topics", "i2")
    again = within("retry", "topics", "--json")

    assert (unknown.code, unknown.one_line_error()) == (1, "Job 'topics' has no item 'i7'")
    assert unfailed.code == 1
    assert "only failed items can be retried" in unfailed.one_line_error()
    assert (ended.code, ended.out) == (0, "topics: 1 item returned to pending.\n")
    assert ended.err == "Continue with: backstay resume topics\n"
    assert again.json["retried"] == 0
    assert again.json["job"]["pending"] == 1


def test_deleted_conversations_are_made_again(within, backstay):
    """`status` says how many conversations of a job were deleted, and names the command that makes them again."""
    backstay.write("topics.csv", "Gardens", "Bridges", "Tea")
    assert within("run", "topics.csv", "--model", "scripted").code == 0
    first = within("conversations", "list", "--json", "--limit", "1").json["conversations"][0]["id"]
    before = within("status", "topics")
    assert within("conversations", "delete", first, "--yes").code == 0

    status = within("status", "topics")
    detail = within("status", "topics", "--json").json
    refused = within("retry", "topics", "i1", "--deleted")
    nothing_failed = within("retry", "topics")
    retried = within("retry", "topics", "--deleted")
    again = within("retry", "topics", "--deleted", "--json")
    resumed = within("resume", "topics")

    assert "deleted" not in before.out
    assert nothing_failed.err == "To make 1 deleted conversation again: backstay retry topics --deleted\n"
    assert status.out.startswith("topics: completed, 3 of 3, 1 of them deleted\n")
    assert "  deleted    make them again with backstay retry topics --deleted\n" in status.out
    assert (detail["completed"], detail["deleted"], detail["withoutInput"]) == (3, 1, 0)
    assert refused.one_line_error() == "Choose one of --failed, --deleted, --rejected and ids of items"
    assert retried.out == "topics: 1 item returned to pending to make the deleted conversations again.\n"
    assert retried.err == "Continue with: backstay resume topics\n"
    assert (again.json["retried"], again.json["job"]["pending"]) == (0, 1)
    assert resumed.code == 0
    assert within("status", "topics").out.startswith("topics: completed, 3 of 3\n")


def test_one_deleted_conversation_is_made_again(within, backstay):
    """`retry` of an item that is completed, and whose conversation was deleted, does not call it failed."""
    backstay.write("topics.csv", "Gardens", "Bridges")
    assert within("run", "topics.csv", "--model", "scripted").code == 0
    shown = within("conversations", "list", "--json", "--limit", "1").json["conversations"][0]
    assert within("conversations", "delete", shown["id"], "--yes").code == 0

    retried = within("retry", "topics", shown["itemId"])

    assert (retried.code, retried.out) == (0, "topics: 1 item returned to pending.\n")


def test_items_without_an_input_are_not_made_again(within, backstay):
    """Of a job that an earlier version cleaned, deleted conversations cannot be made again, which one line says."""
    backstay.write("topics.csv", "Gardens", "Bridges")
    assert within("run", "topics.csv", "--model", "scripted").code == 0
    assert within("conversations", "delete", "--job", "topics", "--yes").code == 0
    ask(backstay.folder / ".backstay" / "backstay.db", "DELETE FROM input_blocks")

    status = within("status", "topics")
    retried = within("retry", "topics", "--deleted")

    reason = "an earlier version removed the inputs of 2 items; restore the backup, or run them in a new job"
    assert f"  deleted    {reason}\n" in status.out
    assert "retry topics" not in status.out
    assert (retried.code, retried.out) == (0, "topics: 0 items returned to pending.\n")
    assert retried.err == f"{reason}\n"


def test_a_retry_during_a_run_advises_no_resume(backstay):
    """Items that are retried while a worker is running the job need no `resume`: the worker processes them."""
    backstay.write("topics.csv", "bad", "good")
    process = backstay.start("run", "topics.csv", "--processor", "made:held")
    until(lambda: backstay.count("topics", "failed") == 1)

    retried = backstay("retry", "topics")
    until(lambda: backstay.count("topics", "failed") == 1)
    (backstay.folder / "let go").touch()
    process.communicate(timeout=60)

    assert (retried.code, retried.out) == (0, "topics: 1 failed item returned to pending.\n")
    assert retried.err == ""


def test_pause_stops_a_run_elsewhere(backstay):
    """`pause` ends a run in another process with 5, and the job can be resumed."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(200)))
    process = backstay.start("run", "topics.csv", "--processor", "made:slow", "--concurrency", "4")
    until(lambda: backstay.count("topics", "completed") > 0)

    paused = backstay("pause", "topics")
    _, err = process.communicate(timeout=60)

    assert paused.code == 0
    assert paused.out.startswith("topics: paused, ")
    assert process.returncode == 5
    assert "Paused: paused by the user. Continue with: backstay resume topics\n" in err.decode()
    assert backstay("pause", "topics", "--json").code == 1
    assert backstay.job("topics").pause.code == "by_user"


def test_cancel_stops_a_run_for_good(backstay):
    """`cancel` ends a run in another process with 1, and the job cannot be resumed."""
    backstay.write("topics.csv", *(f"Topic {number}" for number in range(200)))
    process = backstay.start("run", "topics.csv", "--processor", "made:slow", "--concurrency", "4")
    until(lambda: backstay.count("topics", "completed") > 0)

    cancelled = backstay("cancel", "topics", "--yes", "--json")
    _, err = process.communicate(timeout=60)

    assert cancelled.code == 0
    assert cancelled.json["state"] == "cancelled"
    assert process.returncode == 1
    assert "Cancelled; its conversations stay. Free its name with: backstay discard topics\n" in err.decode()
    resumed = backstay("resume", "topics")
    assert resumed.code == 1
    assert "Cannot resume: job 'topics' is cancelled" in resumed.one_line_error()


@pytest.mark.parametrize("verb", ["cancel", "discard"])
def test_what_cannot_be_undone_needs_yes(within, stopped, verb):
    """Without a terminal, `cancel` and `discard` need --yes."""
    ended = within(verb, "topics")
    as_json = within(verb, "topics", "--json")

    assert ended.code == 2
    assert "confirm with --yes" in ended.one_line_error()
    assert as_json.error["code"] == "confirmation_needed"
    assert stopped.job("topics").state != "cancelled"


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"\x04", 1), (b"\x03", 1), (b"y\n", 0)])
def test_a_terminal_is_asked(stopped, answer, code):
    """On a terminal only an explicit yes confirms; no, return, end of input and Ctrl-C change nothing."""
    ended = stopped.on_terminal("cancel", "topics", typed=[(b"[y/N]", answer)])

    assert "Cancel topics (" in ended.out
    assert ended.code == code
    assert (stopped.job("topics").state == "cancelled") is (code == 0)


def test_discard_says_what_stays_and_what_it_costs(stopped):
    """The question of `discard` says that conversations stay and that generating them again costs calls."""
    ended = stopped.on_terminal("discard", "topics", typed=[(b"[y/N]", b"n\n")], columns=200)

    assert ended.code == 1
    stays = "1 conversation of topics stays in the library, and a new job of the same items would generate it again"
    assert f"{stays}. Discard topics (" in ended.out
    assert ", 1 of 3) and its checkpoint? [y/N]" in ended.out


def test_discard_counts_what_was_completed(within, with_failures, backstay):
    """The question of `discard` counts only completed items, and omits the sentence if there are none."""
    backstay.write("more.csv", "Gardens", "Bridges", "bad things")
    within("run", "more.csv", "--processor", "made:picky")
    backstay.write("none.csv", "bad things")
    within("run", "none.csv", "--processor", "made:picky")

    some = within("discard", "more").one_line_error()
    none = within("discard", "none").one_line_error()

    stay = "2 conversations of more stay in the library, and a new job of the same items would generate them again"
    assert some.startswith(
        f"{stay}. Discard more (completed with failures, 3 of 3) and its checkpoint? There is no terminal"
    )
    assert none.startswith("Discard none (completed with failures, 1 of 1) and its checkpoint? There is no terminal")


def test_discard_frees_the_name(within, stopped):
    """`discard` deletes the checkpoint, keeps the conversations and frees the name."""
    ended = within("discard", "topics", "--yes")
    listed = within("conversations", "list", "--json").json["conversations"]
    again = within("run", "topics.csv", "--model", "scripted")

    assert (ended.code, ended.out) == (0, "topics: discarded; its conversations stay.\n")
    assert len(listed) == 1
    assert again.out.startswith("topics: 3 of 3 completed")
    assert within("discard", "topics", "--yes", "--json").json == {"id": "topics", "discarded": True}


def test_other_owners_jobs_are_not_seen(within, stopped):
    """A command does not find another owner's job; the environment can name the owner."""
    ended = within("--owner", "ann", "status", "topics", "--json")

    assert ended.code == 1
    assert ended.error["code"] == "job_not_found"
    assert stopped("jobs", "--json", BACKSTAY_OWNER="ann").json == {
        "jobs": [],
        "waitingImports": [],
        "nextCursor": None,
    }
