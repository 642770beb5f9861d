"""JSON arrays."""

import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.errors import InputUnreadable, InvalidRow
from backstay.readers import InputRow, read_rows
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText
from backstay.readers.json_array import read_json_array

_AWKWARD = st.sampled_from(['"', "\\", '\\"', "{", "}", "[", "]", ",", "\n", "é", "\U0001f600", '"}, {"', "\\\\"])
_TEXT = st.lists(_AWKWARD | st.text(st.characters(codec="utf-8"), max_size=3), max_size=6).map("".join)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_SPACE = st.text(" \t\r\n", max_size=4).map(str.encode)


@given(
    objects=st.lists(st.dictionaries(_TEXT, _JSON, max_size=3), max_size=5),
    indent=st.booleans(),
    size=st.integers(1, 9),
    data=st.data(),
)
def test_elements_read_back_equal_however_they_arrive(trickle, objects, indent, size, data):
    """Rows and their line numbers are right for any white space between elements and any ends of chunks."""
    content, lines = b"[", []
    for index, item in enumerate(objects):
        content += (data.draw(_SPACE) + b"," if index else b"") + data.draw(_SPACE)
        lines.append(1 + content.count(b"\n"))
        content += orjson.dumps(item, option=orjson.OPT_INDENT_2 if indent else None)
    content += data.draw(_SPACE) + b"]" + data.draw(_SPACE)

    # An empty head leaves every byte to the chunks.
    text = InputText(InputErrors("made up"), trickle(content, size), head=b"")
    rows = list(read_json_array(text))

    assert rows == [InputRow(line, item) for line, item in zip(lines, objects, strict=True)]


@pytest.mark.parametrize("depth", [1, 4, 5, 6, 7, 100])
@pytest.mark.parametrize("size", [7, 100_000])
def test_nesting_up_to_the_limit_is_read(trickle, depth, size):
    """An element with any nesting up to the limit is read, whichever way its end is found."""
    item = b'{"a":' * (depth - 1) + b'{"x":"]}"}' + b"}" * (depth - 1)
    stream = trickle(b"[\n" + item + b",\n" + item + b"]", size)

    rows = list(read_rows(None, stdin=stream))

    assert [row.line for row in rows] == [2, 3]
    for row in rows:
        inner = row.values
        for _ in range(depth - 1):
            inner = inner["a"]
        assert inner == {"x": "]}"}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_beyond_the_limit_is_refused(refusal, opening):
    """An element with a million open brackets is refused without a crash."""
    error = refusal("topics.json", b'[{"id":1},\n{"a":' + opening * 1_000_000)

    assert isinstance(error, InvalidRow)
    assert error.message.endswith("line 2: nested more than 100 levels deep")
    assert error.context["line"] == 2


@pytest.mark.parametrize("content", [b'"text"', b"7", b"id,topic"])
def test_other_json_than_rows_is_refused(refusal, content):
    """A JSON file that holds no objects is refused with a description of what is expected."""
    error = refusal("topics.json", b"\n " + content)

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith(
        "line 2: not a JSON file of rows: an array of objects, an object around one list of objects, or objects one "
        "after another are expected"
    )


@pytest.mark.parametrize("element", [b"1", b'"text"', b"[1]", b"null", b"NaN", b"\xc3\xa9"])
def test_element_that_is_no_object_is_refused(refusal, element):
    """An element that is not an object is refused, since a row needs columns."""
    error = refusal("topics.json", b'[{"id": 1},\n\n' + element + b"]")

    assert isinstance(error, InvalidRow)
    assert "line 3: not a JSON object" in error.message
    assert error.context["line"] == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"id":1}\n,]', "line 2: an element is missing here; remove the extra comma"),
        (b'[{"id":1},\n,{"id":2}]', "line 2: an element is missing here; remove the extra comma"),
        (b'[\n,{"id":2}]', "line 2: an element is missing here; remove the extra comma"),
        (b'[{"id":1},\n]', "line 2: an element is missing here; remove the extra comma"),
        (b'[{"id":1}\n{"id":2}]', "line 2: a comma or the closing ] is missing here, or after the element above"),
        (b'[{"id":1}\n}', "line 2: a comma or the closing ] is missing"),
        (b'[{"id":1}\n', "line 2: the closing ] of the array is missing"),
        (b'[{"id":1},\n', "line 2: the closing ] of the array is missing"),
        (b"[", "line 1: the closing ] of the array is missing"),
        (b'[{"id":1},\n{"id":\n', "line 2: the element that starts here never ends"),
        (b'[{"id":1},\n{"id":"open\\', "line 2: the element that starts here never ends"),
        (b'[{"id":1}]\n[]', "line 2: more text after the closing ]"),
        (b"[]\nx", "line 2: more text after the closing ]"),
    ],
)
def test_broken_array_is_refused(refusal, content, reason):
    """A missing or additional comma or bracket is refused with its line."""
    error = refusal("topics.json", content)

    assert isinstance(error, InputUnreadable)
    assert reason in error.message


@pytest.mark.parametrize("element", [b'{"a": [1}', b'{"a": [1}, 2]}', b'{"a"}', b'{"a": 1,}', b'{"a": "\\ud800"}'])
def test_element_that_is_bad_json_is_refused(refusal, element):
    """Mismatched brackets, or anything else that is not JSON, are refused with their element's line."""
    error = refusal("topics.json", b'[{"id": 1},\n' + element + b"]")

    assert isinstance(error, InvalidRow)
    assert "line 2: not valid JSON: " in error.message


def test_mistake_deep_in_an_element_is_reported_with_its_own_line(refusal):
    """An error deep in an element names both the line where the row starts and the line of the mistake."""
    error = refusal("topics.json", b'[\n{\n"a": 1,\n"b": x\n}]')

    assert error.context["line"] == 2
    assert " line 2: " in error.message
    assert error.message.endswith("(at line 4 column 6)")


def test_element_over_the_limit_is_refused(refusal):
    """An element of more than 64 MiB is refused with its line."""
    error = refusal("topics.json", b'[{"id": 1},\n{"topic": "' + b"x" * MAX_RECORD_BYTES + b'"}]')

    assert isinstance(error, InvalidRow)
    assert "line 2: the row is longer than 64 MiB" in error.message


def test_element_of_ten_megabytes_is_read(read_file):
    """A value of ten megabytes is read whole, with all its escapes."""
    value = '\n"\\' * 2_000_000

    rows = read_file("topics.json", orjson.dumps([{"topic": value}, {"topic": "Sums"}]))

    assert [row.values["topic"] for row in rows] == [value, "Sums"]


def test_memory_stays_flat(tmp_path):
    """Reading an array of twenty megabytes on a single line needs only constant memory."""
    path = tmp_path / "topics.json"
    item = orjson.dumps({"topic": "x" * 900, "tags": ["a", {"b": "}"}]})
    path.write_bytes(b"[" + b",".join([item] * 21_000) + b"]")
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert path.stat().st_size > 19_000_000
    assert count == 21_000
    assert peak < 3_000_000
