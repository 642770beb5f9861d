"""One way to write a value, whatever way it came."""

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.library.canonical import canonical_json, digest_of

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


def _same(left, right):
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return left == right


def _turned_round(value):
    """The same value with the keys of every object in the other order."""
    if isinstance(value, dict):
        return {key: _turned_round(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [_turned_round(element) for element in value]
    return value


@given(_VALUES)
def test_nothing_is_lost(value):
    """What is read back is what was written."""
    assert _same(orjson.loads(canonical_json(value)), value)


@given(_VALUES)
def test_order_of_keys_does_not_matter(value):
    """At any depth."""
    assert canonical_json(_turned_round(value)) == canonical_json(value)


@given(_VALUES, _VALUES)
def test_different_values_have_different_digests(left, right):
    """And equal ones the same, in all of 64 digits."""
    same_text = canonical_json(left) == canonical_json(right)

    assert (digest_of(left) == digest_of(right)) == same_text
    assert len(digest_of(left)) == 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'),
        ({"ü": "é€😀"}, '{"ü":"é€😀"}'.encode()),
        ((1, 2.0, "a\n\x00"), rb'[1,2.0,"a\n\u0000"]'),
        ({}, b"{}"),
    ],
)
def test_form_is_fixed(value, text):
    """Keys sorted, no white space, UTF-8: digests that were stored must be made again for ever."""
    assert canonical_json(value) == text
    assert digest_of(value) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("around", [lambda n: n, lambda n: [1, n], lambda n: {"a": (n,)}, lambda n: {"a": {"b": [n]}}])
def test_numbers_that_are_not_finite_are_refused(number, around):
    """JSON would write them as null, and two values would share a digest."""
    with pytest.raises(ValueError, match="not finite"):
        canonical_json(around(number))


@dataclass
class _Point:
    x: int


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 1, 1, tzinfo=UTC),
        date(2024, 1, 1),
        _Point(1),
        {1, 2},
        b"bytes",
        object(),
        2**64,
        {1: "a"},
        {None: "a"},
        "\ud800",
        {"\udfff": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_is_refused(value):
    """It would come back as something else."""
    with pytest.raises(ValueError, match=r"."):
        canonical_json({"value": value})


def test_endless_and_very_deep_values_are_refused():
    """A list that holds itself must not hold us up for ever."""
    endless = []
    endless.append(endless)
    deep = 1
    for _ in range(100_000):
        deep = [deep]

    for value in (endless, deep):
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            canonical_json(value)
