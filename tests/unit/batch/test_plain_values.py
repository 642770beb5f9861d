"""Values of programs as items: data frames, NumPy numbers, dates, and other types that JSON lacks."""

import enum
import math
import uuid
from array import array
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backstay.batch.intake import read_items
from backstay.batch.item import Item, to_item
from backstay.batch.item_columns import ColumnMapping
from backstay.batch.plain_values import plain_values
from backstay.errors import InvalidRow


class _Level(enum.Enum):
    EASY = "easy"


class _Weight(enum.IntEnum):
    HEAVY = 3


_Point = namedtuple("_Point", "x y")


async def _items(raw):
    return [to_item(new_item) async for chunk in read_items(raw, ColumnMapping()) for new_item in chunk]


async def test_rows_of_a_data_frame_become_items():
    """Numbers, dates and gaps of `to_dict("records")` become JSON values, where a gap is None."""
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "topic": ["Rain", "Tea"],
            "persona": ["a keeper", np.nan],
            "count": pd.array([4, None], dtype="Int64"),
            "price": [1.5, np.nan],
            "is_new": [True, False],
            "at": pd.to_datetime(["2026-01-02T03:04:05", None]),
            "kind": pd.Categorical(["x", None]),
            "tags": [np.array([1, 2]), None],
        }
    )

    first, second = await _items(frame.to_dict("records"))

    assert first == Item(
        "Rain",
        "1",
        "a keeper",
        {"count": 4, "price": 1.5, "is_new": True, "at": "2026-01-02T03:04:05", "kind": "x", "tags": [1, 2]},
    )
    assert second == Item(
        "Tea", "2", None, {"count": None, "price": None, "is_new": False, "at": None, "kind": None, "tags": None}
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.float64("nan"), None),
        (np.datetime64("2026-01-02T03:04:05", "s"), "2026-01-02T03:04:05"),
        (np.datetime64("NaT"), None),
        (np.array(["2026-01-02"], dtype="M8[D]"), ["2026-01-02"]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Timestamp("2026-01-02T03:04:05+02:00"), "2026-01-02T03:04:05+02:00"),
        (pd.NaT, None),
        (pd.NA, None),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("9.90"), "9.90"),
        (Decimal("NaN"), None),
        (Decimal("1E+400"), "1E+400"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a/b"), "/a/b"),
        (_Level.EASY, "easy"),
        (_Weight.HEAVY, 3),
        ((1, math.nan, {"a": np.int8(1)}), [1, None, {"a": 1}]),
        (_Point(np.int64(1), math.nan), [1, None]),
        (OrderedDict(a=np.int64(1)), {"a": 1}),
        (timedelta(days=5, seconds=3_723, microseconds=500_000), "P5DT1H2M3.5S"),
        (timedelta(seconds=-1), "P-1DT23H59M59S"),
        (pd.Timedelta(5, "D"), "P5DT0H0M0S"),
        (np.timedelta64(5, "D"), "P5DT0H0M0S"),
        (np.timedelta64(1, "ns"), "P0DT0H0M0.000000001S"),
        (np.array([90, "NaT"], dtype="m8[s]"), ["P0DT0H1M30S", None]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_value_has_its_plain_kind(value, expected):
    """Each value is converted to the Python type that JSON can represent."""
    plain = plain_values({"a": value})["a"]

    assert (plain, type(plain)) == (expected, type(expected))


def _endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1j, r"^item 2: the parameter 'a' \(a complex\) cannot be stored as JSON: "),
        ({1}, r"^item 2: the parameter 'a' \(a set\) cannot be stored as JSON: "),
        (np.longdouble(1), r"^item 2: the parameter 'a' \(a longdouble\) cannot be stored as JSON: "),
        (np.timedelta64(1, "Y"), r"^item 2: the parameter 'a' \(a timedelta64\) cannot be stored as JSON: "),
        (math.inf, r"^item 2: 'a' is infinite"),
        (Decimal("-Infinity"), r"^item 2: 'a' is infinite"),
        (_endless(), r"^item 2: 'a' is nested too deeply, or holds itself$"),
    ],
    ids=["complex", "set", "longdouble", "year", "infinite", "decimal", "endless"],
)
async def test_unconvertible_value_is_refused_by_column_and_row(value, message):
    """A value that JSON cannot represent is refused with its item and parameter."""
    with pytest.raises(InvalidRow, match=message):
        await _items([{"topic": "Rain", "b": 1}, {"topic": "Tea", "b": 1, "a": value}])


@pytest.mark.parametrize("value", [array("i", [1]), SimpleNamespace(dtype="x")], ids=["tolist", "dtype"])
def test_what_is_half_like_an_array_is_left_as_it_is(value):
    """A value with only one of the two attributes of a NumPy array is not converted."""
    assert plain_values({"a": value})["a"] is value


async def test_parameters_of_items_are_converted_too():
    """The parameters of an `Item` are converted like those of a row."""
    (item,) = await _items([Item("Rain", parameters={"a": np.int64(1)})])

    assert item.parameters == {"a": 1}
