"""B8: no key is stored, printed or logged, even if a provider returns it; logs and errors quote no prompt or answer."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from backstay import Backstay, ItemCounts, Recipe
from backstay.errors import ApiKeyMissing, SettingsError
from backstay.generate.key_source import KeySources
from backstay.generate.provider_account import Accounts
from backstay.generate.secret_detection import Secrets
from backstay.settings import KeySetting, Settings
from support.fakes.provider import KEY, Said, Sent, Status
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B8")


def _files_with(folder: Path, secret: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def _key_of(call) -> str | None:
    headers = {name.lower(): value for name, value in call.headers.items()}
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None


def _echo(call):
    """Send the key back: in an error, in its message, or inside a conversation."""
    key = _key_of(call)
    if call.topic == "said":
        return Said(json.dumps({"user_1": f"My key is {key}", "assistant_1": "I see."}))
    status = {"in 400": 400, "in 500": 500}[call.topic]
    return Status(status, {"error": {"message": f"bad key {key} for: {call.prompt}", "code": key, "type": key}})


@pytest.fixture(autouse=True)
def _nobody_is_left(monkeypatch):
    """Let an item with server errors fail without waiting for more of them."""
    monkeypatch.setattr("backstay.generate.model_call._ALONE_SECONDS", 0.0)


async def _run(backstay: Backstay, recipe) -> None:
    items = [{"id": name, "topic": name} for name in ("in 400", "in 500", "said")]
    await backstay.batches.run("job", items, recipe, max_attempts=2)


# -- keys in responses ---------------------------------------------------------------------------


async def test_a_key_that_is_sent_back_is_nowhere(provider, recipe, path, caplog):
    """A key in a response does not appear in the database, its WAL, the output, or the logs."""
    caplog.set_level(logging.DEBUG)
    provider.behaviour = _echo

    async with Backstay.open(path) as backstay:
        await _run(backstay, recipe)
        failures = {failure.item_id: failure async for failure in backstay.batches.failed("job")}
        assert _files_with(path.parent, KEY) == []

    assert set(failures) == {"in 400", "in 500", "said"}
    assert all("[key]" in (failures[name].raw or "") for name in ("in 400", "in 500"))
    assert (failures["said"].error_code, failures["said"].raw) == ("key_in_answer", None)
    assert "_API_KEY" in failures["said"].error_message
    assert _files_with(path.parent, KEY) == []
    assert KEY not in caplog.text
    assert "turns" not in " ".join(failure.error_message for failure in failures.values())  # no part of the prompt


async def test_control_without_hiding_the_key_is_found(provider, recipe, path, monkeypatch):
    """If secrets are not redacted, the same search finds the key."""
    monkeypatch.setattr(Secrets, "are_in", lambda *_: False)
    monkeypatch.setattr(Secrets, "are_in_texts", lambda *_: False)
    monkeypatch.setattr(Secrets, "redact", lambda _, body: body)
    provider.behaviour = _echo

    async with Backstay.open(path) as backstay:
        await _run(backstay, recipe)

    assert _files_with(path.parent, KEY) != []


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_key_that_comes_back_escaped_is_nowhere(depth, provider, recipe, path, monkeypatch):
    """A key whose characters are escaped in the JSON of a server or of a model is found as well."""
    key = "abcd+efgh/ijkl=0123456789"
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, key)
    escaped = "".join(rf"\u{ord(sign):04X}" if sign in "a+/=" else sign for sign in key)
    said = json.dumps({"user_1": "MARK", "assistant_1": "I see."})

    def behaviour(call):
        if call.topic == "bad":
            body = json.dumps({"error": {"message": "the key MARK is bad"}})
            return Status(400, body.replace("MARK", escaped))
        if depth == 1:
            return Said(said.replace("MARK", escaped))
        return Said(json.dumps({"user_1": json.loads(f'"{escaped}"'), "assistant_1": "I see."}).replace("+", r"\u002b"))

    provider.behaviour = behaviour
    async with Backstay.open(path) as backstay:
        items = [{"id": name, "topic": name} for name in ("said", "bad")]
        await backstay.batches.run("job", items, recipe, max_attempts=1)
        failures = {failure.item_id: failure async for failure in backstay.batches.failed("job")}

    assert (failures["said"].error_code, failures["said"].raw) == ("key_in_answer", None)
    assert json.loads(failures["bad"].raw) == {"error": {"message": "the key [key] is bad"}}
    assert _files_with(path.parent, key) + _files_with(path.parent, escaped) == []


@pytest.mark.parametrize(
    "said",
    [("My key is {key}.", "I see."), ("Hello.", "<think>The key is {key}.</think>I see.")],
    ids=["text", "thought"],
)
async def test_a_key_in_two_parts_of_an_answer_is_found_where_they_meet(said, provider, recipe, path):
    """A key split over two parts of an answer is found in the joined conversation, also in the reasoning of a turn."""
    half = len(KEY) // 2
    before, after = json.dumps(dict(zip(("user_1", "assistant_1"), said, strict=True))).split("{key}")
    texts = (before + KEY[:half], KEY[half:] + after)
    blocks = [{"type": "text", "text": text} for text in texts]
    choice = {"message": {"role": "assistant", "content": blocks}, "finish_reason": "stop"}
    body = {"choices": [choice], "content": blocks, "stop_reason": "end_turn", "usage": {}}
    provider.behaviour = lambda _: Sent(json.dumps(body).encode())

    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"topic": "sea"}], recipe, max_attempts=1)
        (failure,) = [failure async for failure in backstay.batches.failed("job")]

    assert failure.error_code == "key_in_answer"
    assert _files_with(path.parent, KEY) == []


@pytest.mark.parametrize("word", ["EMPTY", "incomprehensibilities", "0123456789"])
async def test_a_conversation_is_never_changed(word, provider, recipe, generate, stored, monkeypatch):
    """Conversations that contain a short key, or a key that is a word, are stored unchanged."""
    monkeypatch.setenv("OPENAI_API_KEY", word)
    monkeypatch.setenv("ANTHROPIC_API_KEY", word)
    provider.behaviour = lambda call: Said(json.dumps({"user_1": f"An {word} page", "assistant_1": _key_of(call)}))

    result = await generate(["sea"])

    assert result.counts == ItemCounts(completed=1)
    assert stored() == [("sea", [f"An {word} page", word])]


async def test_a_secret_header_that_comes_back_is_kept_nowhere(provider, recipe, path, monkeypatch):
    """The value of a secret header is as protected as the key, and is sent to its host only."""
    secret = "header-secret-0123456789"
    monkeypatch.setenv("APP_SECRET", secret)
    provider.behaviour = lambda call: Status(422, {"error": call.headers.get("X-App-Secret", "none")})
    host = provider.base_url.removeprefix("http://").removesuffix("/v1")
    for number, (name, expected) in enumerate(((host, "[key]"), ("elsewhere.example", "none"))):
        settings = Settings(database_url=str(path), headers={name: {"X-App-Secret": "APP_SECRET"}})
        async with Backstay(settings) as backstay:
            await backstay.batches.run(f"job {number}", [{"topic": "sea"}], recipe, max_attempts=1)
            (failure,) = [failure async for failure in backstay.batches.failed(f"job {number}")]
        assert json.loads(failure.raw) == {"error": expected}
    assert _files_with(path.parent, secret) == []


# -- keys that change ------------------------------------------------------------------------------


def _accepting(*keys: str):
    return lambda call: Said() if _key_of(call) in keys else Status(401)


def _settings(path: Path, **source: str) -> Settings:
    setting = KeySetting(**source)
    keys = {"OPENAI_API_KEY": setting, "ANTHROPIC_API_KEY": setting}
    return Settings(database_url=str(path), keys=keys, file_directory=path.parent)


@pytest.fixture
def no_key(recipe, monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_key")
@pytest.mark.parametrize("kind", ["file", "command"])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_key_that_was_replaced_is_read_again(kind, concurrency, provider, recipe, path):
    """After a 401, the call is repeated with the new key, and its item loses no try."""
    file = path.parent / "key"
    file.write_text("old-key-0123456789")
    file.chmod(0o600)

    def behaviour(call):
        if len(provider.calls) == 20:
            file.write_text("new-key-0123456789")
        return _accepting("old-key-0123456789" if len(provider.calls) < 20 else "new-key-0123456789")(call)

    provider.behaviour = behaviour
    source = {"file": "key"} if kind == "file" else {"command": "echo run >> runs; cat key"}
    items = [{"id": str(n), "topic": str(n)} for n in range(40)]
    async with Backstay(_settings(path, **source)) as backstay:
        result = await backstay.batches.run("job", items, recipe, concurrency=concurrency, max_attempts=1)

    assert result.counts == ItemCounts(completed=40)
    assert len(provider.calls) <= 40 + concurrency
    assert kind == "file" or len((path.parent / "runs").read_text().split()) <= 1 + concurrency
    assert _files_with(path.parent, "old-key") == []


@pytest.mark.usefixtures("no_key")
async def test_calls_that_are_refused_together_all_get_the_new_key(provider, tmp_path):
    """Concurrent calls with a 401 are all repeated with the new key, which is read only once."""
    provider.behaviour = lambda call: Sent(b"{}") if _key_of(call) == "new-key" else Status(401)
    endpoint = Recipe(model="m", base_url=provider.base_url).endpoint
    command = "test -e runs && echo new-key || echo old-key; echo run >> runs"
    sources = KeySources({"OPENAI_API_KEY": KeySetting(command=command)}, directory=tmp_path)
    accounts = Accounts(keys=sources)
    account = await accounts.account(endpoint)

    replies = await asyncio.gather(*(account.post(b"{}") for _ in range(200)))
    await accounts.close()

    assert {reply.status for reply in replies} == {200}
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


@pytest.mark.usefixtures("no_key")
async def test_a_key_that_is_still_the_same_is_not_tried_again(provider, recipe, path):
    """If the key is unchanged after a 401, the error stands after one call and one more reading of the key."""
    provider.behaviour = _accepting()
    async with Backstay(_settings(path, command="echo run >> runs; echo same-key-0123456789")) as backstay:
        result = await backstay.batches.run("job", [{"topic": "sea"}], recipe)

    assert (result.counts, result.pause.code) == (ItemCounts(pending=1), "bad_key")
    assert len(provider.calls) == 1
    assert (path.parent / "runs").read_text() == "run\nrun\n"


@pytest.mark.usefixtures("no_key")
async def test_a_command_that_fails_later_leaves_the_refusal(provider, recipe, path, caplog):
    """If the command for the new key fails, the provider's error stands, and the failed renewal is logged."""
    provider.behaviour = _accepting()
    async with Backstay(_settings(path, command="test ! -e ran && touch ran && echo a-key-0123456789")) as backstay:
        result = await backstay.batches.run("job", [{"topic": "sea"}], recipe)

    assert result.pause.code == "bad_key"
    assert "key_not_renewed" in [record.msg for record in caplog.records]


@pytest.mark.usefixtures("no_key")
async def test_a_command_that_fails_at_once_makes_no_call(provider, recipe, path):
    """A command that fails at the start is a settings error, before a job is created."""
    async with Backstay(_settings(path, command="exit 4")) as backstay:
        with pytest.raises(SettingsError, match="ended with status 4"):
            await backstay.batches.run("job", [{"topic": "sea"}], recipe)

    assert provider.calls == []


@pytest.mark.usefixtures("no_key")
async def test_a_command_that_hangs_later_does_not_outlive_its_account(provider, tmp_path):
    """A cancelled call neither waits for a hanging key command nor leaves it running."""
    provider.behaviour = lambda _: Status(401)
    command = "test -e once && { echo $$ > shell; sleep 600; }; touch once; echo a-key-0123456789"
    accounts = Accounts(keys=KeySources({"OPENAI_API_KEY": KeySetting(command=command)}, directory=tmp_path))
    account = await accounts.account(Recipe(model="m", base_url=provider.base_url).endpoint)
    call = asyncio.create_task(account.post(b"{}"))
    await asyncio.to_thread(
        until, lambda: (tmp_path / "shell").exists() and (tmp_path / "shell").read_text().strip() != ""
    )

    call.cancel()
    await accounts.close()

    shell = int((tmp_path / "shell").read_text())
    await asyncio.to_thread(until, lambda: not _is_running(shell))


@pytest.mark.usefixtures("no_key")
async def test_a_job_is_made_while_others_are_served(recipe, path):
    """A slow key command does not block the event loop while a job is created."""
    command = "touch begun; until test -e go; do sleep 0.01; done; echo a-key-0123456789"
    async with Backstay(_settings(path, command=command)) as backstay:
        creating = asyncio.create_task(backstay.batches.create("job", [{"topic": "sea"}], recipe))
        await asyncio.to_thread(until, (path.parent / "begun").exists)
        (path.parent / "go").touch()

        assert (await creating).id == "job"


def _is_running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.usefixtures("no_key")
async def test_an_account_knows_whether_it_has_a_key(provider):
    """An account knows whether it has a key, and stays the same account when the key is renewed."""
    provider.behaviour = lambda _: Sent(b"{}")
    endpoint = Recipe(model="m", base_url=provider.base_url).endpoint
    for keys, has_key in (({}, False), ({"OPENAI_API_KEY": KeySetting(command="echo a-key")}, True)):
        accounts = Accounts(keys=KeySources(keys))
        account = await accounts.account(endpoint)

        assert account.has_key is has_key
        assert await accounts.account(endpoint) is account
        assert (await account.post(b"{}")).status == 200
        await accounts.close()
    assert [_key_of(call) for call in provider.calls] == [None, "a-key"]


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (Recipe(model="deepseek:chat"), "deepseek:chat"),
        (Recipe(model="chat", base_url="https://api.deepseek.com"), "deepseek:chat"),
        (Recipe(model="chat", base_url="http://models.example:8000", api_key_env="K"), "chat at models.example:8000"),
    ],
)
async def test_a_missing_key_is_reported_with_the_provider(recipe, name):
    """The error for a missing key names the model as a recipe does, or with the host of the user's endpoint."""
    with pytest.raises(ApiKeyMissing, match=f"^{name} needs an API key: put it into the environment variable"):
        await Accounts(keys=KeySources(environ={})).account(recipe.endpoint)
