"""Parquet, read in small batches of rows. Needs the packages of the extra `parquet`."""

import base64
import datetime
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from shutil import copyfileobj
from typing import Any, BinaryIO

from backstay.optional_packages import packages_missing
from backstay.readers.compression import ByteCounter
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.json_depth import TOO_DEEP, is_too_deep
from backstay.readers.parquet_batches import read_batches
from backstay.readers.row import InputRow

PARQUET_MAGIC = b"PAR1"

_BUFFER_BYTES = 1024 * 1024
_INDEX_PREFIX = "__index_level_"


def read_parquet(
    stream: BinaryIO, errors: InputErrors, notes: InputNotes, count_bytes: ByteCounter | None = None
) -> Iterator[InputRow]:
    """Yield a row for each row of the file, with its number as the line.

    The values are what JSON has: times are ISO 8601, in UTC if they have a time zone; decimals are text with all their
    digits; bytes are text if they are UTF-8, else base64; NaN is null. A field of a struct that is null is left out,
    because Parquet gives each struct all fields. A map is an object, or a list of pairs if it repeats a key. The index
    columns of pandas are left out, and noted.

    Rejects a row that is nested too deep.
    Raises InputUnreadable for a file that is not Parquet, for repeated names, and without the extra `parquet`.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise errors.unreadable(packages_missing("reading Parquet", "parquet")) from None
    with _seekable(stream) as file:
        try:
            source = pyarrow.parquet.ParquetFile(
                pyarrow.PythonFile(file, mode="r"), buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
            names = _columns(source.schema_arrow.names, errors, notes)
            number = 0
            for batch, size in read_batches(source, file, names):
                if count_bytes is not None:
                    count_bytes(size)
                row_size = size // max(1, batch.num_rows)
                for values in _to_rows(batch, pyarrow):
                    number += 1
                    row = InputRow(number, values, None, row_size)
                    if is_too_deep(values):
                        errors.reject_row(errors.invalid_row(number, TOO_DEEP), row)
                    else:
                        yield row
        except (pyarrow.ArrowException, ValueError, OverflowError, OSError, MemoryError) as error:
            kind = type(error).__name__
            raise errors.unreadable(f"the Parquet data is damaged, or has a value out of range ({kind})") from None


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Yield the stream or, since a Parquet file is read from its end, a temporary copy of it."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        copyfileobj(stream, copy, _BUFFER_BYTES)
        copy.seek(0)
        yield copy


def _columns(names: list[str], errors: InputErrors, notes: InputNotes) -> list[str]:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        text = ", ".join(repr(name[:40]) for name in repeated)
        raise errors.unreadable(f"the file repeats the columns {text}; give each its own name")
    columns = [name for name in names if not name.startswith(_INDEX_PREFIX)]
    if len(columns) < len(names):
        notes.add(errors.path, "the index column of pandas is ignored")
    return columns


def _to_rows(batch: Any, pyarrow: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch. Columns of types that JSON has need no conversion."""
    types = pyarrow.types
    columns = [(name, batch.column(name)) for name in batch.schema.names]
    lists = []
    for _, column in columns:
        target = _readable_type(column.type, pyarrow)
        values = (column if target == column.type else column.cast(target, safe=False)).to_pylist()
        is_plain = types.is_integer(target) or types.is_boolean(target) or _is_text(types, target)
        lists.append(values if is_plain else [to_json_value(value) for value in values])
    names = [name for name, _ in columns]
    for cells in zip(*lists, strict=True):
        yield dict(zip(names, cells, strict=True))


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _readable_type(kind: Any, pyarrow: Any) -> Any:
    """Return the type to which a column is cast, since Python has no nanoseconds and not every time zone."""
    types = pyarrow.types
    if types.is_timestamp(kind):
        return pyarrow.timestamp("us", "UTC" if kind.tz is not None else None)
    if types.is_duration(kind):
        return pyarrow.duration("us")
    if types.is_time64(kind):
        return pyarrow.time64("us")
    if types.is_dictionary(kind):
        return _readable_type(kind.value_type, pyarrow)
    if types.is_struct(kind):
        return pyarrow.struct([_readable_field(kind.field(number), pyarrow) for number in range(kind.num_fields)])
    if types.is_map(kind):
        return pyarrow.map_(_readable_field(kind.key_field, pyarrow), _readable_field(kind.item_field, pyarrow))
    if types.is_large_list(kind):
        return pyarrow.large_list(_readable_field(kind.value_field, pyarrow))
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pyarrow.list_(_readable_field(kind.value_field, pyarrow), getattr(kind, "list_size", -1))
    return kind


def _readable_field(field: Any, pyarrow: Any) -> Any:
    return field.with_type(_readable_type(field.type, pyarrow))


def to_json_value(value: Any) -> Any:
    """Return a value of Arrow as one that JSON has; see `read_parquet`."""
    convert = _CONVERSIONS.get(type(value))
    if convert is not None:
        return convert(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _from_struct(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json_value(inner) for name, inner in value.items() if inner is not None}


def _from_list(values: list[Any]) -> Any:
    if not values or type(values[0]) is not tuple:
        return [to_json_value(value) for value in values]
    pairs = [(to_json_value(key), to_json_value(value)) for key, value in values]  # of a map
    by_key = {str(key): value for key, value in pairs}
    return by_key if len(by_key) == len(pairs) else list(map(list, pairs))


def _from_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_CONVERSIONS: Mapping[type, Callable[[Any], Any]] = {
    float: lambda value: None if math.isnan(value) else value,
    dict: _from_struct,
    list: _from_list,
    bytes: _from_bytes,
    Decimal: str,
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: datetime.timedelta.total_seconds,
}
