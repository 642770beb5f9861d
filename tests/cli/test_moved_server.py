"""A job whose server has moved: messages, and resuming at the new address without paying twice."""

import json
from contextlib import ExitStack

import pytest

from support.fakes.provider import ProviderServer, Said, Sent, Status, well

_DONE, _ALL = 16, 40


@pytest.fixture
def closing():
    """Return a function that closes the server at the old address; the test's end closes it, too."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def before(closing):
    """Start the server at the address that the job stores."""
    return closing.enter_context(ProviderServer())


@pytest.fixture
def now():
    """Start the same model at another address."""
    with ProviderServer() as server:
        yield server


@pytest.fixture
def job(within, backstay, before):
    """Run a job until 16 of its 40 items are completed."""
    topics = backstay.write("mv.csv", *(f"topic {n}" for n in range(_ALL)))
    words = ("--model", "m", "--base-url", before.base_url, "--turns", "2", "--limit", str(_DONE))
    assert within("run", topics, *words).code == 4
    assert len(before.calls) == _DONE
    return "mv"


def _topics(server):
    return sorted(call.topic for call in server.calls)


def _exported(within):
    lines = within("conversations", "export", "--job", "mv").out.splitlines()
    return [json.loads(line)["messages"][1]["content"].rpartition(" about ")[2] for line in lines]


_AT_THE_OLD_ADDRESS = {
    "unreachable": None,
    "unknown_address": Status(404, "<html>no</html>"),
    "no_chat_completions": Status(405, "<html>no</html>"),
    "html_answer": Sent(b"<!DOCTYPE html><p>Hello", "text/html"),
    "redirected": Status(301, headers={"Location": "http://127.0.0.1:1/"}),
}


@pytest.mark.parametrize("code", _AT_THE_OLD_ADDRESS)
def test_what_the_pause_says_finishes_the_job(code, within, job, before, closing, now, monkeypatch):
    """`resume --base-url` sends the remaining items to the new address, and no completed ones."""
    monkeypatch.setattr("backstay.generate.provider_trouble._UNPROVEN_SECONDS", 0.5)
    result = _topics(before)
    if code == "unreachable":
        closing.close()
    before.behaviour = lambda _: _AT_THE_OLD_ADDRESS[code]

    paused = within("resume", job)
    why = within("status", job, "--json").json["pause"]
    ended = within("resume", job, "--base-url", now.base_url)

    assert (paused.code, why["code"]) == (5, code)
    assert paused.err.splitlines()[-2 if "--raw" in paused.err else -1].endswith(
        f"Continue with: backstay resume {job}; at another address with: backstay resume {job} --base-url URL"
    )
    assert ended.code == 0, ended.err
    assert ended.err.startswith(f"openai, at {now.base_url}; ")
    assert ended.out.startswith("mv: 40 of 40 completed, 0 failed")
    assert sorted(result + _topics(now)) == sorted(f"topic {n}" for n in range(_ALL))
    assert sorted(_exported(within)) == sorted(f"topic {n}" for n in range(_ALL))


def test_control_a_new_job_there_asks_for_all_of_it_again(within, job, now):
    """Without the option, a new job at the new address generates completed items again."""
    within("discard", job, "--yes")

    ended = within("run", "mv.csv", "--model", "m", "--base-url", now.base_url, "--turns", "2")

    assert ended.code == 0
    assert len(now.calls) == _ALL
    assert len(_exported(within)) == _ALL + _DONE


def test_an_address_is_for_one_run(within, job, before, now):
    """The printed command repeats --base-url; a plain `resume` uses the stored address."""
    ended = within("resume", job, "--base-url", now.base_url, "--limit", "4")
    stored = within("status", job, "--json").json["recipe"]["base_url"]
    back = within("resume", job)

    assert ended.code == 4
    assert f"Continue with: backstay resume mv --base-url {now.base_url}\n" in ended.err
    assert stored == before.base_url
    assert back.code == 0
    assert back.err.startswith(f"openai, at {before.base_url}; ")
    assert (len(before.calls), len(now.calls)) == (_ALL - 4, 4)


def test_failed_items_are_tried_again_there(within, job, now):
    """The printed command that retries failed items repeats --base-url."""
    now.behaviour = lambda call: Status(400) if call.topic == "topic 39" else Said()

    failed = within("resume", job, "--base-url", now.base_url)
    now.behaviour = well
    ended = within("resume", job, "--retry-failed", "--base-url", now.base_url)

    assert failed.code == 3
    assert f"Retry them with: backstay resume mv --retry-failed --base-url {now.base_url}\n" in failed.err
    assert ended.code == 0
    assert ended.out.startswith("mv: 40 of 40 completed, 0 failed")


def test_the_environment_names_no_other_address_then(within, backstay, now, before, monkeypatch):
    """--base-url of `resume` overrides the environment for a recipe without an address, like that of `run`."""
    monkeypatch.setenv("OPENAI_BASE_URL", before.base_url)
    topics = backstay.write("mv.csv", "a", "b")
    assert within("run", topics, "--model", "openai:m", "--turns", "2", "--limit", "1").code == 4

    pasted = now.base_url.removesuffix("/v1")
    ended = within("resume", "--base-url", f"{pasted}/v1/chat/completions")
    again = within("run", topics, "--job", "again", "--model", "openai:m", "--turns", "2", "--base-url", pasted)

    assert (ended.code, again.code) == (0, 0)
    assert ended.err.startswith(f"openai, at {now.base_url}; ")
    assert (len(before.calls), len(now.calls)) == (1, 3)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("localhost:8000", "must begin with http:// or https://"),
        ("http://h/v1?api_key=abc", "carries a credential in its query"),
        ("http://me:secret@h/v1", "carries a user name"),
        ("http://h/openai/deployments/d", "lacks its api-version"),
        (" ", "base_url is wrong: it must not be empty"),
    ],
)
def test_an_address_is_refused_as_run_refuses_it(within, job, base_url, says):
    """`resume` refuses an invalid --base-url like `run`, in one line and without a change."""
    by_run = within("run", "mv.csv", "--job", "other", "--model", "m", "--base-url", base_url)
    refused = within("resume", job, "--base-url", base_url)

    assert (by_run.code, refused.code) == (2, 2)
    assert says in by_run.one_line_error()
    assert refused.one_line_error() == by_run.one_line_error().replace("the recipe:", "the job's recipe:")
    assert "secret" not in refused.err
    assert within("status", job, "--json").json["completed"] == _DONE


@pytest.mark.parametrize("processor", [("--model", "scripted"), ("--processor", "made:good")])
def test_what_follows_no_recipe_has_no_address(processor, within, backstay):
    """`resume --base-url` of a job without a recipe is refused before any work."""
    within("run", backstay.write("t.csv", "a", "b"), *processor, "--limit", "1", "--concurrency", "1")

    refused = within("resume", "--base-url", "http://localhost:8001/v1")

    assert refused.code == 2
    assert refused.one_line_error() == ("This run of job 't' uses no recipe, so a base URL has no effect; leave it out")
    assert backstay.count("t", "completed") == 1


def test_the_same_command_with_another_address_names_resume(within, job, now):
    """`run` with another --base-url refuses the changed recipe and names `resume --base-url`."""
    words = ("run", "mv.csv", "--model", "m", "--base-url", now.base_url, "--turns")

    moved = within(*words, "2")
    longer = within(
        *words[:4], "--base-url", within("status", job, "--json").json["recipe"]["base_url"], "--turns", "4"
    )

    says = "`backstay resume mv` continues with its own recipe"
    assert f"{says}, and with --base-url at another address; --recipe FILE revises it" in moved.one_line_error()
    assert f"{says}; --recipe FILE revises it; choose" in longer.one_line_error()
    assert now.calls == []
