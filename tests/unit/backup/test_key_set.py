"""A set of keys holds what a built-in set would, in ascending order and in little memory."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.backup.key_set import KeySet

_KEYS = st.one_of(st.integers(0, 20_000), st.integers(-(2**63), 2**63 - 1))


def _key_set(keys):
    key_set = KeySet()
    for key in keys:
        key_set.add(key)
    return key_set


@given(keys=st.lists(_KEYS), other=_KEYS)
def test_it_holds_what_was_added(keys, other):
    """It contains each key once, wherever it lies, and yields them in ascending order."""
    key_set = _key_set(keys)

    assert list(key_set) == sorted(set(keys))
    assert len(key_set) == len(set(keys))
    assert all(key in key_set for key in keys)
    assert (other in key_set) == (other in keys)
    assert bool(key_set) == bool(keys)


def _bytes_of(key_set):
    return sum(map(sys.getsizeof, key_set._blocks.values())) + sys.getsizeof(key_set._blocks)


def _check_its_size(size, step):
    assert size < 100_000 * (step + 1) / 8


@pytest.mark.parametrize("step", [1, 7])
def test_it_needs_little_memory(step):
    """A hundred thousand keys close to each other need a few bits each."""
    _check_its_size(_bytes_of(_key_set(range(5, 100_000 * step, step))), step)


@pytest.mark.parametrize("step", [1, 7])
def test_built_in_set_needs_more(step):
    """The control: a built-in set of the same keys, even without its numbers, exceeds the bound."""
    with pytest.raises(AssertionError):
        _check_its_size(sys.getsizeof(set(range(5, 100_000 * step, step))), step)
