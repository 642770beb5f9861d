"""The answer to a COMMIT is lost, at every instant it can be: each write is made once, and says what is there.

The functions write a row with a number of their own and the number of their run, so that the database tells which run
was kept, and how many were.
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
from backstay.storage.postgres.migrate import migrations
from support import pgbouncer
from support.postgres import SCHEMA
from support.proxy import LOST, Cut, Proxy
from support.sql import ask
from support.stores import DATABASES, require
from support.torture import FULL
from support.waiting import until

pytestmark = pytest.mark.promise("B1", "B2")

_COMMITS = 300 if FULL else 42
_CUTS = [cut for cut in Cut if cut is not Cut.NONE]


@pytest.fixture
def effects(url):
    """A table that holds what writes have done."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {SCHEMA}.effects (number integer, run integer)")
    return lambda: sorted(ask(url, "SELECT number, run FROM effects"))


@contextmanager
def opened(url: str) -> Iterator[PostgresDatabase]:
    there = PostgresDatabase(ServerAddress.from_url(url), schema=SCHEMA)
    there.start(known=migrations()[-1][0], collation="default")
    try:
        yield there
    finally:
        there.stop()


class Effect:
    """A function for `write`, which counts how often it is run."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs = 0

    def __call__(self, session) -> int:
        self.runs += 1
        insert = f"INSERT INTO {SCHEMA}.effects VALUES ({self.number}, {self.runs})"
        session.connection.execute(insert)
        return self.runs


async def written(url: str, cuts: list[Cut]) -> tuple[list[Effect], dict[int, int | str]]:
    """Make one write after the other, the first try of each cut; return them, and what each said."""
    said: dict[int, int | str] = {}
    effects = [Effect(number) for number in range(len(cuts))]
    now = effects[0]
    with (
        Proxy(url, plan=lambda: cuts[now.number] if now.runs == 1 else Cut.NONE) as proxy,
        opened(proxy.url) as there,
    ):
        for now in effects:
            try:
                said[now.number] = await there.write(now)
            except BackstayError as error:
                said[now.number] = error.code
    return effects, said


def misjudged(
    cuts: list[Cut],
    effects: list[Effect],
    said: dict[int, int | str],
    there: list,
    unsure: frozenset[Cut] = frozenset(),
) -> list[str]:
    """Return what was taken for something else than it is. `unsure`: cuts of which only the server knows the end."""
    kept = dict(there)
    found = [f"{number} was made {n} times" for number, n in Counter(number for number, _ in there).items() if n > 1]
    for effect, cut in zip(effects, cuts, strict=True):
        answer = said[effect.number]
        if kept.get(effect.number) != answer:
            found.append(f"{effect.number}, {cut}: said {answer}, but {kept.get(effect.number)} is there")
        if effect.runs not in ((1, 2) if cut in unsure else (2,) if cut in LOST else (1,)):
            found.append(f"{effect.number}, {cut}: was run {effect.runs} times")
    return found


@pytest.mark.sweep
async def test_every_lost_answer_is_found_out(url, effects):
    """Lost before the server heard it, it is made again; after, it is not; whoever called hears nothing of it."""
    chance = random.Random(4)
    cuts = (_CUTS * (_COMMITS // len(_CUTS) + 1))[:_COMMITS]
    chance.shuffle(cuts)

    made, said = await written(url, cuts)

    assert misjudged(cuts, made, said, effects()) == []


@pytest.mark.sweep
async def test_behind_a_pooler_too(url, effects):
    """Two sessions for all, one of which may be held by the dead. Who leaves it at once may take a COMMIT along."""
    require(next(kind for kind in DATABASES if kind.name == "pgbouncer"))
    chance = random.Random(5)
    cuts = [chance.choice(_CUTS) for _ in range(_COMMITS // 3)]

    made, said = await written(pgbouncer.pooled(url), cuts)

    assert misjudged(cuts, made, said, effects(), frozenset({Cut.AT_ONCE})) == []


@pytest.mark.parametrize("cut", _CUTS)
async def test_of_the_very_first_transaction_too(url, effects, cut):
    """Its receipt is a new row, which nobody else can see while the server still holds it."""
    made, said = await written(url, [cut])

    assert misjudged([cut], made, said, effects()) == []


async def test_a_server_that_does_not_come_back_to_say(url, effects, monkeypatch):
    """Who asked hears that it is not known, and nothing is tried again; who cannot go on without the answer waits."""
    monkeypatch.setattr(database, "DOUBT_SECONDS", 0.5)
    short, patient = Effect(0), Effect(1)
    now, lost = short, []

    def go_silent() -> Cut:
        if now.runs != 1 or now in lost:
            return Cut.NONE
        lost.append(now)
        proxy.fall_silent()
        return Cut.AT_ONCE

    with Proxy(url, plan=go_silent) as proxy, opened(f"{proxy.url}&connect_timeout=2") as there:
        with pytest.raises(CommitUnknown, match="whether it was made is not known"):
            await there.write(short)
        proxy.speak()
        now = patient
        waiting = asyncio.create_task(there.write(patient, until_known=True))
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
    """Taken for made, writes are missing that were said to be there; taken for not made, some are there twice."""
    monkeypatch.setattr(write_connection.WriteConnection, "_is_made", lambda *_: taken_for)
    cuts = [Cut.NONE, Cut.AFTER, Cut.BEFORE, Cut.AFTER, Cut.BEFORE]

    made, said = await written(url, cuts)

    found = misjudged(cuts, made, said, effects())
    assert any(("None is there" if taken_for else "was made 2 times") in line for line in found), found


@pytest.mark.parametrize(
    "asks, cuts",
    [
        ("SELECT number FROM {schema}.receipts WHERE channel = %s", [Cut.NONE, Cut.HELD_THEN_MADE]),
        ("SELECT number FROM {schema}.receipts WHERE channel = %s FOR UPDATE", [Cut.HELD_THEN_MADE]),
    ],
    ids=["without a lock", "with a lock on a row that is not there yet"],
)
async def test_an_answer_that_does_not_wait_for_the_server_is_noticed(url, effects, monkeypatch, asks, cuts):
    """The server still holds the transaction when it is asked, and makes it afterwards."""

    def ask_only(self):
        row = self._open().execute(asks.replace("{schema}", SCHEMA), (self._id,)).fetchone()
        return row is not None and row[0] == self._number

    monkeypatch.setattr(write_connection.WriteConnection, "_ask", ask_only)

    made, said = await written(url, cuts)

    found = misjudged(cuts, made, said, effects())
    assert any("was made 2 times" in line for line in found), found
