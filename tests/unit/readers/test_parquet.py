"""Parquet."""

import datetime
import gzip
import io
import subprocess
import sys
import uuid
from contextlib import suppress
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet

from backstay.errors import InputEmpty, InputUnreadable
from backstay.readers import InputRow, read_rows
from backstay.readers.input_notes import InputNotes

_NANOSECONDS = pyarrow.timestamp("ns")
_MICROSECOND = "1970-01-01T00:00:00.000001"


def _parquet(columns, **options):
    table = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns)
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def _rows(content):
    return [row.values for row in read_rows(None, stdin=io.BytesIO(content))]


@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "a", "a.csv", "a.parquet.gz"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_rows_are_numbered(read_file, name, compress):
    """A file is recognised by its first bytes; each row has its number as the line."""
    rows = read_file(name, compress(_parquet({"topic": ["Tea", "Salt"], "level": [1, None]})))

    assert rows == [InputRow(1, {"topic": "Tea", "level": 1}), InputRow(2, {"topic": "Salt", "level": None})]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (datetime.datetime(2024, 1, 31, 12, 30), "timestamp[us]", "2024-01-31T12:30:00"),
        (1_706_704_200_123_456_789, "timestamp[ns]", "2024-01-31T12:30:00.123456"),
        (1_706_704_200_000, ("ms", "Asia/Tokyo"), "2024-01-31T12:30:00+00:00"),
        (datetime.date(2024, 1, 31), "date32", "2024-01-31"),
        (datetime.time(12, 30), "time64[us]", "12:30:00"),
        (datetime.timedelta(minutes=1.5), "duration[ns]", 90.0),
        (Decimal("12345678901234567890.10"), (22, 2), "12345678901234567890.10"),
        (b"text \xc3\xa9", "binary", "text é"),
        (b"\x89PNG\xff", "binary", "iVBOR/8="),
        (float("nan"), "float64", None),
        (0.5, "float32", 0.5),
        (True, "bool", True),
        (2**64 - 1, "uint64", 2**64 - 1),
        (None, "null", None),
        ("x", "large_string", "x"),
    ],
)
def test_values_become_what_json_has(value, kind, expected):
    """Each type of Parquet has one rule, at the top and inside lists and structs."""
    if isinstance(kind, tuple):
        kind = pyarrow.timestamp(*kind) if isinstance(kind[0], str) else pyarrow.decimal128(*kind)
    else:
        kind = pyarrow.type_for_alias(kind) if kind != "null" else pyarrow.null()
    nested = pyarrow.array([[{"x": value, "y": 1}]], pyarrow.list_(pyarrow.struct([("x", kind), ("y", "int8")])))

    (row,) = _rows(_parquet({"top": pyarrow.array([value], kind), "in": nested}))

    inner = {"y": 1} if value is None else {"x": expected, "y": 1}
    assert row == {"top": expected, "in": [inner]}
    assert type(row["top"]) is type(expected)


def test_other_types_are_read():
    """Maps are objects; dictionaries and extensions are their values."""
    maps = pyarrow.array([[("a", 1), ("b", None)]], pyarrow.map_("string", "int64"))
    names = pyarrow.array(["x"]).dictionary_encode()
    ids = pyarrow.array([uuid.UUID(int=7).bytes], pyarrow.uuid())

    (row,) = _rows(_parquet({"map": maps, "name": names, "id": ids}))

    assert row == {"map": {"a": 1, "b": None}, "name": "x", "id": str(uuid.UUID(int=7))}


def test_a_map_that_repeats_a_key_is_a_list_of_pairs():
    """No value of a map is lost where its keys cannot be those of an object; other keys become text."""
    repeated = pyarrow.array([[("k", 1), ("k", 2)]], pyarrow.map_("string", "int64"))
    days = pyarrow.array([[(datetime.date(2024, 1, 31), b"x")]], pyarrow.map_(pyarrow.date32(), "binary"))

    (row,) = _rows(_parquet({"map": repeated, "days": days}))

    assert row == {"map": [["k", 1], ["k", 2]], "days": {"2024-01-31": "x"}}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pyarrow.large_list(_NANOSECONDS), [1_500], [_MICROSECOND]),
        (pyarrow.list_(_NANOSECONDS, 1), [1_500], [_MICROSECOND]),
        (pyarrow.map_("string", _NANOSECONDS), [("at", 1_500)], {"at": _MICROSECOND}),
        (pyarrow.map_(_NANOSECONDS, "string"), [(1_500, "x")], {_MICROSECOND: "x"}),
        (pyarrow.large_list(pyarrow.struct([("at", _NANOSECONDS)])), [{"at": 1_500}], [{"at": _MICROSECOND}]),
    ],
    ids=str,
)
def test_times_are_iso_8601_inside_every_type(kind, value, expected):
    """Nanoseconds are converted in the large lists of Polars, in lists of a fixed size and in maps."""
    assert _rows(_parquet({"topic": ["Tea"], "in": pyarrow.array([value], kind)})) == [{"topic": "Tea", "in": expected}]


def test_null_fields_of_structs_are_left_out():
    """Turns keep only the fields that they had before Parquet gave each one all fields; nulls stay in lists."""
    turns = [[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}], None, []]
    kind = pyarrow.struct(
        [("role", "string"), ("content", "string"), ("tool_calls", pyarrow.list_(pyarrow.struct([("id", "string")])))]
    )

    rows = _rows(_parquet({"messages": pyarrow.array(turns, pyarrow.list_(kind)), "tags": [["a", None], [], None]}))

    assert rows == [
        {"messages": turns[0], "tags": ["a", None]},
        {"messages": None, "tags": []},
        {"messages": [], "tags": None},
    ]


def test_index_columns_of_pandas_are_left_out(tmp_path):
    """The index that pandas writes is no column of the rows, and this is noted."""
    (tmp_path / "a.parquet").write_bytes(_parquet({"topic": ["Tea"], "__index_level_0__": [7]}))
    notes = []

    rows = list(read_rows(tmp_path / "a.parquet", notes=InputNotes(notes.append)))

    assert [row.values for row in rows] == [{"topic": "Tea"}]
    assert notes == [f"{tmp_path / 'a.parquet'}: the index column of pandas is ignored."]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "there are no rows in it"),
        (b"topic\nTea\n", "not Parquet, as its name says"),
        (b"PAR1", "the Parquet data is damaged"),
        (_parquet({"topic": ["Tea"] * 100})[:-20], "the Parquet data is damaged"),
        (_parquet({"topic": ["Tea"] * 100})[:20] + b"PAR1", "the Parquet data is damaged"),
        (_parquet(pyarrow.Table.from_arrays([pyarrow.array([1])] * 2, ["a", "a"])), "repeats the columns 'a'"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused(refusal, content, reason):
    """A file that is damaged, truncated or no Parquet is refused."""
    error = refusal("a.parquet", content)

    assert isinstance(error, (InputUnreadable, InputEmpty))
    assert reason in error.message


def test_every_damage_is_an_error_of_the_input(tmp_path):
    """A file with any changed byte is read or refused, but never raises another error."""
    whole = _parquet({"topic": [f"Tea {number}" for number in range(50)], "n": [[{"x": None}]] * 50})
    path = tmp_path / "a.parquet"
    for position in range(4, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        with suppress(InputUnreadable):
            list(read_rows(path))


_MEASURE = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from backstay.readers import read_rows
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in read_rows(Path(sys.argv[1])))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_stays_flat(tmp_path):
    """Reading a row group of two hundred megabytes of text needs a fraction of that."""
    path = tmp_path / "a.parquet"
    texts = pyarrow.array([f"{number:09} " + "x" * 990 for number in range(200_000)])
    parquet.write_table(pyarrow.table({"topic": texts}), path, row_group_size=200_000, use_dictionary=False)
    del texts

    measured = subprocess.run([sys.executable, "-c", _MEASURE, path], check=True, capture_output=True, text=True)

    count, megabytes = map(int, measured.stdout.split())
    assert count == 200_000
    assert megabytes < 80


_MIB = 1024 * 1024
_LARGE = "y" * (4 * _MIB)
_READ_ALL = """
import sys
from pathlib import Path
import pyarrow
from backstay.readers import parquet_batches, read_rows
if sys.argv[2:]:
    parquet_batches._dictionary_bytes = lambda chunk, file: 0
assert sum(1 for row in read_rows(Path(sys.argv[1]))) == 128
print(pyarrow.default_memory_pool().max_memory())
"""


def _most_memory(path, *options):
    command = [sys.executable, "-c", _READ_ALL, str(path), *options]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([_LARGE] * 128, {}),
        ([None] * 16 + [_LARGE] * 112, {}),
        ([_LARGE.encode()] * 128, {"data_page_version": "2.0"}),
        ([[{"content": _LARGE}]] * 128, {}),
        ([_LARGE] * 128, {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}),
    ],
    ids=["text", "text after nulls", "bytes", "nested", "common prefix"],
)
def test_repeated_values_are_not_in_memory_together(tmp_path, values, options):
    """A file that stores one large value for many rows, in a few kilobytes, is read a few rows at a time."""
    path = tmp_path / "repeated.parquet"
    path.write_bytes(_parquet({"topic": ["x"] * 128, "text": values}, compression="zstd", **options))

    most = _most_memory(path)

    assert path.stat().st_size < 20_000
    assert most < 64 * _MIB


def test_repeated_values_take_gigabytes_if_their_size_is_unknown(tmp_path):
    """Control: a reader that takes no account of the size of dictionaries has all rows of a batch in memory."""
    path = tmp_path / "repeated.parquet"
    path.write_bytes(_parquet({"text": [_LARGE] * 128}, compression="zstd"))

    assert _most_memory(path, "without sizes") > 500 * _MIB
