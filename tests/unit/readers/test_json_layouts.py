"""JSON in every layout that files have."""

import io
import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.errors import InputUnreadable, InvalidRow
from backstay.readers import InputRow, read_rows
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.input_text import InputText
from backstay.readers.json_layouts import read_json
from backstay.readers.json_wrapper import find_wrapped_rows
from backstay.readers.row_rules import ITEM_ROWS, RowRules

_ITEMS = [{"topic": "a", "n": 1}, {"topic": "b}{", "n": [1, {"x": "]"}]}]
_LINES = [orjson.dumps(item) for item in _ITEMS]
_PRETTY = [orjson.dumps(item, option=orjson.OPT_INDENT_2) for item in _ITEMS]
_LAYOUTS = {
    "lines": b"\n".join(_LINES),
    "no line ends": b"".join(_LINES),
    "blanks between": b" ".join(_LINES),
    "pretty": b"\n".join(_PRETTY),
    "pretty without line ends": b"".join(_PRETTY),
    "array": b"[" + b",".join(_LINES) + b"]",
    "pretty array": b"[\n" + b",\n".join(_PRETTY) + b"\n]\n",
    "object around": b'{"data": [' + b",".join(_LINES) + b"]}",
    "object around, and others": b'{"n": 2, "data":['
    + b",".join(_LINES)
    + b'], "meta": {"x": [1]}, "tags": ["a"]}\n\n',
    "pretty object around": b'{\n "total": 2,\n "rows":\n [\n' + b",\n".join(_PRETTY) + b'\n],\n "next": null\n}\n',
}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a", "A.JSON"])
@pytest.mark.parametrize("layout", _LAYOUTS.values(), ids=_LAYOUTS.keys())
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_every_layout_gives_the_same_rows(read_file, name, layout, before):
    """Objects are read from each layout, whatever the file's ending, each with the line where it starts."""
    rows = read_file(name, before + layout)

    assert [row.values for row in rows] == _ITEMS
    text = (before + layout).removeprefix(b"\xef\xbb\xbf")
    assert rows[0].line == 1 + text[: text.index(b'{"topic' if b'{"topic' in text else b'{\n  "topic')].count(b"\n")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    "item",
    [
        {"topic": "a"},
        {"refs": [{"x": 1}], "topic": "a"},
        {"refs": [{"x": 1}], "Topic ": "a"},
        {"topic": "a", "messages": [{"role": "user", "content": "x"}]},
    ],
)
@pytest.mark.parametrize("option", [None, orjson.OPT_INDENT_2])
def test_one_object_is_one_row(read_file, name, item, option):
    """A single object with a topic is a row, even if it has a list of objects."""
    assert read_file(name, orjson.dumps(item, option=option)) == [InputRow(1, item)]


@pytest.mark.parametrize(
    "conversation",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"conversations": [{"from": "human", "value": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
        {"chosen": [{"role": "user", "content": "x"}], "rejected": [{"role": "user", "content": "y"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
    ],
)
@pytest.mark.parametrize("option", [None, orjson.OPT_INDENT_2])
def test_a_list_of_turns_is_no_list_of_rows(conversation, option):
    """A single conversation is one row: its turns are not taken for rows."""
    text = InputText.open(io.BytesIO(orjson.dumps(conversation, option=option)), InputErrors("made up"))

    rows = list(read_json(text, RowRules(), is_jsonl=False))

    assert [row.values for row in rows] == [conversation]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a"])
def test_objects_around_rows_that_follow_each_other_are_rows(read_file, name):
    """Lines that each hold a list of objects are rows, since there are several."""
    lines = [{"a": [{"x": 1}]}, {"a": [{"x": 2}]}]

    rows = read_file(name, b"\n".join(map(orjson.dumps, lines)))

    assert [row.values for row in rows] == lines


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a"])
def test_an_array_of_texts_is_a_list_of_topics(read_file, name):
    """Each text of an array is the topic of a row, with its line."""
    rows = read_file(name, b'["Tea",\n "Salt \\u00e9",\n\n"[\\"]"]')

    assert rows == [InputRow(1, {"topic": "Tea"}), InputRow(2, {"topic": "Salt é"}), InputRow(4, {"topic": '["]'})]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b'["a",\n{"topic": "b"}]', InvalidRow, "line 2: not a text, like the first element of this array"),
        (b'["a",\n"\xff"]', InputUnreadable, "line 2: not UTF-8 text"),
        (b'["a",\n"\\x"]', InvalidRow, "line 2: not valid JSON"),
        (b'["a",\n]', InputUnreadable, "line 2: an element is missing here"),
        (b'["a"', InputUnreadable, "line 1: the closing ] of the array is missing"),
        (b'{"topic": "a"}\n{"topic": "b"', InputUnreadable, "line 2: "),
        (b'{"topic": "a"}, {"topic": "b"}', InputUnreadable, "line 1: text after an object"),
        (b'{"data": [{"topic": "a"}, 7]}', InvalidRow, "line 1: not a JSON object"),
        (b'{"data": [{"topic": "a"}', InputUnreadable, "the file is truncated"),
    ],
)  # fmt: skip
def test_broken_layouts_are_refused(refusal, content, kind, reason):
    """A mistake in any layout is refused with its line."""
    error = refusal("a.json", content)

    if b"}\n{" in content:
        assert isinstance(error, (InputUnreadable, InvalidRow))
    else:
        assert isinstance(error, kind)
    assert reason in error.message


@pytest.mark.parametrize("line", [b'{"topic": "a"', b'{"topic": "a}', b'{"topic": x}', b'{"topic": "a"} x', b"{"])
def test_a_broken_first_line_of_jsonl_is_a_broken_row(refusal, line):
    """In JSONL the first line is a row that is broken, not the beginning of another layout."""
    error = refusal("a.jsonl", line + b'\n{"topic": "b"}\n')

    assert isinstance(error, InvalidRow)
    assert "line 1: not valid JSON" in error.message


@given(
    values=st.dictionaries(
        st.text(max_size=3), st.none() | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=2)
    ),
    key=st.text(min_size=1, max_size=5),
    size=st.integers(0, 400),
)
def test_rows_in_an_object_are_found_wherever_its_beginning_ends(values, key, size):
    """The key of the rows is found from any beginning that has the first row, or not at all."""
    values = {name: value for name, value in values.items() if name.strip().casefold() != "topic" and name != key}
    whole = orjson.dumps({**values, key: [{"x": 1}, {"x": 2}]})

    found = find_wrapped_rows(whole[:size], ITEM_ROWS.row_keys | {"never"})

    is_row = key.strip().casefold() in {"topic", "never"}
    assert found in ((None,) if is_row else (None, key))
    assert find_wrapped_rows(whole, frozenset()) == key


@pytest.mark.parametrize(
    ("start", "between", "end"),
    [(b'{"data":[', b",", b"]}"), (b'{\n"data":\n[', b",\n", b"\n]\n}"), (b"", b"", b""), (b"", b"\n", b"")],
    ids=["object around", "pretty object around", "no line ends", "lines"],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_memory_stays_flat(tmp_path, name, start, between, end):
    """Reading twenty megabytes needs only constant memory in each layout."""
    path = tmp_path / name
    item = orjson.dumps({"topic": "x" * 900, "tags": ["a", {"b": "}"}]})
    path.write_bytes(start + between.join([item] * 21_000) + end)
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 21_000
    assert peak < 8_000_000


def test_a_large_single_row_is_read(read_file):
    """A conversation larger than what is read ahead is one row."""
    item = {"topic": "x" * 3_000_000, "turns": [{"role": "user", "content": "y"}]}

    assert [row.values for row in read_file("a.json", orjson.dumps(item, option=orjson.OPT_INDENT_2))] == [item]


def test_keys_around_the_rows_are_noted(tmp_path):
    """What an object holds in addition to its list of rows is named, since no row gets it."""
    (tmp_path / "a.json").write_bytes(b'{"license": "mit", "data": [{"topic": "a"}], "n": 1}')
    notes = []

    rows = list(read_rows(tmp_path / "a.json", notes=InputNotes(notes.append)))

    assert [row.values for row in rows] == [{"topic": "a"}]
    assert notes == [
        f"{tmp_path / 'a.json'}: the rows are under 'data'; other keys of the object are ignored: 'license', 'n'."
    ]


@pytest.mark.parametrize("options", [None, orjson.OPT_INDENT_2])
def test_a_second_list_far_behind_the_first_is_refused(refusal, options):
    """A second list of rows is refused, not left out, however far it is from the start of the file."""
    rows = [{"topic": f"topic {number}", "text": "x" * 100} for number in range(4_000)]

    error = refusal("a.json", orjson.dumps({"train": rows, "test": [{"topic": "lost"}]}, option=options))

    assert error.message.endswith("both 'train' and 'test' are lists of objects; keep one of them")
