"""`backstay run` with a model: recipes, dry runs, messages for each mistake, and resuming after a fix."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from support.fakes.provider import KEY, ProviderServer, Said, Sent, Status
from support.harness.waiting import until


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
    """A new user gets from `init` through a dry run and a run to an export."""
    assert backstay("init").code == 0
    ended = backstay("run", "topics.csv", "--recipe", "recipe.toml", "--dry-run", "2")
    assert ended.code == 0
    assert "A parcel that has not arrived" in ended.out
    assert "6 items for openai:gpt-4o-mini at api.openai.com: about" in ended.out
    assert not backstay.database.exists()

    ran = backstay("run", "topics.csv", "--recipe", "recipe.toml", "--base-url", provider.base_url, OPENAI_API_KEY=KEY)

    assert ran.code == 0, ran.err
    assert "6 of 6 completed, 0 failed, 0 skipped, 600 + 300 tokens" in ran.out
    lines = backstay("conversations", "export", "--job", "topics").out.splitlines()
    assert [message["role"] for message in json.loads(lines[0])["messages"]] == ["user", "assistant"] * 2


def test_the_recipe_of_init_works_with_any_file_of_topics(within, backstay):
    """The recipe of `init` needs only a file with a column of topics."""
    within("init")
    (backstay.folder / "own.csv").write_text("topic\nRain\n")

    ended = within("run", "own.csv", "--recipe", "recipe.toml", "--dry-run")

    assert (ended.code, "about: Rain\n" in ended.out) == (0, True)


@pytest.mark.parametrize("turns, message", [(1, "With 1 turn each"), (3, "With 3 turns each"), (4, None)])
def test_an_odd_number_of_turns_is_said_before_anything_is_asked(backstay, provider, turns, message):
    """A dry run and a run warn, before any call, that an odd number of turns ends with the user."""
    backstay.write("t.csv", "Rain")
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\nturns = {turns}\n')

    result = backstay("run", "t.csv", "--recipe", recipe, "--dry-run")
    ran = backstay("run", "t.csv", "--recipe", recipe, "--json")

    assert [result.code, ran.code, len(provider.calls)] == [0, 0, 1]
    for ended in (result, ran):
        assert ("each conversation ends with the user" in ended.err) == (message is not None)
        assert message is None or ended.err.startswith(message)


def test_init_makes_its_folder(within, backstay):
    """`init` creates its folder, with all parents."""
    assert within("init", "new/er").code == 0
    assert sorted(path.name for path in (backstay.folder / "new" / "er").iterdir()) == ["recipe.toml", "topics.csv"]


def test_init_touches_nothing_that_is_there(within, backstay):
    """`init` does not overwrite files, and refuses in one line."""
    (backstay.folder / "topics.csv").write_text("mine")

    refused = within("init")

    assert refused.code == 1
    assert "exists already" in refused.one_line_error()
    assert not (backstay.folder / "recipe.toml").exists()


def test_a_dry_run_calls_no_model(within, topics, provider, backstay):
    """A dry run prints three prompts by default and an estimate, calls no model and creates no database."""
    plain = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--dry-run")
    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--dry-run", "1", "--json")

    assert plain.out.count("user:") == 3
    assert len(ended.json["prompts"]) == 1
    assert ended.json["items"] == 40
    assert ended.json["tokensIn"] > 40
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
    "scripted": ("turns = 4", ["--model", "scripted"], "which calls no model"),
    "turns": ('model = "openai:x"', ["--turns", "0"], "turns is wrong"),
    "toml": ("model = ", [], "not valid TOML"),
}


@pytest.mark.parametrize("name", _MISTAKES)
def test_a_mistake_is_one_clear_line(name, within, backstay, topics, monkeypatch):
    """A mistake in a recipe is one line with its place and remedy, exits with 2 and creates no job."""
    text, options, says = _MISTAKES[name]
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)

    refused = within("run", topics, "--recipe", _recipe(backstay, text), *options)

    assert refused.code == 2, refused.err
    assert says in refused.one_line_error()
    assert backstay.job("topics") is None


def test_a_row_that_lacks_a_variable_is_named(within, backstay):
    """The first row without a variable that the recipe uses is named by its line."""
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
def test_an_error_of_every_item_ends_with_5_and_a_remedy(name, within, topics, provider):
    """An error that would fail every item pauses the job with 5, and `resume` finishes it once it is fixed."""
    reply, says = _PAUSES[name]
    provider.behaviour = lambda _: reply

    paused = within("run", topics, "--model", "m", "--base-url", provider.base_url)

    assert paused.code == 5
    assert says in paused.err
    assert "Continue with: backstay resume topics" in paused.err
    assert len(provider.calls) <= 20
    provider.behaviour = lambda _: Said()
    assert within("resume").code == 0


def test_failures_that_no_retry_fixes_offer_none(within, topics, provider):
    """Failures that a mere retry cannot fix offer other settings and the command that shows the answers."""
    provider.behaviour = lambda call: Said(finish="length") if call.topic == "topic 3" else Said()

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url)
    status, failed = within("status", "topics"), within("failed", "topics")

    assert ended.code == 3
    assert ended.err.count("backstay failed topics --raw") == 1
    assert "--retry-failed" not in ended.err
    assert status.out.count("backstay failed topics --raw") == 1
    assert "retry with a higher `max_tokens`, or with fewer turns" in failed.out
    assert failed.err == "1 failed item.\nShow the answers: backstay failed topics --raw\n"
    assert "Show the answers" not in within("failed", "topics", "--raw").err


def test_failures_that_a_retry_may_fix_offer_one(within, topics, provider):
    """A retry is offered if it may fix one of the failures."""
    replies = {"topic 3": Said(finish="length"), "topic 4": Said("I would rather talk.")}
    provider.behaviour = lambda call: replies.get(call.topic, Said())

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--max-attempts", "1")

    assert "Retry them with: backstay resume topics --retry-failed" in ended.err


def test_a_job_that_cannot_succeed_is_resumed_with_another_recipe(within, topics, provider):
    """For a job that cannot succeed with its recipe, the run and `status` offer to resume it with another one."""
    provider.behaviour = lambda _: Status(410)

    paused = within("run", topics, "--model", "m", "--base-url", provider.base_url)
    status = within("status", "topics")

    assert paused.code == 5
    step = "another recipe: backstay resume topics --recipe FILE\n"
    assert f"; resume with another model. Continue with {step}" in paused.err
    assert paused.err.count("backstay failed topics --raw") == 1
    assert f"  continue with {step}" in status.out
    assert status.out.count("backstay failed topics --raw") == 1
    provider.behaviour = lambda _: Said()
    assert within("resume", "topics", "--model", "other", "--yes").code == 0


def test_failed_shows_why(within, topics, provider):
    """`failed --raw` prints the answer of the model."""
    provider.behaviour = lambda call: Said("I would rather talk.") if call.topic == "topic 3" else Said()

    ended = within("run", topics, "--model", "m", "--base-url", provider.base_url, "--max-attempts", "1")

    assert ended.code == 3
    assert "unreadable_answer" in within("failed", "topics").out
    assert "rather talk" not in within("failed", "topics").out
    assert "    | I would rather talk." in within("failed", "topics", "--raw").out
    assert within("failed", "topics", "--json").json["items"][0]["raw"] == "I would rather talk."


def test_another_recipe_is_refused_field_by_field(within, backstay, topics, provider):
    """A run with another recipe is refused with the fields that differ; the job keeps its recipe."""
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
    """`resume --accept-new-items` refuses a row without a variable that the recipe uses, and adds others."""
    with (backstay.folder / "t.csv").open("w") as file:
        csv.writer(file).writerows([["topic", "mood"], ["a", "calm"]])
    recipe = _recipe(backstay, f'model = "m"\nbase_url = "{provider.base_url}"\nprompt = "{{{{ mood }}}}"')
    within("run", "t.csv", "--recipe", recipe)
    (backstay.folder / "more.csv").write_text("topic\nb\n")

    refused = within("resume", "t", "--accept-new-items", "more.csv")

    assert refused.code == 2
    assert "more.csv line 2" in refused.one_line_error()
    (backstay.folder / "more.csv").write_text("topic,mood\na,calm\nb,merry\n")
    assert within("resume", "t", "--accept-new-items", "more.csv").code == 0
    assert within("status", "t", "--json").json["completed"] == 2


def _left_behind(folder: Path, secret: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_key_is_nowhere_after_a_kill(backstay, provider, topics):
    """The key appears in no database, log, error or command line, neither during a run nor after kill -9."""
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
    """A key from a file and a header from a variable are used; if one is missing, no database is created."""
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
    """An unsupported proxy is refused by its variable before a database is created."""
    refused = backstay("run", topics, "--model", "m", "--base-url", "http://a.example", ALL_PROXY="socks5://h:1080")

    assert refused.code == 2
    assert "The proxy in ALL_PROXY is a socks5 proxy, which is not supported" in refused.err
    assert not backstay.database.exists()


# -- where a key goes --------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(backstay, provider):
    """Route all hosts but this machine to the provider in the environment of commands; return a recipe for one."""
    usual, address = backstay.environment, provider.base_url.removesuffix("/v1")
    backstay.environment = lambda **more: usual(OPENAI_API_KEY=KEY, http_proxy=address, **more)
    return _recipe(backstay, 'model = "m"\nbase_url = "http://models.example/v1"\nturns = 2')


_QUESTION = "The recipe r.toml sends the key in OPENAI_API_KEY to http://models.example. Allow it? [y/N]"


def test_a_recipe_asks_once_where_its_key_may_go(backstay, topics, provider, elsewhere):
    """The question whether a recipe may send a key is asked once; a yes also holds for its job."""
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


def test_without_a_terminal_an_option_allows_a_key(backstay, topics, provider, elsewhere):
    """Without a terminal, --allow-key for exactly that host and scheme allows the key; otherwise nothing is sent."""
    words = ("run", topics, "--recipe", elsewhere)
    for more in ((), ("--allow-key", "other.example"), ("--allow-key", "models.example")):
        refused = backstay(*words, *more)
        assert refused.code == 2
        assert "sends the key in OPENAI_API_KEY to http://models.example" in refused.one_line_error()
        assert "--allow-key http://models.example" in refused.err
    assert not backstay.database.exists()
    ended = backstay(*words, "--dry-run", "1")
    assert "sends the key in OPENAI_API_KEY to http://models.example, which has not been allowed yet" in ended.out
    assert "allowed" not in backstay(*words, "--dry-run", "1", "--allow-key", "http://models.example").out
    assert provider.calls == []

    assert backstay(*words, "--allow-key", "http://models.example").code == 0
    assert backstay(*words, "--job", "again").code == 0


def test_an_address_on_the_command_line_is_the_users_own_word(backstay, topics, provider, elsewhere):
    """A --base-url of `run` needs no permission for its key, and neither does `resume` of that job."""
    ran = backstay("run", topics, "--model", "m", "--base-url", "http://own.example/v1", "--turns", "2", "--limit", "1")
    assert ran.code == 4, ran.err

    assert backstay("resume").code == 0
    assert {call.headers["Host"] for call in provider.calls} == {"own.example"}


def test_a_job_from_elsewhere_asks_as_a_recipe_does(backstay, topics, provider, elsewhere):
    """Resuming a job whose key was allowed by another user asks again."""
    backstay("run", topics, "--model", "m", "--base-url", "http://own.example/v1", "--turns", "2", "--limit", "1")
    (backstay.folder / ".config" / "backstay" / "allowed-keys").unlink()

    refused = backstay("resume")

    assert refused.code == 2
    assert "The job's recipe sends the key in OPENAI_API_KEY to http://own.example" in refused.one_line_error()
    assert backstay("resume", "--allow-key", "http://own.example").code == 0


def test_an_address_for_one_run_is_the_users_own_word(backstay, topics, provider, elsewhere):
    """`resume --base-url` sends the key without a question and does not remember the permission."""
    backstay("run", topics, "--model", "m", "--base-url", provider.base_url, "--turns", "2", "--limit", "1")

    resumed = backstay("resume", "--base-url", "http://moved.example/v1", "--limit", "1")

    assert resumed.code == 4, resumed.err
    assert provider.calls[-1].headers["Host"] == "moved.example"
    assert provider.calls[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert not (backstay.folder / ".config" / "backstay" / "allowed-keys").exists()


def test_a_key_that_a_job_names_asks_at_any_address(backstay, topics, provider, elsewhere):
    """A job that names its own key asks for permission, even with --base-url."""
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
    """A dry run names the endpoint and the source of the key, without the key."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    ended = within("run", topics, "--model", *words, "--dry-run", "1")
    endpoint = within("run", topics, "--model", *words, "--dry-run", "1", "--json").json["endpoint"]

    assert says in ended.out
    assert KEY not in ended.out
    assert endpoint["keyIsSet"] == (KEY in environment.values())


@pytest.mark.parametrize(
    ("source", "path", "remedy"),
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
def test_a_key_is_named_by_where_it_comes_from(within, backstay, topics, provider, monkeypatch, source, path, remedy):
    """The source of a key is named before a run and when the provider rejects it; its variable stays unset."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (backstay.folder / "key").write_text(KEY)
    (backstay.folder / "backstay.toml").write_text(f"[keys.OPENAI_API_KEY]\n{source}\n")
    provider.behaviour = lambda _: Status(401)
    words = ("run", topics, "--model", "m", "--base-url", provider.base_url)
    says = f"key of OPENAI_API_KEY, from the {path} that backstay.toml names."

    assert says in within(*words, "--dry-run").out
    paused = within(*words)

    assert says in paused.err
    assert f"does not accept {remedy}" in paused.err
    assert says in within("resume").err


def test_a_run_says_where_it_goes(within, topics, provider, monkeypatch):
    """`run` and `resume` name the endpoint at their start."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    says = f"openai, at {provider.base_url} (OPENAI_BASE_URL); key from OPENAI_API_KEY."

    assert says in within("run", topics, "--model", "openai:m", "--turns", "2", "--limit", "1").err
    assert says in within("resume").err


def test_a_retry_says_where_it_goes(within, topics, provider, monkeypatch):
    """`resume` of a finished job names the endpoint if it adds work, and otherwise not."""
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    provider.behaviour = lambda call: Status(400) if call.topic == "topic 39" else Said()
    assert within("run", topics, "--model", "openai:m", "--turns", "2").code == 3
    says = f"openai, at {provider.base_url} (OPENAI_BASE_URL); no key"

    assert says in within("resume", "topics", "--retry-failed").err
    assert says in within("resume", "topics", "--accept-new-items", topics).err
    assert says not in within("resume", "topics").err


def test_a_model_named_like_the_scripted_writer_is_a_model(backstay, within, topics, provider):
    """`resume` of a recipe whose model is named `scripted` names the endpoint, not the built-in writer."""
    (backstay.folder / "recipe.toml").write_text(f'model = "scripted"\nbase_url = "{provider.base_url}"\n')
    assert within("run", topics, "--recipe", "recipe.toml", "--limit", "1").code == 4

    resumed = within("resume", "--limit", "1")

    assert resumed.err.startswith(f"openai, at {provider.base_url}; ")
    assert "scripted writer" not in resumed.err


def test_patience_is_given_as_one_says_it(backstay, topics, provider):
    """--patience takes a duration; when it is exceeded the job pauses with the reason, and a wrong one is refused."""
    provider.behaviour = lambda _: Status(503)
    words = ("run", topics, "--model", "m", "--base-url", provider.base_url, "--patience")

    refused = backstay(*words, "soon")
    paused = backstay(*words, "1s")

    assert refused.code == 2
    assert refused.one_line_error().startswith("--patience must be a number followed by s, m, h, d or w")
    assert paused.code == 5
    assert "no good answer came for" in paused.err
    assert "paused on" in backstay("failed", "topics", "--raw").out
