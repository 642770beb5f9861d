"""Each statement that writes has its own conditions, also where another check comes before it."""

import pytest

from backstay.batch.checkpoint import ItemCounts
from backstay.batch.store import Lease
from backstay.errors import LeaseLost
from backstay.library.selection import Selection
from backstay.storage.sql.records import delete
from support.conversations import conversation
from support.jobs import OWNER, claim, claim_one, commit, create, enter, job
from support.verdicts import completed

pytestmark = pytest.mark.promise("B4", "K4")


async def test_items_of_another_owner_are_not_claimed(store):
    """A worker claims only items that carry its owner, even if its job contains others."""
    await create(store, 3)
    store.sql("UPDATE items SET owner = 'other' WHERE position = 1")
    lease = await enter(store)

    held = await claim(store, lease, 5)

    assert [claimed.position for claimed in held] == [0, 2]


async def test_conversations_of_another_owner_are_not_deleted(store):
    """A delete by key leaves a conversation of another owner, whose key was passed by mistake."""
    await create(store, 1)
    lease = await enter(store)
    await commit(store, lease, completed(await claim_one(store, lease), conversation("kept")))
    ((key,),) = store.sql("SELECT key FROM conversations")

    deleted = await store.batches.work._database.write(lambda session: delete(session, "other", [key]))

    assert deleted == set()
    assert await store.conversations.count(OWNER, Selection(everything=True)) == 1


async def test_item_that_no_longer_runs_is_not_settled(store):
    """A worker cannot settle an item that is no longer running, even if the item still names it and its attempt."""
    await create(store, 2)
    lease = await enter(store)
    held = await claim_one(store, lease)
    store.sql("UPDATE items SET state = 'skipped' WHERE position = 0")
    store.is_left_unchecked = True  # the counts still say that it runs

    with pytest.raises(LeaseLost):
        await commit(store, lease, completed(held))

    assert store.sql("SELECT state FROM items WHERE position = 0") == [("skipped",)]
    assert store.sql("SELECT count(*) FROM conversations") == [(0,)]


async def test_token_of_one_job_claims_nothing_of_another(store):
    """A worker that holds a lease on one job cannot claim items of another job with its token."""
    await create(store, 2, job_id="one")
    await create(store, 2, job_id="two")
    one, two = await enter(store, "one"), await enter(store, "two")
    mixed = Lease(OWNER, two.job_key, two.job_id, one.token)

    with pytest.raises(LeaseLost):
        await claim(store, mixed, 1)

    assert (await job(store, "two")).counts == ItemCounts(pending=2)
