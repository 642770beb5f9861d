"""`backstay conversations regenerate`."""

import pytest


@pytest.fixture
def made(within, backstay):
    """Create two conversations of a job that keeps its inputs, since a third item has failed; return their ids."""
    within("run", backstay.write("topics.csv", "Gardens", "Tea", "a bad one"), "--processor", "made:picky")
    return _ids(within)


def _ids(within):
    return {item["topic"]: item["id"] for item in within("conversations", "list", "--json").json["conversations"]}


def test_conversations_are_made_again(within, made):
    """The command backs up, makes again, and prints the commands to export and to undo; the undo restores the old."""
    again = within("conversations", "regenerate", "--job", "topics", "--model", "scripted", "--yes")
    new = _ids(within)
    undo = again.err.strip().splitlines()[-1].removeprefix("Undo with: backstay ").split()
    undone = within(*undo, "--yes")

    assert (again.code, again.out) == (0, again.out)
    assert again.out.startswith("topics-again-1: 2 of 2 completed, 0 failed, 0 skipped")
    assert "Export them with: backstay conversations export --job topics -o" in again.err
    assert set(new.values()).isdisjoint(made.values())
    assert undone.code == 0
    assert "2 conversations restored, 2 of them in place of stored ones" in undone.out
    assert _ids(within) == made


def test_the_result_is_one_object(within, made):
    """With --json the result has the backup, the command that undoes it, and one run for each job."""
    result = within("conversations", "regenerate", "--all", "--model", "scripted", "--yes", "--json").json
    (backup,) = within("backups", "list", "--json").json["backups"]
    job = within("status", "topics-again-1", "--json").json

    assert result["undo"] == f"backstay conversations regenerate --undo {result['backupId']}"
    assert [(run["job"]["id"], run["job"]["completed"], run["ending"]) for run in result["runs"]] == [
        ("topics-again-1", 2, "finished")
    ]
    assert (backup["reason"], backup["conversationCount"]) == ("before_regenerate", 2)
    assert job["regenerates"] == {"jobId": "topics", "backupId": result["backupId"]}


def test_a_dry_run_changes_nothing(within, made):
    """A dry run prints jobs, calls and tokens; nothing is backed up or made."""
    text = within("conversations", "regenerate", "--all", "--model", "ollama:llama3", "--dry-run")
    plan = within("conversations", "regenerate", "--all", "--model", "ollama:llama3", "--dry-run", "--json").json

    assert text.code == 0
    assert "2 conversations, about" in text.out
    assert "  topics: 2 calls or more of ollama:llama3, about" in text.out
    (job,) = plan["jobs"]
    assert (job["jobId"], job["processor"], job["conversations"]) == ("topics", "ollama:llama3", 2)
    assert job["tokensIn"] == plan["tokensIn"] > 0
    assert plan["problems"] == []
    assert within("backups", "list", "--json").json["backups"] == []
    assert _ids(within) == made


def test_a_recipe_that_cannot_use_an_item_is_refused(within, backstay, made):
    """A recipe that needs a column that the items lack is refused with the conversations named, and nothing is done."""
    (backstay.folder / "new.toml").write_text('model = "ollama:x"\nprompt = "For {{ audience }}: {{ topic }}"\n')

    shown = within("conversations", "regenerate", "--all", "--recipe", "new.toml", "--dry-run")
    refused = within("conversations", "regenerate", "--all", "--recipe", "new.toml", "--yes")

    assert (shown.code, refused.code) == (2, 2)
    assert "2 made from an input that the recipe cannot use" in shown.out
    assert "Nothing is made again, since 2 of 2 selected conversations cannot be" in refused.err
    assert made["Tea"] in refused.err
    assert within("backups", "list", "--json").json["backups"] == []


def test_it_asks(within, made):
    """Without a terminal, the command needs --yes; it has printed the plan."""
    refused = within("conversations", "regenerate", made["Tea"], "--model", "scripted")

    assert refused.code == 2
    assert "  topics: 1 call or more of scripted" in refused.err
    assert "confirm with --yes" in refused.err


def test_nothing_selected_is_no_error(within, made):
    """A selection that matches nothing is done at once; an unknown job is an error."""
    nothing = within("conversations", "regenerate", "--search", "no such text", "--yes")
    unknown = within("conversations", "regenerate", "--job", "nowhere", "--yes")

    assert (nothing.code, nothing.out) == (0, "Nothing to make again.\n")
    assert unknown.code == 1
    assert "Job 'nowhere' not found" in unknown.err


def test_an_undo_takes_no_selection(within, made):
    """--undo with a selection or a model is wrong usage; a backup of nothing replaced is refused."""
    both = within("conversations", "regenerate", "--all", "--undo", "backup-1-a", "--yes")
    within("backups", "create", "--all")
    backup = within("backups", "list", "--json").json["backups"][0]["backupId"]
    nothing = within("conversations", "regenerate", "--undo", backup, "--yes")

    assert both.code == 2
    assert "--undo takes a backup, and no other selection" in both.err
    assert nothing.code == 2
    assert "is replaced by another one" in nothing.err


def test_failures_leave_the_old_ones(within, backstay):
    """If attempts fail, the status is 3, the old conversations stay, and the failures are listed as of any job."""
    mended = backstay.folder / "mended"
    mended.touch()
    topics = backstay.write("topics.csv", "a bad one", "Tea", "later")
    within("run", topics, "--processor", "made:picky", "--limit", "2", "--concurrency", "1")
    old = _ids(within)
    mended.unlink()

    again = within("conversations", "regenerate", "--all", "--yes")

    assert again.code == 3
    assert again.out.startswith("topics-again-1: 1 of 2 completed, 1 failed, 0 skipped")
    assert "Show why they failed: backstay failed topics-again-1" in again.err
    assert _ids(within)["a bad one"] == old["a bad one"]


def test_a_conversation_shows_what_it_replaced(within, made):
    """`show` names the replaced conversation and its backup; the old one is reported as replaced."""
    result = within("conversations", "regenerate", made["Tea"], "--model", "scripted", "--yes", "--json").json
    new = _ids(within)["Tea"]
    text = within("conversations", "show", new)
    shown = within("conversations", "show", new, "--json").json
    gone = within("conversations", "show", made["Tea"])

    assert f"replaced  {made['Tea']}, which {result['backupId']} holds" in text.out
    assert (shown["madeAgainFrom"]["oldId"], shown["replacedBy"]) == (made["Tea"], None)
    assert gone.code == 1
    assert f"it was made again as '{new}', and {result['backupId']} holds it" in gone.err


def test_rejected_conversations_are_made_again(within, backstay):
    """`retry --rejected` asks, backs up, and creates the job that makes them again when it is resumed."""
    within("run", backstay.write("topics.csv", "Gardens", "Tea", "Bridges"), "--model", "scripted")
    old = _ids(within)
    within("conversations", "reject", old["Tea"], old["Bridges"])

    asked = within("retry", "topics", "--rejected")
    retried = within("retry", "topics", "--rejected", "--yes")
    waiting = _ids(within)
    twice = within("retry", "topics", "--rejected", "--yes")
    resumed = within("resume", "topics-again-1")
    new = _ids(within)
    nothing = within("retry", "topics", "--rejected", "--json").json

    assert (asked.code, "Back up 2 conversations, and make them again?" in asked.err) == (2, True)
    assert retried.out == "topics-again-1: 2 rejected conversations of topics to make again.\n"
    assert retried.err.splitlines()[-1] == "Continue with: backstay resume topics-again-1"
    assert waiting == old
    assert (twice.code, "2 being made again already" in twice.err) == (2, True)
    assert (resumed.code, resumed.out) == (0, resumed.out)
    assert {topic for topic in old if new[topic] != old[topic]} == {"Tea", "Bridges"}
    assert within("conversations", "list", "--rejected", "--json").json["conversations"] == []
    assert (nothing["retried"], nothing["job"]["id"]) == (0, "topics")


def test_failed_rejected_and_deleted_exclude_each_other(within, backstay):
    """`retry --failed` is what `retry` does by default; two of the options at once are wrong usage."""
    within("run", backstay.write("topics.csv", "Tea", "a bad one"), "--processor", "made:picky")

    failed = within("retry", "topics", "--failed")
    both = within("retry", "topics", "--failed", "--rejected")
    unknown = within("retry", "nowhere", "--rejected", "--yes")

    assert failed.out == "topics: 1 failed item returned to pending.\n"
    assert both.code == 2
    assert (unknown.code, "Job 'nowhere' not found" in unknown.err) == (1, True)
