"""Selections by review: lists, pages, counts and backups select the same conversations."""

import pytest

from backstay.library.lists import ConversationLists
from backstay.library.review_change import ReviewChange
from backstay.library.selection import Selection
from backstay.storage.sql import key_ranges
from support.data.conversations import conversation
from support.data.verdicts import completed
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create

_HOSTILE = "'; DROP TABLE conversation_tags; -- \u202e<b>%"
_REVIEWS = {
    "none": None,
    "kept": ReviewChange("kept"),
    "kept-4": ReviewChange("kept", 4, tags=["good", "short"]),
    "rejected-2": ReviewChange("rejected", 2, tags=["good"]),
    "rated-3": ReviewChange(rating=3),
    "tagged": ReviewChange(tags=["short", _HOSTILE]),
    "noted": ReviewChange(note="note"),
}
_SELECTIONS = {
    "unreviewed": (Selection(status="unreviewed"), {"none", "rated-3", "tagged", "noted"}),
    "kept": (Selection(status="kept"), {"kept", "kept-4"}),
    "rejected": (Selection(status="rejected"), {"rejected-2"}),
    "below": (Selection(rating_below=4), {"rejected-2", "rated-3"}),
    "from": (Selection(rating_from=3), {"kept-4", "rated-3"}),
    "both": (Selection(rating_from=3, rating_below=4), {"rated-3"}),
    "tag": (Selection(tags=("good",)), {"kept-4", "rejected-2"}),
    "tags": (Selection(tags=("good", "short")), {"kept-4"}),
    "hostile tag": (Selection(tags=(_HOSTILE,)), {"tagged"}),
    "unrated": (Selection(unrated=True), {"none", "kept", "tagged", "noted"}),
    "note": (Selection(note_contains="OTE"), {"noted"}),
    "unrated with a note": (Selection(unrated=True, note_contains="note", status="unreviewed"), {"noted"}),
    "no such reviewer": (Selection(reviewed_by="nobody"), set()),
    "untagged": (Selection(untagged=True), {"none", "kept", "rated-3", "noted"}),
    "together": (Selection(status="kept", rating_from=1, tags=("good",), job_id="job"), {"kept-4"}),
    "with ids": (Selection(ids=("kept", "none"), status="unreviewed"), {"none"}),
    "with text": (Selection(search="HELLO", status="kept", untagged=True), {"kept"}),
    "none": (Selection(status="kept", untagged=True, rating_from=1), set()),
}


@pytest.fixture
async def reviewed(store):
    """Return a store with a conversation for each of the reviews, and all of them again for another owner."""
    for owner, tail in ((OWNER, ""), ("you", "-yours")):
        await create(store, len(_REVIEWS), owner=owner)
        lease = await acquire_lease(store, owner=owner)
        held = await claim(store, lease, len(_REVIEWS))
        await commit(store, lease, *map(completed, held, (conversation(id=name + tail) for name in _REVIEWS)))
        await store.batches.work.release(lease)
        for name, change in _REVIEWS.items():
            if change is not None:
                await store.reviews.change(owner, Selection(everything=True), [name + tail], change, reviewer="Ann")
    return store


@pytest.mark.parametrize("name", _SELECTIONS)
async def test_everything_selects_the_same(reviewed, name):
    """A list, a page of an export, a count, a delete's plan and a backup file select the same conversations."""
    selection, expected = _SELECTIONS[name]

    listed = (await ConversationLists(store=reviewed.lists, owner=OWNER).page(selection)).conversations
    page = (await reviewed.conversations.page(OWNER, selection, after=0, limit=99)).conversations
    measure = await reviewed.backups.deletes.measure(OWNER, selection, sample=99)
    everything = (await reviewed.conversations.page(OWNER, Selection(everything=True), after=0, limit=99)).conversations

    assert {summary.id for summary in listed} == expected
    assert {stored.id for stored in page} == expected
    assert await reviewed.conversations.count(OWNER, selection) == len(expected)
    assert {sample.id for sample in measure.sample} == expected
    assert {stored.id for stored in everything if selection.matcher()(_in_backup(stored))} == expected


async def test_lists_go_through_all_ranges(reviewed, monkeypatch):
    """A list whose matches are in many ranges of keys is whole, in order, and continues after its cursor."""
    monkeypatch.setattr(key_ranges, "_FIRST_RANGE", 1)
    monkeypatch.setattr(key_ranges, "_GROWTH", 2)
    lists, selection = ConversationLists(store=reviewed.lists, owner=OWNER), Selection(status="unreviewed")

    for sort, ids in (
        ("newest", ["noted", "tagged", "rated-3", "none"]),
        ("oldest", ["none", "rated-3", "tagged", "noted"]),
    ):
        first = await lists.page(selection, sort=sort, limit=3)
        rest = await lists.page(selection, sort=sort, after=first.next, limit=3)
        again = await lists.page(selection, sort=sort, before=rest.previous, limit=3)

        assert [summary.id for summary in (*first.conversations, *rest.conversations)] == ids
        assert again.conversations == first.conversations

    assert str(await lists.total(selection)) == "4"


@pytest.mark.parametrize("name", ["everything", "traits"])
async def test_lists_are_sorted_by_rating(reviewed, name):
    """A list by rating has the rated conversations, from the highest or the lowest, and pages both ways."""
    lists = ConversationLists(store=reviewed.lists, owner=OWNER)
    selection = {"everything": None, "traits": Selection(min_turns=1)}[name]
    highest = await lists.page(selection, sort="highest-rated")
    lowest = await lists.page(selection, sort="lowest-rated")
    first = await lists.page(selection, sort="lowest-rated", limit=2)
    second = await lists.page(selection, sort="lowest-rated", after=first.next, limit=2)
    again = await lists.page(selection, sort="lowest-rated", before=second.previous, limit=2)

    ratings = [summary.rating for summary in highest.conversations]
    assert ratings == [4, 3, 2]
    assert lowest.conversations == highest.conversations[::-1]
    assert [*first.conversations, *second.conversations] == lowest.conversations
    assert again.conversations == first.conversations
    assert (await lists.total(selection, sort="lowest-rated")).count == len(ratings)


async def test_a_change_leaves_out_what_is_no_longer_selected(reviewed):
    """A conversation that another change took out of the selection is not changed."""
    change, unreviewed = ReviewChange("kept"), Selection(status="unreviewed")

    result = await reviewed.reviews.change(OWNER, unreviewed, ["none", "rejected-2"], change, reviewer="Bob")

    assert (result.changed, result.unchanged) == (1, 0)
    assert (await reviewed.conversations.conversation(OWNER, "rejected-2")).review.status == "rejected"


def _in_backup(stored):
    curation = {"curation": {"review": stored.review.to_dict()}} if stored.review is not None else {}
    return {**stored.to_dict(), **curation}
