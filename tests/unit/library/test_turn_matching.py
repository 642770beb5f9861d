"""Which turn of an edited conversation is which turn before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.library.turn import Turn
from backstay.library.turn_matching import match_turns


def _turns(words):
    """Return a turn for each word: its first letter is the role, and what follows `#` is the id."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [Turn(roles[word[0]], word.partition("#")[0], id=word.partition("#")[2] or None) for word in words.split()]


@pytest.mark.parametrize(
    ("before", "after", "sources"),
    [
        ("u1 a2 u3", "u1 a2 u3", [0, 1, 2]),
        ("u1 a2 u3", "u1 a9 u3", [0, 1, 2]),
        ("u1 a2 u3", "u1 u3", [0, 2]),
        ("u1 a2 u3", "a2 u3", [1, 2]),
        ("u1 a2 u3", "s0 u1 a2 u3", [None, 0, 1, 2]),
        ("u1 a2 u3", "u1 a2 u3 a4", [0, 1, 2, None]),
        ("u1 a2 u3", "u3 a2 u1", [2, 1, 0]),
        ("u1 a2 u3", "u1 s2 u3", [0, 1, 2]),
        ("u1 a2", "u8 a9", [0, 1]),
        ("u1 a2", "u8 a9 u7", [0, 1, None]),
        ("u1 a2 u3 a4", "a9 u3", [1, 2]),
        ("u1 aY u2 aY u3 aY", "u1 u2 aY u3 aY", [0, 2, 3, 4, 5]),
        ("aY aY", "aY", [0]),
        ("u1#a a2#b", "a2#b u1#a", [1, 0]),
        ("u1#a a2#b", "u9#b a8#a", [1, 0]),
        ("u1#a a2#b", "u1 a2", [0, 1]),
        ("u1#a a2#b", "u1#c a2", [None, 1]),
        ("u1 a2", "u1#c a2", [None, 1]),
        ("u1#a u1#a", "u1#a u1#a", [0, 1]),
        ("u1", "", []),
    ],
)
def test_turns_are_recognized(before, after, sources):
    """A turn is recognized by its id, else by its content, else by its place; with another id it is another turn."""
    assert match_turns(_turns(before), _turns(after)) == sources


_words = st.lists(st.sampled_from(["u1", "u2", "a1", "a2", "u1#x", "a1#y"]), max_size=8).map(" ".join)


@given(_words, _words)
def test_no_turn_is_recognized_twice(before, after):
    """Each turn before is at most one turn afterwards, and equal conversations match turn by turn."""
    sources = [source for source in match_turns(_turns(before), _turns(after)) if source is not None]

    assert len(set(sources)) == len(sources)
    assert all(0 <= source < len(_turns(before)) for source in sources)
    unique = len(set(before.split())) == len(before.split())
    assert not unique or match_turns(_turns(before), _turns(before)) == list(range(len(_turns(before))))
