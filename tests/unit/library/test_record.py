"""JSON lines of stored conversations, which are lossless."""

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backstay.library.conversation import Conversation
from backstay.library.record import (
    digest_of_document,
    document_to_line,
    metadata_as_dict,
    metadata_from_line,
    metadata_to_line,
    value_from_line,
    value_to_line,
)
from backstay.library.turn import Turn

_TEXT = some.text(some.characters(exclude_categories=["Cs"]))
_STORED = some.none() | _TEXT | some.binary() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False)
_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | _TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=10,
)


def _through_a_line(value):
    return orjson.loads(document_to_line({"value": value}))["value"]


@given(_STORED)
def test_every_value_of_a_column_comes_back(stored):
    """Each value of a column is read from a line with the same type and all its bits."""
    back = value_from_line(_through_a_line(value_to_line(stored)))

    assert type(back) is type(stored)
    assert back == stored
    if isinstance(stored, float):
        assert math.copysign(1, back) == math.copysign(1, stored)


@given(some.none() | some.binary() | _TEXT | _JSON.map(json.dumps) | _JSON.map(lambda value: json.dumps({"a": value})))
def test_every_metadata_comes_back(stored):
    """Each stored text of metadata is read from a line unchanged, whatever program wrote it."""
    assert metadata_from_line(_through_a_line(metadata_to_line(stored))) == stored


@pytest.mark.parametrize("stored", ['{"b":1,"a":[{}]}', '{"ü":2.5}'])
def test_metadata_as_backstay_writes_it_is_an_object(stored):
    """Metadata that Backstay wrote is an object in a line, so that other programs can read it."""
    assert metadata_to_line(stored) == json.loads(stored)


def test_digest_is_that_of_the_conversation():
    """The digest of a line equals the digest of its conversation."""
    known = Conversation(
        [Turn("user", "ü", metadata={"z": 1, "a": 2})], id="c", topic="t", metadata={"b": 1, "a": None}
    )

    assert digest_of_document(orjson.loads(document_to_line(known.to_dict()))).hex() == known.digest()


@pytest.mark.parametrize(
    ("stored", "metadata"),
    [
        (None, {}),
        ("", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", {"metadata": [1]}),
        ("5", {"metadata": 5}),
        ("no JSON", {"metadata": "no JSON"}),
        ('{"a":NaN}', {"metadata": '{"a":NaN}'}),
        (b"\xff", {"metadata": ["blob", "ff"]}),
        (float("inf"), {"metadata": ["real", "inf"]}),
        ('{"a":' * 252 + "1" + "}" * 252, {"metadata": '{"a":' * 252 + "1" + "}" * 252}),
    ],
)
def test_metadata_is_an_object_whatever_is_stored(stored, metadata):
    """Metadata of any type that another program stored is read as an object."""
    assert metadata_as_dict(stored) == metadata
