"""Canonical JSON and digests of values."""

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.library.canonical_json import canonical_json, digest_of, is_same_json

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


def _is_same(first, second):
    """Return whether two values are equal, with equal types at every level."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_is_same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(_is_same, first, second))
    return first == second


def _with_keys_reversed(value):
    """Return the value with the keys of each object in reverse order."""
    if isinstance(value, dict):
        return {key: _with_keys_reversed(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [_with_keys_reversed(element) for element in value]
    return value


@given(_VALUES)
def test_nothing_is_lost(value):
    """A value that is written as canonical JSON is read back equal."""
    assert _is_same(orjson.loads(canonical_json(value)), value)


@given(_VALUES)
def test_order_of_keys_does_not_matter(value):
    """The canonical JSON does not depend on the order of keys at any depth."""
    assert canonical_json(_with_keys_reversed(value)) == canonical_json(value)


@given(_VALUES, _VALUES)
def test_different_values_have_different_digests(first, second):
    """Digests have 64 digits and are equal if and only if the canonical JSON is equal."""
    is_same_text = canonical_json(first) == canonical_json(second)

    assert (digest_of(first) == digest_of(second)) == is_same_text
    assert len(digest_of(first)) == 64


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
    """Canonical JSON has sorted keys, no white space and UTF-8, so that stored digests can always be recomputed."""
    assert canonical_json(value) == text
    assert digest_of(value) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("around", [lambda n: n, lambda n: [1, n], lambda n: {"a": (n,)}, lambda n: {"a": {"b": [n]}}])
def test_numbers_that_are_not_finite_are_refused(number, around):
    """NaN and infinities are refused, since JSON would have them as null and different values would share a digest."""
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
    """A value that would be read back as something else is refused."""
    with pytest.raises(ValueError, match=r"."):
        canonical_json({"value": value})


def test_endless_and_very_deep_values_are_refused():
    """A list that contains itself, or is nested too deep, is refused without an endless loop."""
    endless = []
    endless.append(endless)
    deep = 1
    for _ in range(100_000):
        deep = [deep]

    for value in (endless, deep):
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            canonical_json(value)


@given(_VALUES)
def test_a_value_is_the_same_as_its_canonical_json(value):
    """Neither the order of keys nor writing and reading make a value another one."""
    assert is_same_json(value, orjson.loads(canonical_json(_with_keys_reversed(value))))


@pytest.mark.parametrize(
    ("value", "other", "expected"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        ([{"x": [True]}], [{"x": [1]}], False),
        ([1], [1, 2], False),
        ({"x": None}, {}, False),
        ({"x": None}, {"y": None}, False),
        ([], {}, False),
        (None, False, False),
    ],
)
def test_same_json_means_equal_values_of_one_kind(value, other, expected):
    """Numbers are the same by value; a boolean is no number at any depth."""
    assert is_same_json(value, other) is expected
