"""Expiring values, each claimed and taken once."""

import asyncio
from datetime import timedelta

import pytest

from backstay.batch.job import JobAction
from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.sessions import BrowserSession, Sessions
from backstay.coordination.tickets import Tickets
from support.stores.jobs import OWNER, create

_MINUTE = timedelta(minutes=1)


async def _claim(store, value="mine", *, owner=OWNER, name="n"):
    return await store.notes.claim(ExpiringValue(owner, "kind", name, value, _MINUTE))


async def test_of_many_claims_one_succeeds(store):
    """Of many concurrent claims one writes its value, and the others get that value."""
    results = await asyncio.gather(*(_claim(store, f"value {number}") for number in range(8)))

    assert results.count(None) == 1
    (winner,) = set(results) - {None}
    assert winner == f"value {results.index(None)}"


async def test_a_claim_lapses(store):
    """An expired claim can be claimed by another caller."""
    await _claim(store, "first")
    store.clock.move(60)

    assert await _claim(store, "second") is None
    assert await _claim(store, "third") == "second"


async def test_put_replaces_the_value_and_its_lifetime(store):
    """A put replaces an existing value and its lifetime."""
    await _claim(store, "first")
    await store.notes.put(ExpiringValue(OWNER, "kind", "n", "answer", 2 * _MINUTE))
    store.clock.move(60)

    assert await _claim(store) == "answer"


async def test_a_value_belongs_to_one_owner(store):
    """The same name holds a separate value for each owner."""
    await _claim(store)

    assert await _claim(store, owner="you") is None


async def test_a_value_is_taken_once(store):
    """Of many concurrent takers one gets the value."""
    await _claim(store, "secret", owner="you")

    owners = await asyncio.gather(*(store.notes.pop("kind", "n") for _ in range(5)))

    assert sorted(owners, key=lambda owner: owner is None)[:2] == ["you", None]


async def test_an_expired_value_is_not_taken(store):
    """An expired value cannot be taken."""
    await _claim(store)
    store.clock.move(60)

    assert await store.notes.pop("kind", "n") is None


async def test_a_dropped_value_is_gone(store):
    """A dropped value is gone, and its name can be claimed again."""
    await _claim(store)
    await store.notes.drop(ExpiringValue(OWNER, "kind", "n", "mine", _MINUTE))
    await store.notes.drop(ExpiringValue(OWNER, "kind", "n", "mine", _MINUTE))

    assert await _claim(store) is None


async def test_expired_values_are_dropped(store):
    """All expired values are removed, however many, and the others stay."""
    for number in range(3):
        await _claim(store, name=f"old {number}")
    store.clock.move(60)
    await _claim(store, name="new")

    await store.notes.drop_expired()

    assert store.sql("SELECT name FROM notes") == [("new",)]


async def test_owners_are_those_of_unfinished_jobs_and_backups(store):
    """Owners with unfinished jobs or backups are listed, and those with finished jobs only are not."""
    await create(store, 1, owner="ann")
    await create(store, 1, owner="bob")
    await store.batches.jobs.apply_action("bob", "job", JobAction.CANCEL)
    await store.backups.creation.begin("cyd", "backup-1-a", reason="r", folder=None, host="h", retention=_MINUTE)

    assert list(await store.notes.owners()) == ["ann", "cyd"]


async def test_a_ticket_is_good_once_for_its_purpose(store):
    """A ticket can be redeemed once for its purpose, and another purpose does not use it up."""
    tickets = Tickets(store=store.notes, clock=store.clock)
    ticket = await tickets.issue("ann", "one")

    assert await tickets.redeem(ticket.secret, "other") is None
    assert await tickets.redeem(ticket.secret, "one") == "ann"
    assert await tickets.redeem(ticket.secret, "one") is None


async def test_a_ticket_is_good_for_a_minute(store):
    """A ticket expires after a minute, and its secret is not stored."""
    tickets = Tickets(store=store.notes, clock=store.clock)
    ticket = await tickets.issue("ann", "one")
    assert ticket.secret not in str(store.sql("SELECT * FROM notes"))
    store.clock.move(60)

    assert await tickets.redeem(ticket.secret, "one") is None


@pytest.mark.parametrize("secret", ["", "x" * 10_000, "\x00", "\ud800", "' OR 1=1"])
async def test_an_unknown_ticket_is_refused(store, secret):
    """A ticket that was never issued is refused, whatever its text."""
    assert await Tickets(store=store.notes, clock=store.clock).redeem(secret, "one") is None


async def test_a_changed_value_is_neither_renewed_nor_dropped(store):
    """A claim that was replaced by a response meanwhile is neither renewed nor dropped."""
    await _claim(store, "receipt")

    await store.notes.renew(ExpiringValue(OWNER, "kind", "n", "claim", 10 * _MINUTE))
    await store.notes.drop(ExpiringValue(OWNER, "kind", "n", "claim", _MINUTE))
    assert await _claim(store) == "receipt"
    store.clock.move(61)
    assert await _claim(store, "next") is None
    await store.notes.renew(ExpiringValue(OWNER, "kind", "n", "next", 10 * _MINUTE))
    store.clock.move(61)

    assert await _claim(store) == "next"


async def test_a_session_signs_in_until_its_end(store):
    """A session is found by its secret until it ends, which a renewal changes; the database holds no secret."""
    sessions = Sessions(store=store.notes, realm="an issuer")
    secret = await sessions.open(OWNER, _MINUTE)
    ends_at = store.clock.now() + _MINUTE
    store.clock.move(30)

    assert await sessions.find(secret) == BrowserSession(OWNER, ends_at)
    assert await sessions.find(secret + "x") is None
    assert await sessions.find("\ud800") is None
    assert await Sessions(store=store.notes, realm="another").find(secret) is None
    await sessions.renew(OWNER, secret, _MINUTE)
    store.clock.move(59)
    assert (await sessions.find(secret)).ends_at == store.clock.now() + timedelta(seconds=1)
    store.clock.move(1)
    assert await sessions.find(secret) is None
    assert await store.notes.find("session", secret) is None


async def test_sessions_end_one_by_one_or_all_of_an_owner(store):
    """One session ends without the others, and all of an owner without those of others; an ended one stays ended."""
    sessions = Sessions(store=store.notes, realm="an issuer")
    first, second, third = [await sessions.open(OWNER, _MINUTE) for _ in range(3)]
    others = await sessions.open("you", _MINUTE)

    await sessions.end(first)
    await sessions.end(first)
    await sessions.renew(OWNER, first, _MINUTE)
    assert [await sessions.find(secret) is None for secret in (first, second, third)] == [True, False, False]
    await sessions.end_all(OWNER)
    assert [await sessions.find(secret) is None for secret in (second, third, others)] == [True, True, False]
