"""Cursors lead back to the position they were made of, and reveal nothing else."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backstay.coordination.cursors import Cursors

_ANN, _BOB = (Cursors(database_id="0123456789abcdef", owner=owner) for owner in ("ann", "bob"))


@given(st.integers(0, 2**63 - 1) | st.integers(0, 10_000))
def test_a_cursor_leads_back_to_its_key(key):
    """Every key has one cursor that stands for it alone, and any number is accepted as a cursor."""
    assert _ANN.decode(_ANN.encode(key)) == key
    assert _ANN.encode(_ANN.decode(key)) == key


def test_cursors_of_neighbours_are_unlike():
    """Cursors of successive keys are spread over all integers that JSON and JavaScript represent exactly."""
    cursors = [_ANN.encode(key) for key in range(4_000)]

    assert len(set(cursors)) == 4_000
    assert max(cursors) < 2**53
    assert 0.45 < sum(cursor > 2**51 for cursor in cursors) / 4_000 < 0.55
    assert 0.45 < sum(after > before for before, after in pairwise(cursors)) / 4_000 < 0.55


def test_owners_have_cursors_of_their_own():
    """A position has different cursors for different owners and databases, and the same on every server."""
    other = Cursors(database_id="fedcba9876543210", owner="ann")
    again = Cursors(database_id="0123456789abcdef", owner="ann")

    assert len({_ANN.encode(7), _BOB.encode(7), other.encode(7)}) == 3
    assert again.encode(7) == _ANN.encode(7)


def test_no_cursor_is_no_place():
    """A list from its beginning needs no cursor."""
    assert _ANN.decode(None) is None
