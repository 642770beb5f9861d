"""Prefetching of one element in another thread."""

import threading

import pytest

from backstay.library.prefetch import prefetch
from support.harness.waiting import PATIENCE_SECONDS


def test_everything_comes_in_its_order():
    """All elements of the source are yielded in their order."""
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter(()))) == []


def test_the_next_is_made_before_it_is_asked_for():
    """The source runs exactly one element ahead, so that memory stays constant."""
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
    """An error of the source is raised where the next element would have been yielded."""

    def source():
        yield 1
        raise OSError("gone")

    ahead = prefetch(source())

    assert next(ahead) == 1
    with pytest.raises(OSError, match="gone"):
        next(ahead)


def test_closing_leaves_no_thread():
    """Closing the generator before its end leaves no thread that still reads the source."""
    ahead = prefetch(iter(range(100)))
    next(ahead)

    ahead.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("backstay-ahead")]
