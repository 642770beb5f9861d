"""Reviews of conversations in an app's own tables: they go with the app's rows, and with the adoption."""

import asyncio

import pytest

from backstay import Backstay, ReviewChange, ReviewStatus, Selection
from support.stores import chat_app, postgres
from support.stores.chat_app import WANTED, sql
from support.stores.supabase import ANN, BOB

_ALL = Selection(everything=True)
_CHANGE = ReviewChange(ReviewStatus.KEPT, 4, "Ann's note", tags=["a"])


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database with the app's tables and Backstay's."""
    postgres.need_a_server()
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    url = chat_app.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def reviewed(url):
    """Return Ann's library in the app's tables, with a review of each conversation."""
    await Backstay.open(url, owner=ANN).adopt(*WANTED)
    async with Backstay.open(url, owner=ANN) as backstay:
        assert (await backstay.reviews.change(_ALL, _CHANGE, reviewer="Ann")).changed > 5
        yield backstay


async def _sql(url, statement):
    return await asyncio.to_thread(sql, url, statement)


async def _counts(url):
    tables = ("conversation_reviews", "conversation_tags")
    return [(await _sql(url, f"SELECT count(*) FROM backstay.{table}"))[0][0] for table in tables]


async def test_reviews_go_with_the_rows_of_the_app(reviewed, url):
    """When the app deletes a row, or truncates its table, the reviews and tags are gone."""
    reviews, _ = await _counts(url)

    await _sql(url, "DELETE FROM chats WHERE title = 'chat 2'")
    assert await _counts(url) == [reviews - 1, reviews - 1]
    await _sql(url, "TRUNCATE chats CASCADE")

    assert await _counts(url) == [0, 0]


async def test_a_review_survives_what_keeps_its_row(reviewed, url):
    """A review stays when the app changes its row or gives it another id, and when the tables are adopted again."""
    await _sql(url, f"INSERT INTO chats (user_id, title) VALUES ('{ANN}', 'bare')")
    await reviewed.reviews.change(_ALL, _CHANGE)
    before = await _counts(url)

    await _sql(url, "UPDATE chats SET title = 'new', chat_id = gen_random_uuid() WHERE title = 'bare'")
    await Backstay.open(url, owner=ANN).adopt(*WANTED)

    assert await _counts(url) == before
    (stored,) = [stored async for stored in reviewed.conversations.export() if stored.topic == "new"]
    assert (stored.review.rating, stored.review.tags) == (4, ("a",))


@pytest.mark.promise("K4")
async def test_a_review_is_not_handed_over_with_the_row(reviewed, url):
    """A conversation that the app gives to another user is unreviewed for them, and reviewed anew."""
    await _sql(url, f"UPDATE chats SET user_id = '{BOB}' WHERE title = 'chat 2'")
    async with Backstay.open(url, owner=BOB) as bob:
        (theirs,) = [stored async for stored in bob.conversations.export() if stored.topic == "chat 2"]
        unreviewed = [summary.id for summary in await bob.conversations.list(Selection(status=ReviewStatus.UNREVIEWED))]
        kept = await bob.conversations.list(Selection(status=ReviewStatus.KEPT))
        tagged = await bob.conversations.count(Selection(tags=("a",)))
        await bob.reviews.change(Selection(ids=(theirs.id,)), ReviewChange(rating=1, add_tags=["a"]), reviewer="Bob")
        anew = (await bob.conversations.show(theirs.id)).review

    assert (theirs.review, theirs.id in unreviewed, list(kept), tagged) == (None, True, [], 0)
    assert (anew.status, anew.rating, anew.note, anew.tags, anew.reviewer) == ("unreviewed", 1, None, ("a",), "Bob")


async def test_undoing_an_adoption_says_which_reviews_are_lost(url):
    """The preview counts conversations with reviews, the undo deletes these, and Backstay's own tables work again."""
    await Backstay.open(url, owner=ANN).adopt(*WANTED)
    async with Backstay.open(url, owner=ANN) as backstay:
        changed = (await backstay.reviews.change(_ALL, _CHANGE)).changed

    checked = await Backstay.open(url).unadopt(check=True)
    undone = await Backstay.open(url).unadopt()

    assert (checked.curated, undone.curated) == (changed, changed)
    assert await _counts(url) == [0, 0]
    async with Backstay.open(url) as backstay:
        await backstay.batches.run("own", [{"topic": "a"}], "scripted")
        assert (await backstay.reviews.change(_ALL, _CHANGE)).changed == 1
        await backstay.conversations.delete(_ALL, backup=False)
    assert await _counts(url) == [0, 0]
