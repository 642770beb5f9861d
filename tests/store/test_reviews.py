"""Reviews of stored conversations."""

import asyncio

import pytest

from backstay.errors import ReviewChanged, SettingsError
from backstay.library.lists import ConversationLists
from backstay.library.review import Review, ReviewStatus
from backstay.library.review_change import ReviewChange, ReviewChangeResult
from backstay.library.selection import Selection
from support.data.conversations import conversation
from support.data.verdicts import completed
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create

_ALL = Selection(everything=True)
_KEEP = ReviewChange(status=ReviewStatus.KEPT)
HOSTILE = "<b onload=x> \u202e\u2066 \U0001f600 '; DROP TABLE conversation_tags; -- ünï\u0301"


async def _store_conversations(store, *ids, owner=OWNER, job_id="job"):
    await create(store, len(ids), owner=owner, job_id=job_id)
    lease = await acquire_lease(store, job_id, owner=owner)
    held = await claim(store, lease, len(ids))
    await commit(store, lease, *map(completed, held, (conversation(id=name) for name in ids)))
    await store.batches.work.release(lease)


async def _change(store, ids, change, *, owner=OWNER, selection=_ALL, reviewer="Ann"):
    return await store.reviews.change(owner, selection, ids, change, reviewer=reviewer)


async def _review(store, name, owner=OWNER):
    return (await store.conversations.conversation(owner, name)).review


async def test_a_review_is_read_back_as_it_was_set(store):
    """Every field of a review is read back with who changed it and when, however hostile its texts are."""
    await _store_conversations(store, "a", "b")

    result = await _change(
        store, ["a"], ReviewChange(ReviewStatus.REJECTED, 2, f"{HOSTILE}\nnext line", add_tags=[HOSTILE, "b", "a"]),
        reviewer=HOSTILE,
    )  # fmt: skip

    assert result == ReviewChangeResult(changed=1, unchanged=0)
    assert await _review(store, "a") == Review(
        ReviewStatus.REJECTED, 2, tuple(sorted([HOSTILE, "b", "a"])), f"{HOSTILE}\nnext line", HOSTILE,
        store.clock.now(),
    )  # fmt: skip
    assert await _review(store, "b") is None


async def test_lists_and_pages_have_the_reviews(store):
    """A list and a page of an export have the review of each conversation."""
    await _store_conversations(store, "a", "b")
    await _change(store, ["b"], ReviewChange(ReviewStatus.KEPT, 5, tags=["good"]))

    newest, oldest = (await ConversationLists(store=store.lists, owner=OWNER).page(_ALL)).conversations
    page = await store.conversations.page(OWNER, _ALL, after=0, limit=9)

    assert (newest.status, newest.rating, newest.tags) == ("kept", 5, ("good",))
    assert (oldest.status, oldest.rating, oldest.tags, oldest.review) == ("unreviewed", None, (), None)
    assert [stored.review and stored.review.rating for stored in page.conversations] == [None, 5]


async def test_what_a_change_does_not_set_stays(store):
    """A change sets only its own fields; removing a tag that is not there is no change."""
    await _store_conversations(store, "a")
    await _change(store, ["a"], ReviewChange(ReviewStatus.KEPT, 3, "note", tags=["x", "y"]))

    await _change(store, ["a"], ReviewChange(rating=4))
    await _change(store, ["a"], ReviewChange(add_tags=["z"], remove_tags=["x", "none"]))
    same = await _change(store, ["a"], ReviewChange(remove_tags=["none"]))

    review = await _review(store, "a")
    assert (review.status, review.rating, review.note, review.tags) == ("kept", 4, "note", ("y", "z"))
    assert same == ReviewChangeResult(changed=0, unchanged=1)


async def test_an_unchanged_review_keeps_its_reviewer(store):
    """A change that changes nothing leaves the reviewer and the time as they are."""
    await _store_conversations(store, "a")
    await _change(store, ["a"], _KEEP, reviewer="first")
    before = await _review(store, "a")
    store.clock.move(3_600)

    result = await _change(store, ["a"], _KEEP, reviewer="second")

    assert (await _review(store, "a"), result.unchanged) == (before, 1)


async def test_a_review_that_says_nothing_is_removed(store):
    """A conversation whose review was cleared has none."""
    await _store_conversations(store, "a")
    await _change(store, ["a"], ReviewChange(ReviewStatus.KEPT, 3, "note", tags=["x"]))

    await _change(store, ["a"], ReviewChange(ReviewStatus.UNREVIEWED, None, "", tags=[]))

    assert await _review(store, "a") is None
    assert store.sql("SELECT count(*) FROM conversation_reviews") == [(0,)]
    assert store.sql("SELECT count(*) FROM conversation_tags") == [(0,)]


async def test_a_review_is_no_edit(store):
    """The version of a conversation's row, which a delete under way compares, is the same after a review."""
    await _store_conversations(store, "a")
    before = await store.conversations.conversation(OWNER, "a")

    await _change(store, ["a"], _KEEP)

    after = await store.conversations.conversation(OWNER, "a")
    assert (after.digest(), after.updated_at, after) == (before.digest(), before.updated_at, before)


@pytest.mark.promise("K4")
async def test_another_owners_conversation_is_not_changed(store):
    """A change leaves out the conversations of another owner, whose reviews stay as they are."""
    await _store_conversations(store, "mine")
    await _store_conversations(store, "yours", owner="you")
    await _change(store, ["yours"], ReviewChange(rating=1, tags=["x"]), owner="you")
    before = await _review(store, "yours", "you")

    result = await _change(store, ["mine", "yours"], ReviewChange(rating=5, tags=["z"]))

    assert result.changed == 1
    assert await _review(store, "yours", "you") == before
    assert await store.conversations.missing(OWNER, ["mine", "yours"], limit=9) == ["yours"]


async def test_a_conversation_that_is_deleted_meanwhile_gets_no_review(store):
    """A change leaves out conversations that no longer exist, and a delete takes the reviews along."""
    await _store_conversations(store, "a", "b")
    await _change(store, ["a", "b"], ReviewChange(ReviewStatus.KEPT, tags=["x"]))
    await store.backups.deletes.delete_without_backup(OWNER, Selection(ids=("a",)), after=0, last=2**62, limit=9)

    result = await _change(store, ["a", "b"], ReviewChange(rating=1))

    assert (result.changed, result.unchanged) == (1, 0)
    assert store.sql("SELECT count(*) FROM conversation_reviews") == [(1,)]
    assert store.sql("SELECT count(*) FROM conversation_tags") == [(1,)]


async def test_too_many_tags_are_refused_by_name(store):
    """A change that would give a conversation 51 tags names it, and changes none of its step."""
    await _store_conversations(store, "a", "b")
    await _change(store, ["b"], ReviewChange(tags=[f"tag {n}" for n in range(50)]))

    with pytest.raises(
        SettingsError, match=r"Conversation 'b': A conversation may have at most 50 tags, not 51"
    ) as caught:
        await _change(store, ["a", "b"], ReviewChange(add_tags=["more"]))

    assert caught.value.context["setting"] == "tags"
    assert await _review(store, "a") is None


async def test_the_conversation_with_too_many_tags_is_found(store):
    """A selected conversation that a change would give too many tags is named, and counted without the tags that the
    change adds or removes."""
    await _store_conversations(store, "a", "b")
    await _store_conversations(store, "theirs", owner="you")
    full = [f"tag {n}" for n in range(50)]
    await _change(store, ["b"], ReviewChange(tags=full))
    await _change(store, ["theirs"], ReviewChange(tags=full), owner="you")

    async def check(*added, selection=_ALL, remove=(), owner=OWNER):
        await store.reviews.refuse_too_many_tags(owner, selection, ReviewChange(add_tags=added, remove_tags=remove))

    with pytest.raises(SettingsError, match=r"Conversation 'b': A conversation may have at most 50 tags, not 52"):
        await check("one", "two", "tag 1")
    with pytest.raises(SettingsError, match=r"'b': .* not 51"):
        await check("one", "two", selection=Selection(ids=("a", "b"), status="unreviewed"), remove=["tag 1"])

    await check("tag 1", "tag 2")
    await check("one", remove=["tag 1"])
    await check("one", selection=Selection(ids=("a",)))


async def test_one_of_two_changes_that_expect_the_same_review_is_stored(store):
    """Of changes at once that were made from the same review, one is stored and the others are refused."""
    await _store_conversations(store, "a")
    expected = Review().digest()

    results = await asyncio.gather(
        *(
            store.reviews.change(OWNER, _ALL, ["a"], ReviewChange(note=f"{n}"), reviewer=None, expected=expected)
            for n in range(6)
        ),
        return_exceptions=True,
    )

    (winner,) = [n for n, result in enumerate(results) if result == ReviewChangeResult(changed=1, unchanged=0)]
    assert sum(isinstance(result, ReviewChanged) for result in results) == 5
    assert (await _review(store, "a")).note == str(winner)


async def test_changes_at_once_lose_nothing(store):
    """Changes to the same conversations at once, in opposite orders, both hold afterwards."""
    names = [f"c{n}" for n in range(60)]
    await _store_conversations(store, *names)

    await asyncio.gather(
        *(
            _change(store, order, ReviewChange(add_tags=[f"{tag}{round_}"]))
            for round_ in range(4)
            for tag, order in (("x", names), ("y", names[::-1]))
        )
    )

    expected = tuple(sorted(f"{tag}{round_}" for tag in "xy" for round_ in range(4)))
    assert {(await _review(store, name)).tags for name in names} == {expected}
