"""The pages that change a recipe and an item, used like a browser without scripts uses them."""

import json
from html import unescape

import pytest

from backstay import Recipe
from backstay.generate.allowlist import AllowedEntry
from support.servers.api import KINDS, cookied, library, serving
from web._page_forms import Walk

_HOSTILE = "<script>alert(1)</script>\"&'"
_RECIPE = Recipe(model="ollama:tiny", turns=2)


@pytest.fixture
async def local(tmp_path):
    """An application on the user's own machine, with a job of a recipe."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True, is_standalone=True) as running:
            services = running.state.backstay.for_owner("local", AllowedEntry(recipes={"": _RECIPE}))
            items = [{"id": "a", "topic": _HOSTILE, "audience": "children"}, {"id": "b", "topic": "Tides"}]
            await services.batches.create("job", items, _RECIPE)
            yield running


@pytest.fixture
async def browser(local):
    async with cookied(local, Accept="text/html") as client:
        yield client


def _form(page, action):
    walk = Walk()
    walk.read("/", page)
    return next(form for form in walk.forms if form.buttons[0].action == action)


async def _send(browser, form, *, files=None, button=0, **values):
    request = form.sent(form.buttons[button])
    request["data"] |= values
    request["files"] = files or None
    return await browser.request(**request)


async def test_a_recipe_file_is_shown_then_followed(local, browser):
    """A recipe file is uploaded, what it changes is shown, and the batch shows the revision once it is confirmed."""
    page = await browser.get("/batches/recipe?id=job")
    recipe = f'model = "ollama:large"\nturns = 2\nsystem = """{_HOSTILE}"""\n'
    files = {"file": ("new.toml", recipe.encode())}
    plan = await _send(browser, _form(page.text, "/batches/recipe-plan"), files=files)
    before = (await local.ann.get("/api/batches/job")).json()["revision"]
    revised = await _send(browser, _form(plan.text, "/batches/recipe"))
    batch = await browser.get("/batches/one?id=job")

    assert "model: ollama:tiny, now ollama:large" in plan.text
    assert "It applies to 2 items that are not settled: 2 calls, about" in plan.text
    assert (before, revised.status_code) == (1, 303)
    assert (await local.ann.get("/api/batches/job")).json()["recipe"]["system"] == _HOSTILE
    assert 'li value="2">ollama:large' in batch.text
    assert "system: added" in batch.text


async def test_single_fields_change_the_present_recipe(local, browser):
    """The fields of the form change the current recipe; texts of others appear as text on every page."""
    page = await browser.get("/batches/recipe?id=job")
    values = {"model": f"ollama:{_HOSTILE}", "temperature": "0.5", "maxTokens": "99"}
    plan = await _send(browser, _form(page.text, "/batches/recipe-plan"), **values)
    await _send(browser, _form(plan.text, "/batches/recipe"))
    pages = [plan, await browser.get("/batches/recipe?id=job"), await browser.get("/batches/one?id=job")]

    recipe = (await local.ann.get("/api/batches/job")).json()["recipe"]
    assert (recipe["model"], recipe["temperature"], recipe["max_tokens"]) == (f"ollama:{_HOSTILE}", 0.5, 99)
    for shown in pages:
        assert "<script>alert" not in shown.text
        assert f"ollama:{_HOSTILE}" in unescape(shown.text)


async def test_the_present_recipe_changes_nothing(local, browser):
    """The current recipe is recognized, and there is nothing to confirm."""
    plan = await browser.post("/batches/recipe-plan", data={"id": "job", "model": "ollama:tiny"})

    assert "Nothing differs" in plan.text
    assert 'action="/batches/recipe"' not in plan.text


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("r.txt", b"model = 'x'", 415, "must end in .toml, .yaml, .yml"),
        ("r.toml", b"model = ", 422, "r.toml is not valid TOML"),
        ("r.toml", b"turns = 2", 422, "names no model"),
        ("r.toml", b"model = 'ollama:x'\nprompt = '{{ level }}'", 422, "(line 1 of the input)"),
    ],
)
async def test_a_file_that_is_no_recipe_is_refused(browser, name, content, status, message):
    """A file that is no recipe, or does not fit the items, is refused with its name and the reason."""
    refused = await browser.post("/batches/recipe-plan", data={"id": "job"}, files={"file": (name, content)})

    assert refused.status_code == status
    assert message in unescape(refused.text)


async def test_a_server_for_others_offers_its_recipes(tmp_path):
    """A server for others offers the recipes of its settings, and neither a file nor fields."""
    path = tmp_path / "tiny.toml"
    path.write_text('model = "ollama:tiny"\nturns = 2\n')
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True, recipes={"tiny": str(path)}) as running:
            body = {"jobId": "job", "items": [{"topic": "x"}], "recipe": "tiny", "start": False}
            (await running.ann.post("/api/batches", json=body)).raise_for_status()
            async with cookied(running, Accept="text/html") as browser:
                page = await browser.get("/batches/recipe?id=job")

    assert '<option value="tiny">' in page.text
    assert 'type="file"' not in page.text
    assert 'name="model"' not in page.text


async def test_an_item_is_edited_on_its_page(local, browser):
    """The page of an item shows its content as text, and stores topic, persona and parameters from the form."""
    batch = await browser.get("/batches/one?id=job")
    page = await browser.get("/batches/item?id=job&item=a")
    values = {"topic": "Lamps", "persona": "a keeper", "parameters": json.dumps({"level": 3})}
    edited = await _send(browser, _form(page.text, "/batches/item"), **values)
    item = (await local.ann.get("/api/batches/job/items/a")).json()
    again = await _send(browser, _form(page.text, "/batches/item"), topic="second")

    assert 'href="/batches/item?id=job&amp;item=a"' in batch.text or 'href="/batches/item?id=job&item=a"' in batch.text
    assert "<script>alert" not in page.text
    assert edited.status_code == 303
    assert (item["topic"], item["persona"], item["parameters"]) == ("Lamps", "a keeper", {"level": 3})
    assert "Item saved." in (await browser.get(edited.headers["location"])).text
    assert again.status_code == 409
    assert "has changed meanwhile" in unescape(again.text)
    assert "second</textarea>" in again.text


async def test_a_form_sent_unchanged_is_no_edit(local, browser):
    """A form that is sent as it was shown leaves the item as its input has it."""
    page = await browser.get("/batches/item?id=job&item=a")

    sent = await _send(browser, _form(page.text, "/batches/item"))

    assert sent.status_code == 303
    item = (await local.ann.get("/api/batches/job/items/a")).json()
    assert (item["topic"], item["edited"]) == (_HOSTILE, False)


@pytest.mark.parametrize(("parameters", "message"), [("{", "are not valid JSON"), ("[1]", "must be a JSON object")])
async def test_parameters_that_are_no_object_are_refused(browser, parameters, message):
    """Parameters that are not a JSON object are refused with the reason, in the form with what was typed."""
    page = await browser.get("/batches/item?id=job&item=a")

    refused = await _send(browser, _form(page.text, "/batches/item"), parameters=parameters, topic="typed topic")

    assert refused.status_code == 422
    assert message in unescape(refused.text)
    assert f"{parameters}</textarea>" in refused.text
    assert "typed topic</textarea>" in refused.text
