"""`backstay run` with a model: recipes, dry runs, what is said of each mistake, and going on after it is mended."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from support.provider import KEY, ProviderServer, Said, Sent, Status
from support.waiting import until


@pytest.fixture
def provider():
    with ProviderServer() as server:
        yield server


@pytest.fixture
def topics(backstay):
    return backstay.write("topics.csv", *(f"topic {n}" for n in range(40)))


def _recipe(backstay, text, name="r.toml"):
    (backstay.folder / name).write_text(text)
    return name


def test_init_dry_run_run_export(backstay, provider):
    """The way a new user goes: files to begin with, a look at the prompts, the run, the result."""
    assert backstay("init").code == 0
    shown = backstay("run", "topics.csv", "--recipe", "recipe.toml", "--dry-run", "2")
    assert shown.code == 0
    assert "A parcel that has not arrived" in shown.out
    assert "6 items for openai:gpt-4o-mini at api.openai.com: about" in shown.out
    assert not backstay.database.exists()

    ran = backstay("run", "topics.csv", "--recipe", "recipe.toml", "--base-url", provider.base_url, OPENAI_API_KEY=KEY)

    assert ran.code == 0, ran.err
    assert "6 of 6 completed, 0 failed, 0 skipped, 600 + 300 tokens" in ran.out
    lines = backstay("conversations", "export", "--job", "topics").out.splitlines()
    assert [message["role"] for message in json.loads(lines[0])["messages"]] == ["user", "assistant"] * 2


def test_the_starting_recipe_works_with_a_file_of_ones_own(within, backstay):
    """A file with a column of topics and nothing else is all that the recipe of `init` needs."""
    within("init")
    (backstay.folder / "own.csv").write_text("topic\nRain\n")

    shown = within("run", "own.csv", "--recipe", "recipe.toml", "--dry-run")

    assert (shown.code, "about: Rain\n" in shown.out) == (0, True)


@pytest.mark.parametrize("turns, said", [(1, "With 1 turn each"), (3, "With 3 turns each"), (4, None)])
def test_an_odd_number_of_turns_is_said_before_anything_is_asked(backstay, provider, turns, said):
    """Each conversation would end with the user; a dry run says so and so does a run, which goes on."""
    backstay.write("t.csv", "Rain")
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\nturns = {turns}\n')

    shown = backstay("run", "t.csv", "--recipe", recipe, "--dry-run")
    ran = backstay("run", "t.csv", "--recipe", recipe, "--json")

    assert [shown.code, ran.code, len(provider.calls)] == [0, 0, 1]
    for ended in (shown, ran):
        assert ("each conversation ends with the user" in ended.err) == (said is not None)
        assert said is None or ended.err.startswith(said)


def test_init_makes_its_folder(within, backstay):
    """However deep."""
    assert within("init", "new/er").code == 0
    assert sorted(path.name for path in (backstay.folder / "new" / "er").iterdir()) == ["recipe.toml", "topics.csv"]


def test_init_touches_nothing_that_is_there(within, backstay):
    """One line, and neither file is written."""
    (backstay.folder / "topics.csv").write_text("mine")

    refused = within("init")

    assert refused.code == 1
    assert "exists already" in refused.one_line_error()
    assert not (backstay.folder / "recipe.toml").exists()


def test_a_dry_run_calls_nobody(within, topics, provider, backstay):
    """Without a number it shows three; as JSON it has the estimate; no database is made."""
    plain = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--dry-run")
    told = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--dry-run", "1", "--json")

    assert plain.out.count("user:") == 3
    assert len(told.json["prompts"]) == 1
    assert told.json["items"] == 40
    assert told.json["tokensIn"] > 40
    assert provider.calls == []
    assert not backstay.database.exists()


_MISTAKES = {
    "typo": ('model = "openai:x"\ntemprature = 1', [], "did you mean temperature?"),
    "endless": (
        'model = "ollama:x"\nprompt = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"',
        [],
        "takes more than 20,000 steps",
    ),
    "internals": ('model = "ollama:x"\nprompt = "{{ topic.__class__.__mro__ }}"', [], "topics.csv line 2: the prompt"),
    "variable": (
        'model = "ollama:x"\nprompt = "{{ topic }} {{ tone }}"',
        [],
        "topics.csv line 2: the prompt uses a missing value",
    ),
    "key": ('model = "openai:x"', [], "OPENAI_API_KEY"),
    "other key": ('model = "m"\nbase_url = "http://h/v1"\napi_key_env = "MY_KEY"', [], "MY_KEY"),
    "credential": ('model = "openai:x"\n[parameters]\napi_key = "abc"', [], "carries a credential"),
    "scheme": ('model = "x"', ["--base-url", "localhost:8000"], "must begin with http:// or https://"),
    "query": ('model = "x"', ["--base-url", "http://h/v1?api_key=abc"], "carries a credential in its query"),
    "header": ('model = "openai:x"\n[headers]\nX-Api-Key = "abc"', [], "set key_header"),
    "stream": ('model = "openai:x"\n[parameters]\nstream = true', [], "set stream = true in the recipe itself"),
    "both": ('model = "openai:x"', ["--processor", "made:good"], "cannot be combined with --recipe"),
    "scripted": ("turns = 4", ["--model", "scripted"], "follows no recipe"),
    "turns": ('model = "openai:x"', ["--turns", "0"], "turns is wrong"),
    "toml": ("model = ", [], "not valid TOML"),
}


@pytest.mark.parametrize("name", _MISTAKES)
def test_a_mistake_is_one_clear_line(name, within, backstay, topics, monkeypatch):
    """It says what, where and how to mend it, ends with 2, and no job is made."""
    text, options, says = _MISTAKES[name]
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)

    refused = within("run", topics, "--recipe", _recipe(backstay, text), *options)

    assert refused.code == 2, refused.err
    assert says in refused.one_line_error()
    assert backstay.job("topics") is None


def test_a_row_that_lacks_a_variable_is_named(within, backstay):
    """The first row that lacks it, by its line."""
    rows = [{"topic": "a", "mood": "calm"}, {"topic": "b"}]
    (backstay.folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    recipe = _recipe(backstay, 'model = "ollama:x"\nprompt = "{{ mood }}"')

    refused = within("run", "t.jsonl", "--recipe", recipe)

    assert refused.one_line_error().startswith("t.jsonl line 2: the prompt uses a missing value: 'mood'")


_PAUSES = {
    "key": (Status(401), "requires one (401); put it into OPENAI_API_KEY"),
    "model": (Status(404, {"error": {"code": "model_not_found"}}), "has no model 'm'"),
    "quota": (Status(429, {"error": {"type": "insufficient_quota"}}), "The quota or balance"),
    "page": (Sent(b"<html><body>Welcome</body></html>", "text/html"), "answered with a web page instead of JSON"),
}


@pytest.mark.parametrize("name", _PAUSES)
def test_doom_ends_with_5_and_says_what_to_do(name, within, topics, provider):
    """And `resume` finishes the job once it is mended."""
    reply, says = _PAUSES[name]
    provider.behaviour = lambda _: reply

    paused = within("run", topics, "--model", "m", "--base-url", provider.base_url)

    assert paused.code == 5
    assert says in paused.err
    assert "Continue with: backstay resume topics" in paused.err
    assert len(provider.calls) <= 20
    provider.behaviour = lambda _: Said()
    assert within("resume").code == 0


def test_what_no_try_can_mend_is_not_to_be_tried_again(within, topics, provider):
    """The message speaks of a new job, as the recipe is frozen; a command with the job's name shows the answers."""
    provider.behaviour = lambda call: Said(finish="length") if call.topic == "topic 3" else Said()

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url)
    status, failed = within("status", "topics"), within("failed", "topics")

    assert ended.code == 3
    assert ended.err.count("backstay failed topics --raw") == 1
    assert "--retry-failed" not in ended.err
    assert status.out.count("backstay failed topics --raw") == 1
    assert "start a new job with a higher `max_tokens`, or with fewer turns" in failed.out
    assert failed.err == "1 failed item.\nShow the answers: backstay failed topics --raw\n"
    assert "Show the answers" not in within("failed", "topics", "--raw").err


def test_what_another_try_may_mend_is_to_be_tried_again(within, topics, provider):
    """Beside failures that stay."""
    replies = {"topic 3": Said(finish="length"), "topic 4": Said("I would rather talk.")}
    provider.behaviour = lambda call: replies.get(call.topic, Said())

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--max-attempts", "1")

    assert "Retry them with: backstay resume topics --retry-failed" in ended.err


def test_a_job_that_is_to_be_discarded_is_not_to_be_resumed(within, topics, provider):
    """Neither at the end of the run nor by `status`; the answer it paused on is offered once."""
    provider.behaviour = lambda _: Status(410)

    paused = within("run", topics, "--model", "m", "--base-url", provider.base_url)
    status = within("status", "topics")

    assert paused.code == 5
    assert "discard the job and run it with another model. Discard it with: backstay discard topics\n" in paused.err
    assert paused.err.count("backstay failed topics --raw") == 1
    assert "  discard it with backstay discard topics\n" in status.out
    assert status.out.count("backstay failed topics --raw") == 1
    assert "backstay resume" not in paused.err + status.out


def test_failed_shows_why(within, topics, provider):
    """With --raw, what the model said."""
    provider.behaviour = lambda call: Said("I would rather talk.") if call.topic == "topic 3" else Said()

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--max-attempts", "1")

    assert ended.code == 3
    assert "unreadable_answer" in within("failed", "topics").out
    assert "rather talk" not in within("failed", "topics").out
    assert "    | I would rather talk." in within("failed", "topics", "--raw").out
    assert within("failed", "topics", "--json").json["items"][0]["raw"] == "I would rather talk."


def test_another_recipe_is_refused_field_by_field(within, backstay, topics, provider):
    """The job keeps the one it was made with, and status shows it."""
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\nturns = 2')
    within("run", topics, "--recipe", recipe, "--limit", "5")

    refused = within("run", topics, "--recipe", recipe, "--turns", "4", "--temperature", "0.5")

    assert refused.code == 1
    assert "turns: 2, now 4; temperature: none, now 0.5" in refused.one_line_error()
    assert within("status", "topics", "--json").json["recipe"]["turns"] == 2
    assert "  recipe     " in within("status", "topics").out
    assert within("resume").code == 0
    assert {len(call.keys) for call in provider.calls} == {2}


def test_accepted_items_are_checked_too(within, backstay, provider):
    """`resume --accept-new-items` with a row that lacks what the recipe uses."""
    with (backstay.folder / "t.csv").open("w") as file:
        csv.writer(file).writerows([["topic", "mood"], ["a", "calm"]])
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\nprompt = "{{{{ mood }}}}"')
    within("run", "t.csv", "--recipe", recipe)
    (backstay.folder / "more.csv").write_text("topic\nb\n")

    refused = within("resume", "t", "--accept-new-items", "more.csv")

    assert refused.code == 2
    assert "more.csv line 2" in refused.one_line_error()


def _left_behind(folder: Path, secret: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_key_is_nowhere_after_a_kill(backstay, provider, topics):
    """Database, logs, errors and the process's own command line: none has the key, while it runs and after kill -9."""
    provider.behaviour = lambda call: Said(seconds=0.2) if call.number % 4 else Status(429)
    log = backstay.folder / "log.txt"
    words = (
        "--log-format",
        "json",
        "run",
        topics,
        "--model",
        "m",
        "--base-url",
        provider.base_url,
        "--max-attempts",
        "20",
    )
    with log.open("wb") as file:
        process = backstay.start(*words, stderr=file, stdout=file, OPENAI_API_KEY=KEY)
        until(lambda: backstay.count("topics", "completed") > 3)
        title = Path(f"/proc/{process.pid}/cmdline")
        if title.exists():
            assert KEY.encode() not in title.read_bytes()
        assert _left_behind(backstay.folder, KEY) == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)

    resumed = backstay("resume", OPENAI_API_KEY=KEY)

    assert resumed.code == 0, resumed.err
    assert provider.calls[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in resumed.out + resumed.err
    assert _left_behind(backstay.folder, KEY) == []


def test_a_key_and_a_header_of_the_settings_are_used(backstay, provider, topics):
    """A file holds the key and a variable a header's value; what they lack is said before a database is made."""
    host = provider.base_url.removeprefix("http://").removesuffix("/v1")
    settings = f'[keys.SOME_KEY]\nfile = "key"\n[headers."{host}"]\nX-App-Secret = "APP_SECRET"\n'
    (backstay.folder / "backstay.toml").write_text(settings)
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\napi_key_env = "SOME_KEY"\nturns = 2\n')
    command = ("run", topics, "--recipe", recipe)

    without_file = backstay(*command, APP_SECRET="value")
    (backstay.folder / "key").write_text(f'"{KEY}"\n')
    (backstay.folder / "key").chmod(0o600)
    without_header = backstay(*command)
    assert not backstay.database.exists()
    ran = backstay(*command, APP_SECRET="value")

    assert (without_file.code, without_header.code, ran.code) == (2, 2, 0)
    assert "The key file" in without_file.err
    assert "for SOME_KEY" in without_file.err
    assert "takes its value from APP_SECRET, which is not set" in without_header.err
    assert ran.err.count("key has quotes") == 1
    sent = {(call.headers["Authorization"], call.headers["X-App-Secret"]) for call in provider.calls}
    assert sent == {(f"Bearer {KEY}", "value")}


def test_a_socks_proxy_makes_no_database(backstay, topics):
    """What cannot be reached is refused first, by the variable that is wrong."""
    refused = backstay("run", topics, "--model", "m", "--base-url", "http://a.example", ALL_PROXY="socks5://h:1080")

    assert refused.code == 2
    assert "ALL_PROXY names a socks5 proxy, which is not supported" in refused.err
    assert not backstay.database.exists()


# -- where a key goes --------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(backstay, provider):
    """Have every host but this machine be the provider, in the environment of commands; return a recipe for one."""
    usual, address = backstay.environment, provider.base_url.removesuffix("/v1")
    backstay.environment = lambda **more: usual(OPENAI_API_KEY=KEY, http_proxy=address, **more)
    return _recipe(backstay, 'model = "m"\nbase_url = "http://models.example/v1"\nturns = 2')


_QUESTION = "The recipe r.toml sends the key in OPENAI_API_KEY to http://models.example. Allow it? [y/N]"


def test_a_recipe_asks_once_where_its_key_may_go(backstay, topics, provider, elsewhere):
    """No is heard; yes is remembered, for this recipe and for the job that was made of it."""
    words = ("run", topics, "--recipe", elsewhere, "--limit", "2")

    refused = backstay.on_terminal(*words, typed=[(b"[y/N]", b"n\n")], columns=160)
    assert _QUESTION in refused.out
    assert (refused.code, provider.calls) == (1, [])
    assert backstay.on_terminal(*words, typed=[(b"[y/N]", b"y\n")], columns=160).code == 4

    resumed = backstay("resume")

    assert resumed.code == 0, resumed.err
    assert provider.calls[0].headers["Authorization"] == f"Bearer {KEY}"
    remembered = backstay.folder / ".config" / "backstay" / "allowed-keys"
    assert remembered.read_text() == "http://models.example OPENAI_API_KEY\n"


def test_where_nobody_can_be_asked_an_option_allows_it(backstay, topics, provider, elsewhere):
    """Without it host and variable are named; nothing is sent; one for another host or https allows nothing."""
    words = ("run", topics, "--recipe", elsewhere)
    for more in ((), ("--allow-key", "other.example"), ("--allow-key", "models.example")):
        refused = backstay(*words, *more)
        assert refused.code == 2
        assert "sends the key in OPENAI_API_KEY to http://models.example" in refused.one_line_error()
        assert "--allow-key http://models.example" in refused.err
    assert not backstay.database.exists()
    shown = backstay(*words, "--dry-run", "1")
    assert "sends the key in OPENAI_API_KEY to http://models.example, which has not been allowed yet" in shown.out
    assert provider.calls == []

    assert backstay(*words, "--allow-key", "http://models.example").code == 0
    assert backstay(*words, "--job", "again").code == 0


def test_an_address_on_the_command_line_is_the_users_own_word(backstay, topics, provider, elsewhere):
    """Nothing is asked, and `resume` knows of it, though all it has is the job."""
    ran = backstay("run", topics, "--model", "m", "--base-url", "http://own.example/v1", "--turns", "2", "--limit", "1")
    assert ran.code == 4, ran.err

    assert backstay("resume").code == 0
    assert {call.headers["Host"] for call in provider.calls} == {"own.example"}


def test_a_job_from_elsewhere_asks_as_a_recipe_does(backstay, topics, provider, elsewhere):
    """The user who resumes it is not the one who said where its key goes."""
    backstay("run", topics, "--model", "m", "--base-url", "http://own.example/v1", "--turns", "2", "--limit", "1")
    (backstay.folder / ".config" / "backstay" / "allowed-keys").unlink()

    refused = backstay("resume")

    assert refused.code == 2
    assert "The job's recipe sends the key in OPENAI_API_KEY to http://own.example" in refused.one_line_error()
    assert backstay("resume", "--allow-key", "http://own.example").code == 0


def test_an_address_for_one_run_is_the_users_own_word(backstay, topics, provider, elsewhere):
    """`resume --base-url` sends the key there without a question, and nothing of it is remembered."""
    backstay("run", topics, "--model", "m", "--base-url", provider.base_url, "--turns", "2", "--limit", "1")

    resumed = backstay("resume", "--base-url", "http://moved.example/v1", "--limit", "1")

    assert resumed.code == 4, resumed.err
    assert provider.calls[-1].headers["Host"] == "moved.example"
    assert provider.calls[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert not (backstay.folder / ".config" / "backstay" / "allowed-keys").exists()


def test_a_key_that_a_job_names_asks_at_any_address(backstay, topics, provider, elsewhere):
    """The user says where to ask, and the job, which may come from elsewhere, with which key."""
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\napi_key_env = "SOME_KEY"\nturns = 2')
    assert backstay("run", topics, "--recipe", recipe, "--limit", "1", SOME_KEY=KEY).code == 4
    words = ("resume", "--base-url", "http://moved.example/v1")

    refused = backstay(*words, SOME_KEY=KEY)

    assert refused.code == 2
    assert "The job's recipe sends the key in SOME_KEY to http://moved.example" in refused.one_line_error()
    assert len(provider.calls) == 1
    assert backstay(*words, "--allow-key", "http://moved.example", SOME_KEY=KEY).code == 0


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        (["openai:m"], {}, "openai, at https://api.openai.com/v1; OPENAI_API_KEY is not set."),
        (["openai:m"], {"OPENAI_API_KEY": KEY}, "openai, at https://api.openai.com/v1; key from OPENAI_API_KEY."),
        (
            ["openai:m"],
            {"OPENAI_BASE_URL": "http://gate:1/v1"},
            "openai, at http://gate:1/v1 (OPENAI_BASE_URL); no key, as OPENAI_API_KEY is not set.",
        ),
        (
            ["openai:m"],
            {"OPENAI_API_BASE": "http://gate:1/v1"},
            "OPENAI_API_BASE is set but not read: set OPENAI_BASE_URL instead.",
        ),
        (["ollama:m"], {"OLLAMA_HOST": "0.0.0.0"}, "ollama, at http://127.0.0.1:11434/v1 (OLLAMA_HOST); no key"),
        (
            ["m", "--base-url", "https://n.openai.azure.com"],
            {"AZURE_OPENAI_API_KEY": KEY},
            "azure, at https://n.openai.azure.com/openai/v1; key from AZURE_OPENAI_API_KEY, in the header api-key.",
        ),
    ],
)
def test_a_dry_run_says_where_it_would_go(within, topics, monkeypatch, words, environment, says):
    """And with whose key, of which nothing is shown."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    shown = within("run", topics, "--model", *words, "--dry-run", "1")
    told = within("run", topics, "--model", *words, "--dry-run", "1", "--json").json["endpoint"]

    assert says in shown.out
    assert KEY not in shown.out
    assert told["keyIsSet"] == (KEY in environment.values())


@pytest.mark.parametrize(
    ("source", "place", "remedy"),
    [
        (
            "command = 'cat key'",
            "command",
            "the key from the command for OPENAI_API_KEY in backstay.toml (401); have it print",
        ),
        (
            "file = 'key'",
            "file",
            "the key from the file for OPENAI_API_KEY named in backstay.toml (401); put a valid one",
        ),
    ],
)
def test_a_key_is_named_by_where_it_comes_from(within, backstay, topics, provider, monkeypatch, source, place, remedy):
    """Before a run, and where the provider does not accept it; the variable itself is not set."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (backstay.folder / "key").write_text(KEY)
    (backstay.folder / "backstay.toml").write_text(f"[keys.OPENAI_API_KEY]\n{source}\n")
    provider.behaviour = lambda _: Status(401)
    words = ("run", topics, "--model", "m", "--base-url", provider.base_url)
    says = f"key of OPENAI_API_KEY, from its {place} in backstay.toml."

    assert says in within(*words, "--dry-run").out
    paused = within(*words)

    assert says in paused.err
    assert f"does not accept {remedy}" in paused.err
    assert says in within("resume").err


def test_a_run_says_where_it_goes(within, topics, provider, monkeypatch):
    """At its start, and `resume` again."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    says = f"openai, at {provider.base_url} (OPENAI_BASE_URL); key from OPENAI_API_KEY."

    assert says in within("run", topics, "--model", "openai:m", "--turns", "2", "--limit", "1").err
    assert says in within("resume").err


def test_patience_is_given_as_one_says_it(backstay, topics, provider):
    """What is no length of time is refused by name; a run that is out of it says why, with the status of a pause."""
    provider.behaviour = lambda _: Status(503)
    words = ("run", topics, "--model", "m", "--base-url", provider.base_url, "--patience")

    refused = backstay(*words, "soon")
    paused = backstay(*words, "1s")

    assert refused.code == 2
    assert refused.one_line_error().startswith("--patience must be a number followed by s, m, h, d or w")
    assert paused.code == 5
    assert "no good answer came for" in paused.err
    assert "paused on" in backstay("failed", "topics", "--raw").out
