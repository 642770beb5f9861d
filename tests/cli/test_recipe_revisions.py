"""`backstay resume` with another recipe, and `backstay items`: shown first, asked, then followed for what is left."""

import json

import pytest

from support.fakes.provider import ProviderServer, Said, Status
from support.harness.waiting import until

_ALL, _DONE = 5, 2


@pytest.fixture
def provider():
    with ProviderServer() as server:
        yield server


@pytest.fixture
def job(within, backstay, provider):
    """Run a job with a recipe until 2 of its 5 items are completed."""
    topics = backstay.write("topics.csv", *(f"topic {n}" for n in range(_ALL)))
    _write_recipe(backstay, provider, "first.toml", 'model = "first"\ntemperature = 0.7\n')
    assert within("run", topics, "--recipe", "first.toml", "--limit", str(_DONE), "--concurrency", "1").code == 4
    return "topics"


def _write_recipe(backstay, provider, name, text):
    (backstay.folder / name).write_text(f'{text}base_url = "{provider.base_url}"\nturns = 2\n')
    return name


def _models(provider):
    return [call.body["model"] for call in provider.calls]


def test_a_new_recipe_is_shown_and_then_followed(within, backstay, provider, job):
    """`resume --recipe` shows each field that differs and what it applies to, and the rest is generated with it."""
    _write_recipe(backstay, provider, "new.toml", 'model = "second"\n')

    ended = within("resume", "--recipe", "new.toml", "--yes")

    assert ended.code == 0, ended.err
    assert (
        "Revision 2 of the recipe of topics:\n"
        "  model: first, now second\n"
        "  temperature: 0.7, now none\n"
        "It applies to 3 items that are not settled: 3 calls, about "
    ) in ended.err
    assert " tokens in and 600 out, estimated from lengths.\ntopics: revision 2 of its recipe.\n" in ended.err
    assert ended.out.startswith("topics: 5 of 5 completed")
    assert _models(provider) == ["first"] * 2 + ["second"] * 3
    status = within("status", job)
    assert ", 2 turns, revision 2\n" in status.out


def test_single_fields_can_be_changed(within, provider, job):
    """--model, --temperature and --max-tokens change these fields of the job's recipe, and no others."""
    ended = within("resume", "--model", "second", "--temperature", "0.2", "--max-tokens", "99", "--yes", "--json")

    assert ended.code == 0, ended.err
    assert ended.json["job"]["revision"] == 2
    recipe = ended.json["job"]["recipe"]
    assert (recipe["model"], recipe["temperature"], recipe["max_tokens"], recipe["turns"]) == ("second", 0.2, 99, 2)
    assert provider.calls[-1].body["temperature"] == 0.2


def test_a_dry_run_changes_nothing(within, backstay, provider, job):
    """With --dry-run nothing is stored and no model is called; with --json it prints the plan."""
    shown = within("resume", job, "--model", "second", "--dry-run")
    as_json = within("resume", job, "--model", "second", "--retry-failed", "--dry-run", "--json")

    assert shown.code == 0
    assert shown.out.startswith(
        "Revision 2 of the recipe of topics:\n  model: first, now second\nIt applies to 3 items"
    )
    plan = as_json.json
    assert (plan["jobId"], plan["revision"], plan["differences"]) == ("topics", 2, ["model: first, now second"])
    assert (plan["items"], plan["failed"], plan["calls"], plan["hasWorkers"]) == (3, 0, 3, False)
    assert len(provider.calls) == _DONE
    assert backstay.job(job).revision == 1


def test_the_same_recipe_only_resumes(within, provider, job):
    """A recipe that does not differ is reported, needs no confirmation, and the job is resumed."""
    ended = within("resume", "--recipe", "first.toml")

    assert ended.code == 0, ended.err
    assert "Nothing differs from the recipe of topics (revision 1).\n" in ended.err
    assert len(provider.calls) == _ALL


def test_without_a_terminal_it_needs_yes(within, backstay, provider, job):
    """Without a terminal a revision needs --yes."""
    ended = within("resume", "--model", "second")

    assert ended.code == 2
    assert ended.err.endswith(
        "Revise the recipe of topics for what is left? There is no terminal to confirm on; confirm with --yes\n"
    )
    assert (len(provider.calls), backstay.job(job).revision) == (_DONE, 1)


@pytest.mark.parametrize(("answer", "revision"), [(b"y\n", 2), (b"n\n", 1)])
def test_on_a_terminal_it_asks(backstay, provider, job, answer, revision):
    """On a terminal the revision is stored after a yes, and nothing is changed after a no."""
    ended = backstay.on_terminal("resume", "--model", "second", typed=[(b"[y/N]", answer)], columns=200)

    assert "model: first, now second" in ended.out
    assert backstay.job(job).revision == revision
    assert len(provider.calls) == (_ALL if revision == 2 else _DONE)


def test_an_item_that_lacks_a_column_is_named(within, backstay, provider, job):
    """A recipe with a column that the items lack is refused with the first item, and changes nothing."""
    _write_recipe(backstay, provider, "needy.toml", 'model = "first"\nprompt = "{{ topic }}, for {{ audience }}"\n')

    ended = within("resume", "--recipe", "needy.toml", "--yes")

    assert ended.code == 2
    assert "(line 4 of the input)" in ended.one_line_error()
    assert "audience" in ended.one_line_error()
    assert backstay.job(job).revision == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--dry-run",),
            "--dry-run belongs to a change of the recipe; name one with --recipe, --model, --temperature ",
        ),
        (("--yes",), "--yes belongs to a change of the recipe"),
        (("--model", "x", "--accept-new-items", "topics.csv"), "A recipe cannot be revised together with --accept-new"),
        (("--recipe", "none.toml"), "Recipe none.toml not found"),
        (("--temperature", "9"), "temperature is wrong"),
    ],
)
def test_options_that_contradict_each_other_are_refused(within, backstay, job, words, message):
    """Options that make no sense together, or a recipe that cannot be used, are refused in one line."""
    ended = within("resume", job, *words)

    assert ended.code == 2
    assert message in ended.one_line_error()
    assert backstay.job(job).revision == 1


def test_a_job_with_another_processor_has_no_recipe(within, backstay):
    """A job with a processor refuses a recipe in one line."""
    within("run", backstay.write("few.csv", "a", "b"), "--model", "scripted", "--limit", "1")

    ended = within("resume", "few", "--model", "openai:x", "--yes")

    assert ended.code == 2
    assert ended.one_line_error() == ("Job 'few' has no recipe to revise: its conversations come from 'scripted'")


def test_the_original_command_does_not_go_back(within, backstay, provider, job):
    """After a revision `run` with the original recipe is refused with the revision and its time."""
    assert within("resume", "--model", "second", "--limit", "1", "--yes").code == 4

    ended = within("run", "topics.csv", "--recipe", "first.toml")

    assert ended.code == 1
    assert "Job 'topics' exists with revision 2 of its recipe, since 20" in ended.one_line_error()
    assert "and this is revision 1: model: second, now first; `backstay resume topics` continues" in ended.err
    assert len(provider.calls) == _DONE + 1


def test_a_revision_is_refused_while_a_worker_is_alive(within, backstay, provider, job):
    """While another process works on the job, a revision is refused with the command that pauses the job."""
    provider.behaviour = lambda call: Said(seconds=600)
    worker = backstay.start("resume", job)
    until(lambda: len(provider.calls) > _DONE)

    ended = within("resume", job, "--model", "second", "--yes")

    worker.kill()
    worker.wait()
    assert ended.code == 1
    assert ended.err.endswith(
        "Cannot revise its recipe: a worker is running job 'topics'; `backstay pause topics` pauses its job\n"
    )
    assert backstay.job(job).revision == 1


# -- items -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(within, backstay, provider):
    """Run a job of which one item fails, and return its id."""
    rows = [{"id": "a", "topic": "bad", "level": 3, "audience": "all"}, {"id": "b", "topic": "good"}]
    (backstay.folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    provider.behaviour = lambda call: Status(400) if call.topic == "bad" else Said()
    options = ("--model", "m", "--base-url", provider.base_url, "--turns", "2")
    assert within("run", "people.jsonl", *options).code == 3
    return "a"


def test_an_item_is_edited_and_retried(within, backstay, provider, failed):
    """`items edit --retry` changes topic, persona and parameters, and a resume generates the edited item."""
    shown = within("items", "show", "people", failed)
    changes = (
        "--topic",
        "better",
        "--persona",
        "a keeper",
        "--set",
        "level=4",
        "--set",
        "note=3",
        "--unset",
        "audience",
    )
    edited = within("items", "edit", "people", failed, *changes, "--retry")
    resumed = within("resume", "people")

    assert shown.out == "a (failed)\n  topic: bad\n  level: 3\n  audience: all\n"
    assert edited.code == 0, edited.err
    assert edited.out == "a (pending, edited)\n  topic: better\n  persona: a keeper\n  level: 4\n  note: 3\n"
    assert "Continue with: backstay resume people\n" in edited.err
    assert resumed.code == 0, resumed.err
    assert provider.calls[-1].topic == "better"


def test_an_edited_item_is_printed_as_json(within, failed):
    """With --json the item has its content: numbers stay numbers, and text stays text."""
    edited = within("items", "edit", "people", failed, "--set", "level=[1]", "--set", "note=3", "--json")

    assert edited.json["parameters"] == {"level": [1], "audience": "all", "note": "3"}
    assert (edited.json["state"], edited.json["edited"]) == ("failed", True)


def test_an_item_that_failed_before_its_edit_says_so(within, backstay, provider, failed):
    """The error of an item that was edited since is marked, until the edited item fails itself."""
    before = within("failed", "people", "--raw").out
    within("items", "edit", "people", failed, "--set", "level=4")
    edited, as_json = within("failed", "people", "--raw").out, within("failed", "people", "--json").json
    within("resume", "people", "--retry-failed")

    assert "edited since" not in before
    assert "; edited since, not retried yet\n" in edited
    assert as_json["items"][0]["editedSince"] is True
    assert "edited since" not in within("failed", "people", "--raw").out


def test_a_new_parameter_is_pointed_out(within, failed):
    """A parameter that the item does not have is pointed out with the nearest name, and can be removed as it says."""
    edited = within("items", "edit", "people", failed, "--set", "audiance=children")
    removed = within("items", "edit", "people", failed, "--unset", "audiance")

    assert (
        "audiance is a new parameter of this item; did you mean audience? --unset audiance removes it.\n"
    ) in edited.err
    assert "new parameter" not in within("items", "edit", "people", failed, "--set", "audience=children").err
    assert removed.code == 0


def test_failed_items_that_stay_failed_are_named(within, backstay, provider, failed):
    """A plan says that failed items stay failed and which option retries them, which then does; a changed prompt is
    shown by line."""
    new = _write_recipe(backstay, provider, "new.toml", 'model = "m"\nprompt = "Write.\\nAbout {{ topic }}"\n')
    (backstay.folder / "newer.toml").write_text((backstay.folder / new).read_text().replace("About", "On"))

    shown = within("resume", "people", "--recipe", new, "--dry-run")
    with_failed = within("resume", "people", "--recipe", new, "--dry-run", "--retry-failed")
    within("resume", "people", "--recipe", new, "--yes")
    changed = within("resume", "people", "--recipe", "newer.toml", "--dry-run")

    assert "It applies to 0 items that are not settled: 0 calls" in shown.out
    assert "\n1 failed item stays failed without --retry-failed.\n" in shown.out
    assert "and 1 failed item: 1 call" in with_failed.out
    assert "without --retry-failed" not in with_failed.out
    assert "\n   Write.\n  -About {{ topic }}\n  +On {{ topic }}\n" in changed.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("a",), 2, "Nothing to change; give --topic, --persona, --set or --unset"),
        (("a", "--set", "level"), 2, "--set takes NAME=VALUE, not 'level'"),
        (("a", "--set", "level=three"), 2, "The parameter 'level' is not text, so its new value must be JSON"),
        (("a", "--unset", "none"), 1, "The item has no parameter 'none'"),
        (("a", "--topic", " "), 1, "The topic is empty"),
        (
            ("b", "--topic", "x"),
            1,
            "Item 'b' of job 'people' is completed; only pending and failed items can be edited",
        ),
        (("none", "--topic", "x"), 1, "Job 'people' has no item 'none'"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(within, failed, words, code, message):
    """An edit that cannot be made is refused in one line."""
    ended = within("items", "edit", "people", *words)

    assert ended.code == code
    assert message in ended.one_line_error()


def test_the_same_input_keeps_an_edit(within, backstay, provider, failed):
    """The original command after an edit neither refuses the input nor undoes the edit."""
    within("items", "edit", "people", failed, "--topic", "better", "--retry")

    ended = within("run", "people.jsonl", "--model", "m", "--base-url", provider.base_url, "--turns", "2")

    assert ended.code == 0, ended.err
    assert provider.calls[-1].topic == "better"
