"""The next thing is made while one is used, and nothing is left running."""

import threading

import pytest

from backstay.library.prefetch import prefetch
from support.waiting import PATIENCE_SECONDS


def test_everything_comes_in_its_order():
    """As it would without a thread."""
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter(()))) == []


def test_the_next_is_made_before_it_is_asked_for():
    """One step ahead, and no more: so that memory stays what it is."""
    made, second = [], threading.Event()

    def source():
        for number in range(4):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    ahead = prefetch(source())

    assert next(ahead) == 0
    assert second.wait(PATIENCE_SECONDS)
    ahead.close()
    assert made == [0, 1]


def test_an_error_of_the_source_arrives():
    """Where it would have been raised."""

    def source():
        yield 1
        raise OSError("gone")

    ahead = prefetch(source())

    assert next(ahead) == 1
    with pytest.raises(OSError, match="gone"):
        next(ahead)


def test_closing_leaves_no_thread():
    """Whoever stops half way may close the file that the source reads."""
    ahead = prefetch(iter(range(100)))
    next(ahead)

    ahead.close()

    assert not [one for one in threading.enumerate() if one.name.startswith("backstay-ahead")]
