"""Lost replies to COMMIT, at every moment: each write is made once, and reports what is stored.

The functions write a row with their own number and the number of their run, so that the database shows which run was
committed, and how many were.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from backstay.errors import BackstayError, CommitUnknown
from backstay.storage.postgres import database, write_connection
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.database import PostgresDatabase
from backstay.storage.postgres.schema_migration import migrations
from support.faults.postgres_proxy import LOST, Cut, Proxy
from support.harness.sampling import FULL
from support.harness.waiting import until
from support.stores import pgbouncer
from support.stores.kinds import DATABASES, require
from support.stores.postgres import SCHEMA
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B1", "B2")

_COMMITS = 300 if FULL else 42
_CUTS = [cut for cut in Cut if cut is not Cut.NONE]


@pytest.fixture
def effects(url):
    """A table of what writes have done."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {SCHEMA}.effects (number integer, run integer)")
    return lambda: sorted(ask(url, "SELECT number, run FROM effects"))


@contextmanager
def opened(url: str) -> Iterator[PostgresDatabase]:
    opened_database = PostgresDatabase(ServerAddress.from_url(url), schema=SCHEMA)
    opened_database.start(schema_version=migrations()[-1][0], collation="default")
    try:
        yield opened_database
    finally:
        opened_database.stop()


class Effect:
    """A function for `write` that counts how often it runs."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs = 0

    def __call__(self, session) -> int:
        self.runs += 1
        insert = f"INSERT INTO {SCHEMA}.effects VALUES ({self.number}, {self.runs})"
        session.connection.execute(insert)
        return self.runs


async def written(url: str, cuts: list[Cut]) -> tuple[list[Effect], dict[int, int | str]]:
    """Make one write after the other, whose first try is cut; return them, and what each reported."""
    reports: dict[int, int | str] = {}
    effects = [Effect(number) for number in range(len(cuts))]
    now = effects[0]
    with (
        Proxy(url, plan=lambda: cuts[now.number] if now.runs == 1 else Cut.NONE) as proxy,
        opened(proxy.url) as opened_database,
    ):
        for now in effects:
            try:
                reports[now.number] = await opened_database.write(now)
            except BackstayError as error:
                reports[now.number] = error.code
    return effects, reports


def misjudged(
    cuts: list[Cut],
    effects: list[Effect],
    reports: dict[int, int | str],
    rows: list,
    unsure: frozenset[Cut] = frozenset(),
) -> list[str]:
    """Return the writes that reported something false. `unsure`: cuts after which only the server knows the outcome."""
    stored = dict(rows)
    mistakes = [f"{number} was made {n} times" for number, n in Counter(number for number, _ in rows).items() if n > 1]
    for effect, cut in zip(effects, cuts, strict=True):
        report = reports[effect.number]
        if stored.get(effect.number) != report:
            mistakes.append(f"{effect.number}, {cut}: reported {report}, but {stored.get(effect.number)} is there")
        if effect.runs not in ((1, 2) if cut in unsure else (2,) if cut in LOST else (1,)):
            mistakes.append(f"{effect.number}, {cut}: was run {effect.runs} times")
    return mistakes


@pytest.mark.sweep
async def test_every_lost_answer_is_found_out(url, effects):
    """A COMMIT lost before the server received it is repeated, and one lost after it is not; callers see no error."""
    chance = random.Random(4)
    cuts = (_CUTS * (_COMMITS // len(_CUTS) + 1))[:_COMMITS]
    chance.shuffle(cuts)

    made, reports = await written(url, cuts)

    assert misjudged(cuts, made, reports, effects()) == []


@pytest.mark.sweep
async def test_behind_a_pooler_too(url, effects):
    """Lost replies are recovered behind a pooler, where a dead transaction may hold one of the two sessions."""
    require(next(kind for kind in DATABASES if kind.name == "pgbouncer"))
    chance = random.Random(5)
    cuts = [chance.choice(_CUTS) for _ in range(_COMMITS // 3)]

    made, reports = await written(pgbouncer.pooled(url), cuts)

    assert misjudged(cuts, made, reports, effects(), frozenset({Cut.AT_ONCE})) == []


@pytest.mark.parametrize("cut", _CUTS)
async def test_of_the_very_first_transaction_too(url, effects, cut):
    """The first transaction of a connection is recovered, though no other session can see its new receipt."""
    made, reports = await written(url, [cut])

    assert misjudged([cut], made, reports, effects()) == []


async def test_a_server_that_stays_away(url, effects, monkeypatch):
    """If the server stays away, a write raises CommitUnknown and is not repeated, unless it must wait for it."""
    monkeypatch.setattr(database, "DOUBT_SECONDS", 0.5)
    short, patient = Effect(0), Effect(1)
    now, lost = short, []

    def go_silent() -> Cut:
        if now.runs != 1 or now in lost:
            return Cut.NONE
        lost.append(now)
        proxy.fall_silent()
        return Cut.AT_ONCE

    with Proxy(url, plan=go_silent) as proxy, opened(f"{proxy.url}&connect_timeout=2") as opened_database:
        with pytest.raises(CommitUnknown, match="whether it was made is not known"):
            await opened_database.write(short)
        proxy.speak()
        now = patient
        waiting = asyncio.create_task(opened_database.write(patient, wait_for_outcome=True))
        # Wait until the server is silent, a first attempt to ask it has been given up, and another is under way.
        await asyncio.to_thread(until, lambda: patient in lost)
        tries = proxy.accepted
        await asyncio.to_thread(until, lambda: proxy.accepted >= tries + 2 or waiting.done())
        waited = not waiting.done()
        proxy.speak()
        answer = await waiting

    assert (waited, answer) == (True, 1)
    assert (short.runs, patient.runs) == (1, 1)
    assert effects() == [(0, 1), (1, 1)]


# -- controls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken_for", [True, False])
async def test_a_guess_is_noticed(url, effects, monkeypatch, taken_for):
    """Control: a guess that lost commits succeeded loses writes, and a guess that they failed stores some twice."""
    monkeypatch.setattr(write_connection.WriteConnection, "_is_committed", lambda *_: taken_for)
    cuts = [Cut.NONE, Cut.AFTER, Cut.BEFORE, Cut.AFTER, Cut.BEFORE]

    made, reports = await written(url, cuts)

    mistakes = misjudged(cuts, made, reports, effects())
    assert any(("None is there" if taken_for else "was made 2 times") in line for line in mistakes), mistakes


@pytest.mark.parametrize(
    "asks, cuts",
    [
        ("SELECT number FROM {schema}.receipts WHERE channel = %s", [Cut.NONE, Cut.HELD_THEN_MADE]),
        ("SELECT number FROM {schema}.receipts WHERE channel = %s FOR UPDATE", [Cut.HELD_THEN_MADE]),
    ],
    ids=["without a lock", "with a lock on a row that is not there yet"],
)
async def test_an_answer_that_does_not_wait_for_the_server_is_noticed(url, effects, monkeypatch, asks, cuts):
    """Control: an answer that does not wait for the lost transaction is wrong: the server commits it afterwards."""

    def ask_only(self):
        row = self._open().execute(asks.replace("{schema}", SCHEMA), (self._id,)).fetchone()
        return row is not None and row[0] == self._number

    monkeypatch.setattr(write_connection.WriteConnection, "_has_receipt", ask_only)

    made, reports = await written(url, cuts)

    mistakes = misjudged(cuts, made, reports, effects())
    assert any("was made 2 times" in line for line in mistakes), mistakes
