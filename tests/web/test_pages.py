"""Pages as plain HTML without a browser: links, forms and protection."""

import json
import re
from html import unescape

import pytest

from backstay.limits import MAX_IDS, MAX_PAGE, MAX_PERSONA, MAX_SEARCH
from backstay.server.web.page_templates import format_distance, format_size
from support.fakes.clock import NOON
from support.servers.api import KINDS, ORIGIN, cookied, library, serving
from support.servers.route_requests import PAGES
from support.stores.sql import ask

SQLITE = KINDS[0]


@pytest.fixture
async def local(tmp_path):
    """An application with pages."""
    with library(SQLITE, tmp_path) as settings:
        async with serving(settings, local=True) as running:
            yield running


@pytest.fixture
async def browser_like(local):
    """A client with a cookie that sends an Origin header like a browser."""
    async with cookied(local) as client:
        yield client


def _fields(page, name):
    return [unescape(value) for value in re.findall(rf'name="{name}" value="([^"]*)"', page)]


async def test_a_batch_is_started_without_a_script(local, browser_like):
    """A batch can be started through forms and links alone, from the file to the items."""
    uploaded = await browser_like.post(
        "/batches/upload", files={"file": ("my topics.csv", b"key,subject\nk1,Boats\nk2,Knots\n")}
    )
    columns = await browser_like.get(uploaded.headers["location"])
    file = _fields(columns.text, "file")[0]
    fields = {"file": file, "jobId": "mine", "writer": "processor:scripted", "topic": "subject", "idColumn": "key"}
    started = await browser_like.post("/batches/start", data=fields)
    await local.settled("mine")
    page = await browser_like.get(started.headers["location"])

    assert 'value="my topics"' in columns.text
    assert "Boats" in columns.text
    assert started.status_code == 303
    assert page.status_code == 200
    assert "k1" in page.text
    assert page.text.count(">Read<") == 2


async def test_columns_that_do_not_fit_are_reported(browser_like):
    """The page where columns are chosen reports columns that do not fit, and disables the start."""
    uploaded = await browser_like.post("/batches/upload", files={"file": ("t.csv", b"a,b\n,1\n")})

    page = await browser_like.get(uploaded.headers["location"])

    assert "the topic is missing or empty" in page.text
    assert "disabled" in page.text


async def test_options_say_how_a_file_is_read(local, browser_like):
    """A batch from a file in another encoding and with bad rows starts once the options on the page allow it."""
    content = "topic;tone\ncafé;warm\nshort\ntea;cold\n".encode("cp1252")
    uploaded = await browser_like.post("/batches/upload", files={"file": ("t.csv", content)})
    new, _, file_id = uploaded.headers["location"].partition("?file=")
    file = {"file": file_id}
    options = {"encoding": "cp1252", "delimiter": ";", "onBadRow": "skip"}

    unread = await browser_like.get(new, params=file)
    misread = await browser_like.get(new, params={**file, "encoding": "cp1253x"})
    refused = await browser_like.get(new, params={**file, "encoding": "cp1252"})
    good = await browser_like.get(new, params={**file, **options, "topic": ""})
    fields = {"file": _fields(good.text, "file")[0], "jobId": "j", "writer": "processor:scripted", "topic": "topic"}
    started = await browser_like.post("/batches/start", data={**fields, **options})
    await local.settled("j")

    assert "t.csv line 2: not UTF-8 text, but probably cp1252" in unread.text
    assert "did you mean cp1253?" in misread.text
    assert "t.csv line 3: 1 cell where the header has 2" in refused.text
    assert "t.csv: columns are separated by semicolons." in refused.text
    for page in (unread, misread, refused):
        assert "disabled" in page.text
        assert '<details class="wide" open>' in page.text
    assert "disabled" not in good.text
    assert "café" in good.text
    assert started.status_code == 200
    assert "has 2 items from" in started.text
    assert "1 row was left out:" in started.text
    assert "Line 3: 1 cell where the header has 2" in started.text
    assert 'href="/batches/one?id=j"' in started.text


async def test_a_file_is_imported_without_a_script(local, browser_like):
    """The page after an import shows counts, rows left out, what trainers would refuse, and notes on the file."""
    content = 'prompt;completion\n"Hi";"Ça va?"\nonly\nshort\n'.encode("cp1252")
    form = await browser_like.get("/conversations/import")

    async def send(content, name="c.csv", **fields):
        return await browser_like.post("/conversations/import", files={"file": (name, content)}, data=fields)

    refused = await send(content, encoding="cp1252", onConflict="")
    imported = await send(content, encoding="cp1252", delimiter="", onBadRow="skip", onConflict="new")
    unchosen = await browser_like.post("/conversations/import", files={"file": ("", b"")})
    asking = b'{"messages": [{"role": "user", "content": "Hi"}]}'
    strict = await send(asking, name="a.jsonl", strict="true")
    warned = await send(asking, name="a.jsonl")
    prefixed = await send(asking.replace(b"{", b'{"id": "1", ', 1), name="a.jsonl", idPrefix="b/")

    assert 'enctype="multipart/form-data"' in form.text
    assert refused.status_code == 422
    assert "c.csv line 3: 1 cell where the header has 2" in refused.text
    assert "1 more row is unusable. Leave such rows out" in refused.text
    assert imported.status_code == 200, imported.text
    assert "<h1>1 conversation imported</h1>" in imported.text
    assert "2 rows were left out:" in imported.text
    assert "Line 3: 1 cell where the header has 2" in imported.text
    assert "c.csv: columns are separated by semicolons." in imported.text
    assert (unchosen.status_code, strict.status_code, warned.status_code) == (422, 422, 200)
    assert "Trainers would refuse 1 conversation:" in warned.text
    assert "1 has no turn of the assistant (first: line 1, turn 1)" in warned.text
    assert 'name="idPrefix"' in form.text
    assert prefixed.status_code == 200
    assert "b/1" in [each["id"] for each in (await local.ann.get("/api/conversations")).json()["conversations"]]
    assert len((await local.ann.get("/api/conversations")).json()["conversations"]) == 3


async def test_prompts_of_a_recipe_are_shown_before_anything_is_sent(tmp_path):
    """The page shows the recipe's prompts for the chosen columns before anything is sent."""
    (tmp_path / "r.toml").write_text('model = "openai:m"\nprompt = "Write about {{ topic }} for {{ who }}."\nturns = 3')
    with library(SQLITE, tmp_path) as settings:
        async with serving(settings, local=True, recipes={"r": str(tmp_path / "r.toml")}) as running:
            upload = {"file": ("t.csv", b"subject,who\nBoats,children\n")}
            origin = {"Origin": ORIGIN}
            uploaded = await running.ann.post("/batches/upload", files=upload, headers=origin)
            page = await running.ann.get(uploaded.headers["location"])

    assert "Write about Boats for children." in page.text
    assert "With 3 turns each conversation ends with the user" in page.text


async def test_a_delete_is_planned_done_and_undone_without_a_script(local, browser_like):
    """A delete and its undo work through forms alone."""
    ids = await local.made(3)
    plan = await browser_like.post("/conversations/delete-plan", data={"id": ids[:2]})
    fields = {name: _fields(plan.text, name)[0] for name in ("digest", "scope", "ids")}
    deleted = await browser_like.post("/conversations/delete", data={**fields, "backup": "yes"})
    listed = await browser_like.get(deleted.headers["location"])
    after = (await local.ann.get("/api/conversations")).json()["conversations"]
    undo = {"id": _fields(listed.text, "id")[0], "back": "conversations"}
    undone = await browser_like.post("/backups/restore", data=undo)

    assert "Delete 2 conversations?" in plan.text
    assert "2 conversations deleted." in listed.text
    assert len(after) == 1
    assert undone.status_code == 303
    assert len((await local.ann.get("/api/conversations")).json()["conversations"]) == 3


@pytest.mark.parametrize("typed", ["", "yes", "delete"])
async def test_nothing_goes_without_a_backup_unless_it_was_typed(local, browser_like, typed):
    """A delete without a backup is refused unless the phrase was typed."""
    ids = await local.made(2)
    plan = await browser_like.post("/conversations/delete-plan", data={"id": ids})
    fields = {name: _fields(plan.text, name)[0] for name in ("digest", "scope", "ids")}
    refused = await browser_like.post("/conversations/delete", data={**fields, "backup": "no", "confirmation": typed})

    assert refused.status_code == 422
    assert "to delete without a backup, type" in refused.text
    assert len((await local.ann.get("/api/conversations")).json()["conversations"]) == 2


async def test_all_that_match_are_exported(local, browser_like):
    """An export of all matching conversations is not limited to one page, and nothing selected means all of them."""
    await local.made(3, job_id="one")
    await local.made(2, job_id="two")

    exported = await browser_like.post("/conversations/export", data={"scope": "all", "job": "one", "format": "native"})
    matching = await browser_like.post("/conversations/export", data={"job": "two", "format": "native"})
    nothing = await browser_like.post("/conversations/export", data={"ids": "", "format": "native"})

    assert exported.text.count("\n") == 3
    assert "attachment" in exported.headers["content-disposition"]
    assert matching.text.count("\n") == 2
    assert nothing.text.count("\n") == 5


@pytest.mark.parametrize(("field", "limit"), [("search", MAX_SEARCH), ("persona", MAX_PERSONA)])
async def test_a_filter_has_the_same_limit_everywhere(local, browser_like, field, limit):
    """A list, a selection and a page accept the longest search text and persona, and nothing longer."""

    async def statuses(text):
        listed = await local.ann.get("/api/conversations", params={field: text})
        exported = await local.ann.post("/api/conversations/export", json={field: text})
        page = await browser_like.get("/conversations", params={field: text})
        return listed.status_code, exported.status_code, page.status_code

    assert await statuses("x" * limit) == (200, 200, 200)
    assert await statuses("x" * (limit + 1)) == (422, 422, 422)


async def test_forms_state_the_limits_that_apply(local, browser_like):
    """A form field has the length that its request accepts, and the script of the page reads its limits there."""
    await local.made(1)

    page = (await browser_like.get("/conversations")).text

    assert re.findall(r'name="(search|persona)".*? maxlength="(\d+)"', page) == [
        ("search", f"{MAX_SEARCH}"),
        ("persona", f"{MAX_PERSONA}"),
    ]
    assert f'data-max-ids="{MAX_IDS}" data-max-page="{MAX_PAGE}"' in page


async def _some_gone(local, count):
    """Create three conversations and delete the first ones; return all ids."""
    ids = await local.made(3)
    body = {"conversationIds": ids[:count]}
    plan = (await local.ann.post("/api/conversations/delete-plan", json={"selection": body})).json()
    body_of_delete = {"selection": body, "digest": plan["digest"]}
    (await local.ann.post("/api/conversations/delete", json=body_of_delete)).raise_for_status()
    return ids


async def test_an_export_of_which_some_is_gone_offers_the_rest(local, browser_like):
    """An export with missing conversations names them, sends nothing, and offers the others."""
    first, *others = await _some_gone(local, 1)
    page = await browser_like.post("/conversations/export", data={"ids": "\n".join([first, *others]), "format": "csv"})
    fields = {name: _fields(page.text, name)[0] for name in ("ids", "format")}
    rest = await browser_like.post("/conversations/export", data=fields)

    assert page.status_code == 404
    assert "1 selected conversation no longer exists" in page.text
    assert first in page.text
    assert fields == {"ids": "\n".join(others), "format": "csv"}
    assert "Export the 2 others" in page.text
    assert 'filename="conversations.csv"' in rest.headers["content-disposition"]


async def test_an_export_that_would_lose_something_says_what(local, browser_like):
    """A format that cannot hold something sends a page with what and how often, whose form exports anyway."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "metadata": {"tool_calls": [call, call], "reasoning": "Hm."}},
    ]
    row = json.dumps({"id": "a b", "persona": "p", "conversation_turns": turns}).encode()
    (await local.ann.post("/api/conversations/import", files={"file": ("a.jsonl", row)})).raise_for_status()

    for selected in ({"ids": "a b"}, {"scope": "all", "persona": "p"}, {}):
        page = await browser_like.post("/conversations/export", data={**selected, "format": "sharegpt"})
        fields = {name: _fields(page.text, name)[0] for name in ("ids", "format", "scope", "confirmed")}
        filters = {"persona": "p"} if "persona" in selected else {}
        exported = await browser_like.post("/conversations/export", data={**fields, **filters})

        assert page.status_code == 422
        assert "Ids of tool calls" in page.text
        assert "2 in 1 conversation<" in page.text
        assert 'name="persona" value="p"' in page.text or not filters
        assert (exported.status_code, exported.text.count("\n")) == (200, 1)


async def test_an_export_that_trainers_would_refuse_asks_first(local, browser_like):
    """The warnings of an export for training are shown before it, with the fields that are not written."""
    row = b'{"id": "asking", "topic": "t", "messages": [{"role": "user", "content": "Hi"}]}'
    (await local.ann.post("/api/conversations/import", files={"file": ("a.jsonl", row)})).raise_for_status()

    page = await browser_like.post("/conversations/export", data={"format": "messages"})
    fields = {name: _fields(page.text, name)[0] for name in ("ids", "format", "scope", "confirmed")}
    confirmed = await browser_like.post("/conversations/export", data=fields)
    native = await browser_like.post("/conversations/export", data={"format": "native"})

    assert page.status_code == 422
    assert "Trainers would refuse 1 conversation:" in page.text
    assert "1 has no turn of the assistant (first: conversation &#39;asking&#39;, turn 1)" in page.text
    assert (
        "This format does not write id, topic, created_at, updated_at; All fields (JSONL) has every field." in page.text
    )
    assert (confirmed.status_code, confirmed.text.count("\n")) == (200, 1)
    assert (native.status_code, native.text.count("\n")) == (200, 1)


async def test_an_export_of_what_is_all_gone_offers_nothing(local, browser_like):
    """An export of only missing conversations offers no download, but names the list of backups."""
    ids = await _some_gone(local, 3)

    for address in ("/conversations/export", "/conversations/delete-plan"):
        page = await browser_like.post(address, data={"id": ids})
        assert page.status_code == 404
        assert "The selected conversations no longer exist" in page.text
        assert "Export the" not in page.text
        assert 'href="/backups"' in page.text


async def test_a_delete_of_which_some_is_gone_is_about_the_rest(local, browser_like):
    """The plan counts missing conversations, and its form deletes the others."""
    ids = await _some_gone(local, 1)
    plan = await browser_like.post("/conversations/delete-plan", data={"id": ids})
    fields = {name: _fields(plan.text, name)[0] for name in ("digest", "scope", "ids")}
    deleted = await browser_like.post("/conversations/delete", data={**fields, "backup": "yes"})

    assert "Delete 2 conversations?" in plan.text
    assert "1 selected conversation no longer exists." in plan.text
    assert re.search(r"needs about \d\.\d kB", plan.text)
    assert "deleteBackupId=" in deleted.headers["location"]
    assert (await local.ann.get("/api/conversations")).json()["conversations"] == []


async def test_backups_are_pinned_verified_and_removed_without_a_script(local, browser_like):
    """Backups can be pinned, verified and removed through forms alone."""
    ids = await local.made(1)
    created = await local.ann.post("/api/backup/create", json={"conversationIds": ids})
    backup = created.json()["backupId"]

    for action, notice in (
        ("pin", "is pinned"),
        ("verify", "is intact"),
        ("unpin", "no longer pinned"),
        ("remove", "removed"),
    ):
        answer = await browser_like.post("/backups/act", data={"id": backup, "action": action})
        assert notice in (await browser_like.get(answer.headers["location"])).text


@pytest.mark.parametrize("path", ["/batches", "/conversations", "/backups", "/batches/one?id=x"])
async def test_pages_need_a_sign_in(local, path):
    """A page without a cookie says how to sign in."""
    answer = await local.anonymous.get(path)

    assert answer.status_code == 401
    assert "You are signed out" in answer.text


@pytest.mark.parametrize("page", sorted(PAGES))
async def test_no_page_is_open(local, browser_like, page):
    """Every page needs the cookie, and every form an origin of the server."""
    method, _, path = page.partition(" ")
    stranger = await local.anonymous.request(method, path, headers={"Origin": ORIGIN})
    del browser_like.headers["Origin"]
    elsewhere = await browser_like.request(method, path, headers={"Origin": "https://evil.example"})

    assert stranger.status_code == 401
    assert method == "GET" or elsewhere.status_code == 403


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example"])
@pytest.mark.parametrize(
    "path", ["/batches/upload", "/batches/act", "/conversations/delete", "/backups/act", "/backups/restore"]
)
async def test_forms_of_other_sites_are_refused(browser_like, path, origin):
    """A form with the cookie but another origin is refused."""
    del browser_like.headers["Origin"]

    answer = await browser_like.post(path, data={"id": "x"}, headers={"Origin": origin} if origin else {})

    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/batches", "/conversations", "/backups", "/docs", "/backups/one?id=none"])
async def test_every_page_has_the_strict_policy(browser_like, path):
    """Every page has a policy without inline code, external content or markup from strings."""
    page = await browser_like.get(path, follow_redirects=True)
    policy = page.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|https?://(?!127)", page.text)


@pytest.mark.parametrize("name", ["backstay.js", "backstay.css", "pages/batch.js", "mark.svg"])
async def test_scripts_and_styles_are_public(local, name):
    """Static files are public, and are not sent again to clients that have them."""
    first = await local.anonymous.get(f"/static/{name}")
    again = await local.anonymous.get(f"/static/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert first.status_code == 200
    assert again.status_code == 304


async def test_scripts_and_styles_of_a_page_are_kept(local):
    """A page names its scripts and styles by a version that browsers keep; those of another are asked for again."""
    page = (await local.ann.get("/conversations")).text
    (folder,) = set(re.findall(r"/static/(v-\w+)/", page))
    names = re.findall(r'"/static/([^"]*)"', page)
    kept = [await local.anonymous.get(f"/static/{name}") for name in (*names, f"{folder}/client.js")]
    others = [await local.anonymous.get(f"/static/{name}") for name in ("client.js", "v-0/client.js")]
    missing = await local.anonymous.get(f"/static/{folder}/none.js")

    assert len(names) >= 4
    assert all(name.startswith(f"{folder}/") for name in names)
    assert {answer.headers["cache-control"] for answer in kept} == {"public, max-age=31536000, immutable"}
    assert [(answer.status_code, answer.headers["cache-control"]) for answer in others] == [(200, "no-cache")] * 2
    assert others[1].content == kept[-1].content
    assert (missing.status_code, "immutable" in missing.headers.get("cache-control", "")) == (404, False)


@pytest.mark.parametrize("name", ["../home.py", "v-0/../home.py", "%2e%2e/home.py", "/etc/passwd", "pages", ""])
async def test_only_the_packages_own_files_are_static(local, name):
    """Static names that point outside the package get 404."""
    assert (await local.anonymous.get(f"/static/{name}")).status_code in (404, 401)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1 byte"), (999, "999 bytes"), (1_500, "1.5 kB"), (999_999, "1.0 MB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes_are_formatted_for_people(number, text):
    """Sizes are formatted in powers of a thousand."""
    assert format_size(number) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2024-02-29T12:00:00Z", "just now"),
        ("2024-03-07T12:00:00Z", "in 7 days"),
        ("2024-02-29T10:59:00Z", "1 hour ago"),
        ("2024-02-29T11:00:15Z", "1 hour ago"),
        ("2024-03-01T11:50:00Z", "in 1 day"),
        ("2024-02-29T12:00:59Z", "in less than a minute"),
    ],
)
def test_distances_are_formatted_for_people(moment, text):
    """Distances are formatted relative to now."""
    assert format_distance(moment, NOON) == text


async def test_related_rows_are_shown_before_a_delete(tmp_path):
    """The page of a delete shows the related rows of other tables."""
    with library(SQLITE, tmp_path) as settings:
        async with serving(settings, local=True) as running:
            ids = await running.made(1)
            database = tmp_path / "library.db"
            ask(database, "CREATE TABLE remarks (of INTEGER REFERENCES conversations (key) ON DELETE CASCADE)")
            ask(database, "INSERT INTO remarks SELECT key FROM conversations")
            plan = await running.ann.post("/conversations/delete-plan", data={"id": ids}, headers={"Origin": ORIGIN})

    assert "<code>remarks</code> 1 row deleted" in plan.text
