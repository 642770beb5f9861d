"""Ids that sort by the time they were generated."""

import threading
import time
import uuid
from itertools import pairwise
from types import SimpleNamespace

import pytest

from backstay.library import ids
from backstay.library.ids import TimeOrderedIds, new_id


def test_ids_are_uuids_of_version_7():
    """An id has the version and variant bits of RFC 9562, and begins with the time."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before - 1 <= made.int >> 80 <= time.time_ns() // 1_000_000 + 100


def test_text_is_in_the_usual_form():
    """The text of an id is lower-case with dashes."""
    made = new_id()

    assert made == str(uuid.UUID(made))


def test_each_is_greater_than_the_one_before():
    """Each id is greater than the one before, even within a millisecond."""
    source = TimeOrderedIds()

    made = [source.new() for _ in range(20_000)]

    assert all(earlier < later for earlier, later in pairwise(made))


def test_many_are_in_order_too():
    """Ids generated together are in order among themselves and with the ids before and after them."""
    source = TimeOrderedIds()

    made = [source.new(), *source.many(300), source.new()]

    assert source.many(0) == []
    assert len(made) == 302
    assert all(earlier < later for earlier, later in pairwise(made))


def test_threads_share_the_order():
    """No id is generated twice by concurrent threads, and the ids of each thread increase."""
    source, made = TimeOrderedIds(), [[] for _ in range(8)]

    def make(own):
        own.extend(source.new() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({made_id for own in made for made_id in own}) == 16_000
    assert all(own == sorted(own) for own in made)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(ms=1_700_000_000_000)
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: now.ms * 1_000_000))
    return now


def test_clock_set_back_keeps_the_order(clock):
    """After the clock was set back, ids continue from the latest time seen."""
    source = TimeOrderedIds()
    first = source.new()
    clock.ms -= 3_600_000

    assert source.new() > first


def test_full_millisecond_borrows_from_the_next(clock):
    """Ids stay in order when one millisecond overflows, by using the next millisecond."""
    source = TimeOrderedIds()
    source.new()
    source._random = (1 << 74) - 2

    made = [source.new() for _ in range(50)]

    assert made == sorted(set(made))
    assert uuid.UUID(made[-1]).int >> 80 == clock.ms + 1
    assert {uuid.UUID(text).version for text in made} == {7}


def test_two_sources_do_not_make_the_same():
    """Two generators in the same millisecond produce different ids, because of their random part."""
    first, second = TimeOrderedIds(), TimeOrderedIds()

    assert len({source.new() for _ in range(1_000) for source in (first, second)}) == 2_000
