"""Addresses of endpoints: queries, headers, environment variables, and where a key may be sent."""

import json

import apsw
import pytest

from backstay import Backstay, ItemCounts, Recipe
from backstay.errors import ApiKeyNotAllowed, SettingsError
from backstay.generate.http_client import ConnectFailed, HttpClient
from backstay.generate.provider_account import Accounts
from support.fakes.provider import KEY, ProviderServer

_ELSEWHERE = "http://models.example/v1"  # no host has this name, so only a proxy can answer


@pytest.fixture
def proxy(provider, monkeypatch):
    """The provider, acting as the proxy for every host."""
    address = provider.base_url.removesuffix("/v1")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, address)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return provider


@pytest.fixture(autouse=True)
def _remembers_nothing(tmp_path, monkeypatch):
    """Start each test with a user who has not allowed any key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)


async def test_a_deployment_is_asked_as_azure_wants_it(provider, generate, monkeypatch):
    """An Azure URL pasted whole sends the path once, the version in the query, and the key in its header only."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    base_url = provider.base_url.removesuffix("/v1") + "/openai/deployments/d/chat/completions?api-version=2024-10-21"

    result = await generate(1, recipe=Recipe(model="gpt", base_url=base_url, turns=2))

    assert result.counts == ItemCounts(completed=1)
    call = provider.calls[0]
    assert (call.path, call.query) == ("/openai/deployments/d/chat/completions", {"api-version": "2024-10-21"})
    assert call.headers["api-key"] == KEY
    assert "Authorization" not in call.headers


async def test_what_a_recipe_adds_arrives(provider, path, monkeypatch):
    """Query, headers and key header of a recipe arrive at the server; two recipes do not share their headers."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async with Backstay.open(path) as backstay:
        for team in ("blue", "red"):
            recipe = Recipe(
                model="m",
                base_url=provider.base_url,
                turns=2,
                query={"tag": "a b&c"},
                headers={"X-Team": team},
                key_header="X-Gate",
            )
            await backstay.batches.run(team, [{"topic": team}], recipe)

    assert {(call.topic, call.headers["X-Team"]) for call in provider.calls} == {("blue", "blue"), ("red", "red")}
    assert {(call.headers["X-Gate"], call.query["tag"]) for call in provider.calls} == {(KEY, "a b&c")}
    assert all("Authorization" not in call.headers for call in provider.calls)


async def test_an_address_of_the_environment_is_asked_and_not_frozen(provider, generate, path, monkeypatch):
    """A job without a base URL uses the address in the environment of each run, which is not frozen."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)

    result = await generate(1, recipe=Recipe(model="openai:gpt", turns=2))

    assert result.counts == ItemCounts(completed=1)
    assert provider.calls[0].body["model"] == "gpt"
    connection = apsw.Connection(str(path))
    frozen = json.loads(connection.execute("SELECT recipe FROM jobs").fetchone()[0])
    connection.close()
    assert frozen["base_url"] is None


async def test_a_job_stored_before_these_fields_goes_on(provider, generate, path, monkeypatch):
    """A job stored before these fields existed continues with an identical recipe."""
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)
    await generate(3, recipe=recipe, limit=1)
    fields = ("model", "base_url", "api_key_env", "system", "prompt", "turns", "language", "roles", "temperature")
    stored = {name: getattr(recipe, name) for name in (*fields, "max_tokens", "structured", "parameters")}
    connection = apsw.Connection(str(path))
    assert json.loads(connection.execute("SELECT recipe FROM jobs").fetchone()[0]) == stored
    connection.close()

    result = await generate(3, recipe=recipe)

    assert result.counts == ItemCounts(completed=3)


async def test_a_program_resumes_at_another_address(provider, generate, path):
    """A base URL passed to a resume applies to that run only, and is rejected together with a function."""
    await generate(6, limit=2)
    with ProviderServer() as moved:
        async with Backstay.open(path) as backstay:
            stored_recipe = (await backstay.batches.checkpoint("job")).recipe
            with pytest.raises(SettingsError, match="uses no recipe"):
                await backstay.batches.resume("job", lambda _: None, base_url=moved.base_url)
            there = await backstay.batches.resume("job", base_url=moved.base_url, limit=2)
            assert (await backstay.batches.checkpoint("job")).recipe == stored_recipe
            back = await backstay.batches.resume("job")

    assert (there.completed, back.counts) == (4, ItemCounts(completed=6))
    assert (len(provider.calls), len(moved.calls)) == (4, 2)
    assert {call.topic for call in provider.calls}.isdisjoint(call.topic for call in moved.calls)


async def test_a_key_does_not_follow_a_file_or_a_job(proxy, path, tmp_path, monkeypatch):
    """A key is not sent to a host named by a recipe file or a stored job, but to one named by the program."""
    file = tmp_path / "r.toml"
    file.write_text(f'model = "m"\nbase_url = "{_ELSEWHERE}"\nturns = 2\n')
    items = [{"topic": "a"}, {"topic": "b"}]
    async with Backstay.open(path) as backstay:
        with pytest.raises(
            ApiKeyNotAllowed, match=r"r\.toml sends the key in OPENAI_API_KEY to http://models\.example"
        ):
            await backstay.batches.run("job", items, Recipe.load(file))
        assert await backstay.batches.list() == []
        await backstay.batches.run("job", items, Recipe(model="m", base_url=_ELSEWHERE, turns=2), limit=1)
        with pytest.raises(ApiKeyNotAllowed, match=r"The job's recipe sends the key"):
            await backstay.batches.resume("job")
    assert len(proxy.calls) == 1

    monkeypatch.setenv("BACKSTAY_ALLOWED_KEYS", "http://models.example OPENAI_API_KEY")
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.resume("job")

    assert result.counts == ItemCounts(completed=2)


async def test_without_a_key_there_is_nothing_to_ask_about(proxy, path, tmp_path, monkeypatch):
    """If no key is set, a recipe that names a host needs no permission."""
    monkeypatch.delenv("OPENAI_API_KEY")
    file = tmp_path / "r.toml"
    file.write_text(f'model = "m"\nbase_url = "{_ELSEWHERE}"\nturns = 2\n')

    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", [{"topic": "a"}], Recipe.load(file))

    assert result.counts == ItemCounts(completed=1)
    assert "Authorization" not in proxy.calls[0].headers


async def test_recipes_that_are_sent_otherwise_have_accounts_of_their_own(monkeypatch):
    """Recipes that differ in key header, headers or API version have separate accounts."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    url, accounts = "http://127.0.0.1:9/v1", Accounts()
    recipes = [
        Recipe(model="m", base_url=url),
        Recipe(model="m", base_url=url, key_header="X-Gate"),
        Recipe(model="m", base_url=url, headers={"X-Team": "blue"}),
        Recipe(model="anthropic:m", base_url=url),
        Recipe(model="anthropic:m", base_url=url, anthropic_version="2026-10-21"),
    ]

    found_accounts = [await accounts.account(recipe.endpoint) for recipe in recipes]

    assert len(set(map(id, found_accounts))) == len(recipes)
    assert await accounts.account(Recipe(model="other", base_url=url).endpoint) is found_accounts[0]


async def test_a_request_that_cannot_be_made_is_no_trouble_of_the_servers(provider):
    """A request with an invalid address is reported as permanent, and nothing is sent."""
    http = HttpClient(f"{provider.base_url}/chat/completions", {"X-Team\r\nX-Other": "blue"})
    try:
        with pytest.raises(ConnectFailed, match="its address or headers are invalid") as raised:
            await http.post(b"{}")
    finally:
        await http.close()

    assert not raised.value.may_retry
    assert provider.calls == []
