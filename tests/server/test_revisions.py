"""Revisions of recipes and edits of items over HTTP: who may ask for what, and what is refused."""

import pytest

from backstay import Backstay, Recipe
from support.fakes.provider import ProviderServer, Said, Status
from support.harness.async_waiting import until
from support.servers.api import ENOUGH, libraries, serving

settings = libraries(ENOUGH)
_ITEMS = [{"id": "a", "topic": "Lighthouses", "audience": "children"}, {"id": "b", "topic": "Tides"}]


@pytest.fixture
def provider():
    with ProviderServer() as server:
        yield server


@pytest.fixture
def recipes(provider, tmp_path):
    """Two recipes of the server's settings, as files."""
    files = {}
    for name, extra in (("first", ""), ("second", "temperature = 0.2\n")):
        path = tmp_path / f"{name}.toml"
        path.write_text(f'model = "{name}"\nbase_url = "{provider.base_url}"\nturns = 2\n{extra}')
        files[name] = str(path)
    return files


@pytest.fixture
async def api(settings, recipes):
    """A server for others, with two recipes, and a job of the first one that waits."""
    async with serving(settings, recipes=recipes) as running:
        body = {"jobId": "job", "items": _ITEMS, "recipe": "first", "start": False}
        (await running.ann.post("/api/batches", json=body)).raise_for_status()
        yield running


async def _plan(api, **body):
    return await api.ann.post("/api/batches/job/recipe-plan", json=body)


async def _revise(api, **body):
    return await api.ann.post("/api/batches/job/recipe", json=body)


def _code(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_recipe_is_planned_then_revised(api, provider):
    """A plan shows what another recipe of the settings changes; the revision stores it, and a resume follows it."""
    plan = (await _plan(api, recipe="second")).json()
    revised = await _revise(api, recipe="second", planDigest=plan["digest"])
    resumed = await api.ann.post("/api/batches/job/resume")
    job = await api.settled("job")
    listed = (await api.ann.get("/api/batches/job/recipe")).json()["revisions"]

    assert plan["differences"] == ["model: first, now second", "temperature: none, now 0.2"]
    assert (plan["revision"], plan["items"], plan["failed"], plan["calls"], plan["hasWorkers"]) == (2, 2, 0, 2, False)
    assert (plan["tokensIn"] > 0, plan["tokensOut"]) == (True, 400)
    assert revised.status_code == 200
    assert (revised.json()["isNew"], revised.json()["revision"], revised.json()["job"]["revision"]) == (True, 2, 2)
    assert (resumed.status_code, job["completed"]) == (202, 2)
    assert [call.body["model"] for call in provider.calls] == ["second", "second"]
    assert [(each["number"], each["differences"]) for each in listed] == [(1, []), (2, plan["differences"])]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "other"},
        {"temperature": 0.3},
        {"recipe": "second", "maxTokens": 5},
        {"fields": {"model": "first", "base_url": "http://10.0.0.1/v1"}},
    ],
)
async def test_a_server_for_others_follows_its_own_recipes_only(api, body):
    """A server for others revises to recipes of its settings, not to changes of them or to others."""
    before = (await api.ann.get("/api/batches/job")).json()

    answers = [await _plan(api, **body), await _revise(api, **body)]

    assert [_code(answer) for answer in answers] == [(403, "processor_not_allowed")] * 2
    assert (await api.ann.get("/api/batches/job")).json() == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Give a recipe, its fields, or fields to change"),
        ({"recipe": "first", "fields": {"model": "x"}}, "Give either recipe or fields"),
        ({"fields": {"modle": "x"}}, "there is no field 'modle'"),
        ({"fields": {"model": "first", "turns": "four"}}, "turns is wrong"),
        ({"temperature": 3}, "temperature: "),
        ({"recipe": "first", "planDigest": "abc"}, "planDigest: "),
    ],
)
async def test_a_request_that_makes_no_recipe_is_refused(api, body, message):
    """A request that names no recipe, or an invalid one, is refused with the field."""
    refused = await _revise(api, **body)

    assert refused.status_code == 422
    assert message in refused.json()["error"]["message"]


async def test_a_plan_of_an_earlier_state_is_refused(api):
    """A revision with the digest of an outdated plan is refused."""
    plan = (await _plan(api, recipe="second")).json()
    await api.ann.post("/api/batches/job/skip", json={"itemIds": ["a"]})

    assert _code(await _revise(api, recipe="second", planDigest=plan["digest"])) == (409, "plan_outdated")


async def test_a_revision_under_a_run_is_refused(api, provider):
    """While the server works on the job, its recipe is not revised; once the job is paused, it is."""
    provider.behaviour = lambda call: Said(seconds=600)
    await api.ann.post("/api/batches/job/resume")
    await until(lambda: len(provider.calls) == 2)

    refused = await _revise(api, recipe="second")

    assert _code(refused) == (409, "job_has_workers")
    assert refused.json()["error"]["remedy"] == "pause_job"


async def test_the_same_key_revises_once(api):
    """A repeated request under its key returns the first response."""
    headers = {"Idempotency-Key": "k"}
    first = await api.ann.post("/api/batches/job/recipe", json={"recipe": "second"}, headers=headers)
    again = await api.ann.post("/api/batches/job/recipe", json={"recipe": "second"}, headers=headers)

    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert (await api.ann.get("/api/batches/job")).json()["revision"] == 2


async def test_on_ones_own_machine_any_recipe_is_followed(settings, provider):
    """A server on the user's own machine follows fields and changes, and resumes the job with them."""
    first = Recipe(model="tiny", base_url=provider.base_url, turns=2)
    async with Backstay.open(settings.database_url, owner="local") as backstay:
        await backstay.batches.create("job", _ITEMS, first)
    async with serving(settings, local=True, is_standalone=True) as api:
        changed = await _revise(api, model="large", temperature=1, maxTokens=77)
        fields = {**changed.json()["job"]["recipe"], "model": "third"}
        replaced = await _revise(api, fields=fields)
        await api.ann.post("/api/batches/job/resume")
        job = await api.settled("job")

    assert changed.json()["differences"] == [
        "model: tiny, now large",
        "temperature: none, now 1.0",
        "max_tokens: none, now 77",
    ]
    assert (replaced.json()["revision"], job["completed"]) == (3, 2)
    assert [(call.body["model"], call.body["temperature"]) for call in provider.calls] == [("third", 1.0)] * 2


async def test_a_key_is_not_sent_to_a_host_that_a_request_names(settings, provider, monkeypatch):
    """A recipe of a request needs permission to send a key to its host, also on the user's own machine."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789")
    async with Backstay.open(settings.database_url, owner="local") as backstay:
        await backstay.batches.create("job", _ITEMS, Recipe(model="openai:tiny", turns=2))
    async with serving(settings, local=True, is_standalone=True) as api:
        refused = await _revise(api, fields={"model": "openai:tiny", "base_url": "https://models.example/v1"})

    assert _code(refused) == (503, "api_key_not_allowed")


# -- items -----------------------------------------------------------------------------------------------------------


async def test_an_item_is_shown_and_edited(api, provider):
    """`GET` shows the content of an item, and `PATCH` changes it for the next run."""
    shown = (await api.ann.get("/api/batches/job/items/a")).json()
    body = {"topic": "Lamps", "persona": "a keeper", "setParameters": {"level": 3}, "unsetParameters": ["audience"]}
    edited = await api.ann.patch("/api/batches/job/items/a", json={**body, "digest": shown["digest"]})
    await api.ann.post("/api/batches/job/resume")
    await api.settled("job")

    assert (shown["topic"], shown["parameters"], shown["edited"]) == ("Lighthouses", {"audience": "children"}, False)
    assert edited.status_code == 200
    assert edited.json() | {"digest": None} == {
        "id": "a", "position": 0, "state": "pending", "topic": "Lamps", "persona": "a keeper",
        "parameters": {"level": 3}, "edited": True, "digest": None,
    }  # fmt: skip
    assert sorted(call.topic for call in provider.calls) == ["Lamps", "Tides"]


async def test_a_failed_item_is_edited_and_retried_in_one_request(api, provider):
    """With `retry`, a failed item is pending again; its persona is removed with null."""
    provider.behaviour = lambda call: Status(400) if call.topic == "Tides" else Said()
    await api.ann.post("/api/batches/job/resume")
    await api.settled("job")

    edited = await api.ann.patch("/api/batches/job/items/b", json={"topic": "Ebb", "persona": None, "retry": True})

    job = (await api.ann.get("/api/batches/job")).json()
    assert (edited.json()["state"], edited.json()["persona"]) == ("pending", None)
    assert (job["state"], job["pending"], job["failed"]) == ("pending", 1, 0)


async def test_an_edit_that_cannot_be_made_is_refused(api):
    """An edit of a missing or settled item, an outdated one or one of unusable content is refused."""
    await api.ann.post("/api/batches/job/skip", json={"itemIds": ["b"]})
    before = (await api.ann.get("/api/batches/job/items/a")).json()

    answers = [
        await api.ann.patch(f"/api/batches/job/items/{item}", json=body)
        for item, body in (
            ("none", {"topic": "x"}),
            ("b", {"topic": "x"}),
            ("a", {"topic": "x", "digest": "0" * 64}),
            ("a", {"topic": " "}),
            ("a", {"topics": "x"}),
        )
    ]

    assert [_code(answer) for answer in answers] == [
        (404, "item_not_found"), (409, "invalid_transition"), (409, "plan_outdated"), (422, "invalid_row"),
        (422, "invalid_request"),
    ]  # fmt: skip
    assert (await api.ann.get("/api/batches/job/items/a")).json() == before


async def test_ids_with_slashes_are_ids(settings):
    """An item's id may contain any character; a slash is percent-encoded."""
    async with serving(settings) as api:
        body = {"jobId": "a/b", "items": [{"id": "x/items/y", "topic": "z"}], "processor": "scripted", "start": False}
        (await api.ann.post("/api/batches", json=body)).raise_for_status()

        shown = await api.ann.get("/api/batches/a%2Fb/items/x%2Fitems%2Fy")

    assert shown.json()["id"] == "x/items/y"
