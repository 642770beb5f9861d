"""JSONL."""

import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.errors import InvalidRow
from backstay.readers import InputRow
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText
from backstay.readers.json_array import read_json_array
from backstay.readers.jsonl import read_jsonl
from backstay.readers.row_rules import RowRules

_TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
_WHOLE = st.integers(min_value=-(2**63), max_value=2**64 - 1)
_JSON = st.recursive(
    st.none() | st.booleans() | _WHOLE | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(
    objects=st.lists(st.dictionaries(_TEXT, _JSON, max_size=4), max_size=6),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\n \n"]),
)
def test_what_orjson_writes_reads_back_equal(objects, line_end):
    """Any objects written one per line are read back equal, including nested values and numbers."""
    content = b"".join(orjson.dumps(item) + line_end for item in objects)

    rows = list(read_jsonl(InputText.open(io.BytesIO(content), InputErrors("made up"))))

    assert [row.values for row in rows] == objects
    assert [row.line for row in rows] == [1 + index * line_end.count(b"\n") for index in range(len(objects))]


@pytest.mark.parametrize("name", ["topics.jsonl", "topics.ndjson", "topics.JSONL"])
def test_values_keep_their_types(read_file, name):
    """Numbers, lists and objects keep their types; blank lines count as lines but are no rows."""
    rows = read_file(name, b'\xef\xbb\xbf\n{"id": 7, "tags": ["a", {"b": null}]}\r\n\r\n  \n{"id": 8.5}')

    assert rows == [InputRow(2, {"id": 7, "tags": ["a", {"b": None}]}), InputRow(5, {"id": 8.5})]


def test_last_of_two_equal_keys_counts(read_file):
    """A repeated key has its last value."""
    assert read_file("topics.jsonl", b'{"id": 1, "id": 2}\n') == [InputRow(1, {"id": 2})]


@pytest.mark.parametrize(
    "line",
    [
        b'{"secret": hello}',
        b'{"secret": "cut',
        b'{"secret": 1} {"secret": 2}',
        b'{"secret": NaN}',
        b'{"secret": Infinity}',
        b'{"secret": 1e999}',
        b'{"secret": "\\ud800"}',
        b'{"secret": "\0"}',
        b"{'secret': 1}",
        b"secret",
    ],
)
def test_bad_json_is_refused(refusal, line):
    """A line that is not JSON is refused with its number, position and reason, and never quoted."""
    error = refusal("topics.jsonl", b'{"id": 1}\n\n' + line + b"\n")

    assert isinstance(error, InvalidRow)
    assert "line 3: not valid JSON: " in error.message
    assert "(at column " in error.message
    assert "secret" not in error.message
    assert "hello" not in error.message
    assert error.context["line"] == 3


@pytest.mark.parametrize("line", [b"[1]", b'"text"', b"1", b"null", b"true"])
def test_other_json_than_an_object_is_refused(refusal, line):
    """A line that is not an object is refused, since a row needs columns."""
    error = refusal("topics.jsonl", b'{"id": 1}\n' + line + b"\n")

    assert isinstance(error, InvalidRow)
    assert "line 2: not a JSON object" in error.message


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_absurd_depth_is_refused(refusal, opening):
    """A line with a million open brackets is refused without a crash."""
    error = refusal("topics.jsonl", opening * 1_000_000)

    assert isinstance(error, InvalidRow)
    assert "line 1: not valid JSON" in error.message


@pytest.mark.parametrize(
    "number", [b"18446744073709551616", b"-9223372036854775809", b"123456789012345678901234", b"9" * 5000]
)
@pytest.mark.parametrize("around", [(b'{"id":', b"}"), (b'{"x": [1, {"id": ', b"\n}]}")])
def test_whole_number_that_would_be_rounded_is_refused(refusal, number, around):
    """A whole number that would be rounded is refused, so that two long ids cannot become equal."""
    error = refusal("topics.json", b"[" + number.join(around) + b"]")

    assert isinstance(error, InvalidRow)
    assert "line 1: " in error.message
    assert "write it in quotes" in error.message or "infinity" in error.message


@pytest.mark.parametrize(
    "value",
    ["18446744073709551615", "-9223372036854775808", "1e22", '"123456789012345678901234"', "0.1234567890123456789"],
)
def test_long_numbers_that_keep_their_value_are_read(read_file, value):
    """Long digits in text, fractions and powers of ten are read; only whole numbers beyond 64 bits are refused."""
    [row] = read_file("topics.jsonl", b'{"id": %b, "x": 0.5, "text": ", 123456789012345678901234"}' % value.encode())

    assert row.values["id"] == orjson.loads(value)


def test_line_of_ten_megabytes_is_read(read_file):
    """A value of ten megabytes is read whole."""
    [row] = read_file("topics.jsonl", orjson.dumps({"topic": "x" * 10_000_000}))

    assert len(row.values["topic"]) == 10_000_000


def test_line_over_the_limit_is_refused(refusal):
    """A line of more than 64 MiB is refused with its number."""
    error = refusal("topics.jsonl", b'{"id":1}\n{"topic":"' + b"x" * MAX_RECORD_BYTES + b'"}\n{"id":2}\n')

    assert isinstance(error, InvalidRow)
    assert "line 2: the row is longer than 64 MiB" in error.message


def test_list_is_a_row_under_a_key_on_request():
    """A line or an element that is a list becomes a row under the key that the caller names, and only then."""
    rules = RowRules(list_key="messages")
    for content in (b'[{"a": 1}]\n{"b": 2}\n', b'{"b": 2}\n[{"a": 1}]\n'):
        errors = InputErrors("in.jsonl")
        text = InputText.open(io.BytesIO(content), errors)
        assert {"messages": [{"a": 1}]} in [row.values for row in read_jsonl(text, rules)]
    array = InputText.open(io.BytesIO(b'[[{"a": 1}], {"b": 2}]'), errors)

    assert [row.values for row in read_json_array(array, rules)] == [{"messages": [{"a": 1}]}, {"b": 2}]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_line_that_ends_inside_a_text_is_named_as_that(refusal, line_end):
    """The error about a truncated line says that it ends inside a text; one about a tab in a text does not."""
    truncated = refusal("a.jsonl", '{"topic": "Tea"}\n{"topic": "Grü'.encode() + line_end + b'{"topic": "Salt"}\n')
    with_tab = refusal("a.jsonl", b'{"topic": "T\tea"}\n')

    assert truncated.message.endswith(" line 2: not valid JSON: the line ends inside a text (at column 15)")
    assert "control character" in with_tab.message
