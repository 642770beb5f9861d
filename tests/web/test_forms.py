"""Every form of every page, sent like browsers send it, including empty fields."""

import pytest

from backstay import Conversation, Fail, Halt, Recipe, Selection, Turn
from backstay.generate.allowlist import AllowedEntry
from support.faults.interrupted_delete import cut_off
from support.servers.api import KINDS, cookied, library, serving
from support.servers.route_requests import PAGES
from web._page_forms import Walk

_ASKING = {
    "cancel": "/batches/cancel",
    "discard": "/batches/discard",
    "remove": "/backups/remove",
    "yes": "/conversations/delete-plan",
    "no": "/conversations/delete-plan",
}
"""What cannot be taken back, or takes conversations away, by its button; and the page that asks about it."""


@pytest.fixture
async def local(tmp_path):
    """An application with pages."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True, is_standalone=True) as running:
            yield running


@pytest.fixture
async def browser(local):
    """A signed-in client that sends requests like a browser."""
    async with cookied(local, Accept="text/html,application/xhtml+xml,*/*;q=0.8") as client:
        yield client


async def _doomed(item, work):
    work.raw("no")
    return Halt("it was refused", code="refused")


async def _some(item):
    return Fail("no") if item.id == "c" else Conversation([Turn("user", item.topic), Turn("assistant", "yes")])


async def _made_again(services):
    """Make one of two conversations again, and return the other."""
    await services.batches.run("kept", [{"id": name, "topic": name} for name in "abc"], _some)
    first, second = [stored.id for stored in await services.conversations.list(Selection(job_id="kept"))]
    plan = await services.regenerations.plan(Selection(ids=(first,)), "scripted")
    (job_id,) = (await services.regenerations.start(plan)).job_ids
    await services.batches.resume(job_id)
    return second


async def _walked(local, browser):
    """Return all pages of a server with every kind of content."""
    ids = await local.made(3)
    services = local.state.backstay.for_owner("local")
    await services.batches.run("paused", [{"topic": "x"}], _doomed)
    await services.edits.edit(ids[0], topic="edited")
    waiting = {"jobId": "waiting", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
    (await local.ann.post("/api/batches", json=waiting)).raise_for_status()
    await local.state.backstay._store.waiting_imports.add("local", "imported", {"a": None})
    recipe = Recipe(model="ollama:tiny")
    allowed = local.state.backstay.for_owner("local", AllowedEntry(recipes={"tiny": recipe}))
    await allowed.batches.create("planned", [{"id": "x", "topic": "x"}], recipe)
    deleted = await services.conversations.delete(Selection(ids=(ids.pop(),)))
    walk = await Walk().over(browser, "/batches", f"/conversations?deleteBackupId={deleted.backup_id}", "/backups")
    for rows in (b"topic,persona\nBoats,a keeper\n", b"a,b\n,1\n"):  # the second file has no usable topics
        uploaded = await browser.post("/batches/upload", files={"file": ("topics.csv", rows)})
        await walk.over(browser, uploaded.headers["location"])
    plan = await browser.post("/conversations/delete-plan", data={"id": ids[:2]})
    walk.read("/conversations/delete-plan", plan.text)
    revision = {"id": "planned", "model": "ollama:large"}
    walk.read("/batches/recipe-plan", (await browser.post("/batches/recipe-plan", data=revision)).text)
    chosen = {"id": await _made_again(services), "writer": "processor:scripted"}
    again = await browser.post("/conversations/regenerate-plan", data=chosen)
    walk.read("/conversations/regenerate-plan", again.text)
    await cut_off(services)
    judged = f"/conversations/one?id={ids[0]}&judged={ids[0]}&was=kept-2"
    await walk.over(browser, "/backups?every=false", judged)
    return walk


async def test_every_form_may_be_sent_with_its_optional_fields_empty(local, browser):
    """Each button of each page leads to a page, a file or another address, and never to an unexpected error."""
    walk = await _walked(local, browser)
    presses = [(form, *press) for form in walk.forms for press in form.presses()]
    presses.sort(key=lambda press: press[1].method)  # read-only requests first

    for form, button, empty in presses:
        answer = await browser.request(**form.sent(button, empty))
        what = (form.page, button, empty, answer.status_code, answer.text[:300])
        assert answer.status_code < 500, what
        assert answer.headers.get("content-type") != "application/json", what
        assert button.method == "post" or answer.status_code == 200, what

    pressed = {f"{button.method.upper()} {button.action.partition('?')[0]}" for _, button, _ in presses}
    assert {page for page in PAGES if page.startswith("POST")} | {"GET /batches/new", "GET /conversations"} <= pressed


async def test_a_file_whose_first_columns_do_not_fit_is_started_all_the_same(local, browser):
    """A batch whose guessed columns do not fit can be started after other columns are chosen."""
    uploaded = await browser.post("/batches/upload", files={"file": ("t.csv", b"a,b\n,Boats\n")})
    walk = await Walk().over(browser, uploaded.headers["location"])
    form = next(form for form in walk.forms if form.action == "/batches/new")
    sent = form.sent(form.buttons[0]) | {"url": "/batches/new"}
    sent["params"] |= {"topic": "b", "concurrency": "2", "maxAttempts": "7"}

    again = await browser.request(**sent)
    walk = Walk()
    walk.read("/batches/new", again.text)
    form = walk.forms[0]
    started = await browser.request(**form.sent(form.buttons[1]))

    assert again.status_code == 200
    assert "Boats" in again.text
    assert {control.name: control.value for control in form.fields}.items() >= {
        "concurrency": "2",
        "maxAttempts": "7",
    }.items()
    assert started.status_code == 303
    assert (await local.settled("t"))["completed"] == 1


async def test_what_cannot_be_taken_back_is_asked_about_on_a_page_of_its_own(local, browser):
    """No list and no page has a button that cancels, discards, removes or deletes without a confirmation page."""
    walk = await _walked(local, browser)

    buttons = {
        (value, form.page.partition("?")[0]) for form in walk.forms for b in form.buttons for value in b.sent.values()
    }

    assert {(value, page) for value, page in buttons if value in _ASKING} == set(_ASKING.items())


async def test_a_batch_is_cancelled_once_confirmed(local, browser):
    """Cancelling leads to a confirmation page, and the job continues until its form is sent."""
    body = {"jobId": "j", "items": [{"topic": "x"}, {"topic": "y"}], "processor": "scripted", "start": False}
    (await local.ann.post("/api/batches", json=body)).raise_for_status()
    page = await browser.get("/batches/one?id=j")
    asking = await browser.get("/batches/cancel?id=j")
    before = (await local.ann.get("/api/batches/j")).json()["state"]
    cancelled = await browser.post("/batches/act", data={"id": "j", "action": "cancel"}, follow_redirects=True)

    assert 'href="/batches/cancel?id=j"' in page.text
    assert "2 items will not be generated." in asking.text
    assert (before, (await local.ann.get("/api/batches/j")).json()["state"]) == ("pending", "cancelled")
    assert "Cancel permanently" not in cancelled.text


async def test_an_imported_batch_is_discarded_once_confirmed(local, browser):
    """Discarding an imported batch leads to a confirmation page, and the batch waits until its form is sent."""
    imports = local.state.backstay.for_owner("local").waiting_imports
    await local.state.backstay._store.waiting_imports.add("local", "nightly & more", {"a": None, "gone": "it was late"})
    walk = await Walk().over(browser, "/batches/discard?id=nightly+%26+more")
    page = await browser.get("/batches")
    asking = await browser.get("/batches/discard?id=nightly+%26+more")
    before = [job.job_id for job in await imports.list()]
    form = next(form for form in walk.forms if form.action == "/batches/act")
    await browser.request(**form.sent(form.buttons[0]))

    assert 'href="/batches/discard?id=nightly%20%26%20more"' in page.text
    assert "1 completed item and 1 failed item" in asking.text
    assert (before, await imports.list()) == (["nightly & more"], [])


async def test_every_page_has_a_title_of_its_own(local, browser):
    """Each page's title has the name of the page before the product name, except on the home page."""
    walk = await _walked(local, browser)
    first = Walk()
    first.read("/", (await local.anonymous.get("/")).text)

    assert first.titles["/"] == "Backstay"
    for address, title in walk.titles.items():
        name, _, program = title.rpartition(" · ")
        assert (name not in ("", "Backstay"), program) == (True, "Backstay"), (address, title)


async def test_deleted_conversations_are_made_again(local, browser):
    """The page of a batch says that conversations were deleted, and its button makes them again at once."""
    ids = await local.made(3)
    services = local.state.backstay.for_owner("local")
    whole = await browser.get("/batches/one?id=job")
    await services.conversations.delete(Selection(ids=(ids[0],)))
    page = await browser.get("/batches/one?id=job")

    after = await browser.post("/batches/act", data={"id": "job", "action": "retry-deleted"}, follow_redirects=True)
    await local.settled("job")

    assert "Make deleted conversations again" not in whole.text
    assert "1 conversation was deleted." in page.text
    assert "Make deleted conversations again" in page.text
    assert after.status_code == 200
    assert await services.conversations.count(Selection(job_id="job")) == 3


async def test_an_export_adds_fields_on_request(local, browser):
    """The box next to the format adds id, parameters and usage; the native format has them anyway."""
    ids = await local.made(1)
    data = {"id": ids, "format": "messages"}

    plain = await browser.post("/conversations/export", data=data)
    added = await browser.post("/conversations/export", data={**data, "withFields": "true"})
    native = await browser.post("/conversations/export", data={**data, "format": "native", "withFields": "true"})

    assert plain.json().keys() == {"messages"}
    assert added.json().keys() == {"messages", "id", "parameters", "usage"}
    assert native.json()["metadata"]["generation"]["processor"] == "scripted"
