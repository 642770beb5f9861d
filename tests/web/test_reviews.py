"""The forms that review conversations, as a browser without scripts sends them."""

import re

import pytest

from backstay.library.review import Review
from support.servers.api import KINDS, cookied, library, serving

HOSTILE = '<img src=x onerror=alert(1)> "quoted" \u202e'
UNREVIEWED = Review().digest()
_ACCEPT = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
async def local(tmp_path):
    """An application with pages."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings.model_copy(update={"reviewer": HOSTILE.strip()}), local=True) as running:
            yield running


@pytest.fixture
async def browser(local):
    """A signed-in client that sends requests like a browser."""
    async with cookied(local, Accept=_ACCEPT) as client:
        yield client


async def _review(local, conversation_id):
    return (await local.ann.get(f"/api/conversations/{conversation_id}")).json()["review"]


async def test_a_conversation_is_reviewed_on_its_page(local, browser):
    """The form of a conversation saves its whole review, shows it as text, and removes what is emptied."""
    first, *_ = await local.made(2)
    form = {
        "id": first, "expected": UNREVIEWED, "status": "kept", "rating": "4",
        "tags": f"b, c\r\n{HOSTILE}\r\n\r\na,", "note": f"{HOSTILE}\r\n2",
    }  # fmt: skip

    saved = await browser.post("/conversations/one", data=form)
    page = (await browser.get(saved.headers["location"])).text
    review = await _review(local, first)
    emptied = {"id": first, "expected": review["digest"], "status": "unreviewed", "rating": ""}
    await browser.post("/conversations/one", data=emptied)

    assert saved.status_code == 303
    assert (review["status"], review["rating"], review["note"]) == ("kept", 4, f"{HOSTILE}\n2")
    assert review["tags"] == sorted(["a", "b", "c", HOSTILE.strip()])
    assert ">Review saved.<" in page
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 3  # in the tags, the note and the reviewer
    assert re.search(r'<option value="4" selected>', page)
    assert (await _review(local, first))["reviewedAt"] is None


async def test_any_place_is_returned_to(local, browser):
    """A form with a place that no list has is stored, and what is wrong with the place is for the list to say."""
    (one,) = await local.made(1)

    answer = await browser.post(
        "/conversations/review", data={"id": one, "change": "kept", "place": "page=2&request=x"}
    )

    assert answer.headers["location"] == "/conversations?page=2&request=x&reviewed=1"
    assert (await _review(local, one))["status"] == "kept"
    assert (await browser.get(answer.headers["location"])).status_code == 422


async def test_selected_conversations_are_reviewed_from_the_list(local, browser):
    """Each button reviews the selected conversations, and shows the same page of the list again."""
    ids = await local.made(3)
    chosen = {"id": ids[:2]}

    kept = await browser.post(
        "/conversations/review", data={**chosen, "change": "kept", "place": "status=unreviewed&sort=longest"}
    )
    await browser.post("/conversations/review", data={**chosen, "change": "rating", "newRating": "2"})
    await browser.post("/conversations/review", data={**chosen, "change": "tag", "newTag": HOSTILE})
    await browser.post("/conversations/review", data={"change": "rejected", "scope": "all", "ratingBelow": "3"})
    page = (await browser.get(f"{kept.headers['location']}")).text
    by_review = await browser.get(
        "/conversations", params={"status": "rejected", "ratingFrom": "2", "ratingBelow": "3", "tag": HOSTILE.strip()}
    )

    assert kept.headers["location"] == "/conversations?status=unreviewed&sort=longest&reviewed=2"
    assert "2 conversations reviewed." in page
    assert '<option value="unreviewed" selected>' in page
    assert by_review.text.count('name="id"') == 2
    assert "<img src=x" not in by_review.text
    assert [(await _review(local, each))["status"] for each in ids] == ["rejected"] * 2 + ["unreviewed"]


@pytest.mark.parametrize(
    ("page", "data", "message"),
    [
        ("/conversations/review", {"change": "kept"}, "Nothing is selected"),
        ("/conversations/review", {"change": "tag", "newTag": "", "id": "x"}, "is empty"),
        ("/conversations/review", {"change": "kept", "id": "none"}, "not found, so nothing was changed"),
        ("/conversations/one", {"id": "x", "status": "kept"}, "Conversation &#39;x&#39; not found"),
    ],
)
async def test_wrong_reviews_are_refused(local, browser, page, data, message):
    """A form with a wrong value, or without a selection, is refused by a page that says why."""
    refused = await browser.post(page, data={"expected": UNREVIEWED, **data})

    assert refused.status_code in (404, 422)
    assert message in refused.text
    assert refused.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rating": "9"}, "The rating must be a whole number"),
        ({"tags": f"{'x' * 101}, good"}, "has 101 characters"),
        ({"tags": "\x00"}, "a control character"),
    ],
)
async def test_a_wrong_review_stays_in_its_form(local, browser, wrong, message):
    """A review with a wrong value is refused on the conversation's page, whose form has everything that was typed."""
    (first,) = await local.made(1)
    form = {"id": first, "expected": UNREVIEWED, "status": "rejected", "note": "a long note", **wrong}

    refused = await browser.post("/conversations/one", data=form)

    assert (refused.status_code, message in refused.text) == (422, True)
    assert "a long note</textarea>" in refused.text
    assert '<option value="rejected" selected>' in refused.text
    assert (await _review(local, first))["status"] == "unreviewed"


async def test_a_form_of_an_old_page_overwrites_no_newer_review(local, browser):
    """A form opened before another review was saved shows that one, keeps what was typed, and can then save."""
    (first,) = await local.made(1)
    path = f"/api/conversations/{first}"
    newer = (await local.ann.patch(path, json={"status": "kept", "note": HOSTILE, "tags": ["theirs"]})).json()["review"]
    form = {"id": first, "expected": UNREVIEWED, "status": "rejected", "tags": "mine", "note": "a long note"}

    refused = await browser.post("/conversations/one", data=form)
    unchanged = await _review(local, first)
    (expected,) = re.findall(r'name="expected" value="(\w+)"', refused.text)
    saved = await browser.post("/conversations/one", data={**form, "expected": expected})

    assert (refused.status_code, unchanged) == (409, newer)
    assert "The review was changed since you opened this page, so yours was not saved." in refused.text
    assert "mine</textarea>" in refused.text
    assert "a long note</textarea>" in refused.text
    assert '<bdi class="tag">theirs</bdi>' in refused.text
    assert "<img src=x" not in refused.text
    assert expected == newer["digest"]
    assert (saved.status_code, (await _review(local, first))["note"]) == (303, "a long note")


async def test_enter_in_a_field_of_the_list_presses_no_button(local, browser):
    """The first button of the list's form, which Enter would press, is disabled: it would otherwise export."""
    await local.made(1)

    page = (await browser.get("/conversations")).text
    form = page[page.index("data-selecting") :]

    assert re.search(r"<button(?! type=.button)[^>]*>", form)[0] == "<button disabled hidden>"
