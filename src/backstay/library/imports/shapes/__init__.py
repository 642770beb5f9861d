"""The shapes of imported rows. Each module here is one shape, recognized by the keys of a row."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from backstay.library.canonical_json import is_same_json
from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.shape import LIST_KEYS, Shape, all_shapes, parse_lists, speaker_key_of
from backstay.library.imports.tools import NotFinite
from backstay.library.record import TURNS, Document
from backstay.readers.column_names import find_column, quoted_names
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow

_MOST_COMMON = "a list of messages, or texts such as prompt and completion"
_NEXT_TO_TURNS = ("system", "system_prompt", "tools", "functions")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COLUMNS = frozenset(("id", "topic", "persona"))
_ABSENT: tuple[object, ...] = (None, "", [])


def read_row(row: InputRow, errors: InputErrors, *, split_reasoning: bool = False) -> Sequence[Document]:
    """Return the conversations of a row as dicts with all keys of the native shape: one, or for a preference two.

    With `split_reasoning`, a thought at the start of an answer, as in `<think>…</think>`, becomes its reasoning.

    Raises:
        InvalidRow: it has no known shape, more than one, or a turn that cannot be read; the message names the line and
            the turn, never the text.
    """
    source = ImportRow(row.line, _rename(row.values, _COLUMNS), errors, split_reasoning)
    _take_uuid(source.values)
    try:
        return _read(source)
    except NotFinite:
        raise source.error("a tool call, or its result, has NaN or Infinity, which JSON does not have") from None


def _read(source: ImportRow) -> Sequence[Document]:
    found = _find_shapes(source.values)
    if not found:
        source = replace(source, values=_rename(source.values, _names_of_shapes()))
        found = _find_shapes(source.values)
    shape, name = _choose(source, found)
    return shape.read(source, name)


def _take_uuid(values: Values) -> None:
    """Make a `uuid` the id of a row that has no id."""
    uuid = values.get("uuid")
    if isinstance(uuid, str) and values.get("id") is None and _UUID.fullmatch(uuid):
        values["id"] = values.pop("uuid")


def _rename(values: Mapping[str, Any], names: frozenset[str]) -> Values:
    """Return the values with the keys that have one of the names without regard to case and space under that name."""
    found = _find_names(tuple(values), names)
    return {found.get(key, key): value for key, value in values.items()}


@lru_cache  # the rows of a file mostly have the same keys
def _find_names(keys: Collection[str], names: frozenset[str]) -> Mapping[str, str]:
    return {key: name for name in names if (key := find_column(name, keys)) is not None}


def _find_shapes(values: Values) -> Sequence[tuple[Shape, str]]:
    """Return the shapes that a row may have, each with the name of what it reads."""
    parse_lists(values)
    return [
        (shape, name) for shape in _candidates(_keys_of_shapes().intersection(values)) for name in shape.find(values)
    ]


def _choose(row: ImportRow, found: Sequence[tuple[Shape, str]]) -> tuple[Shape, str]:
    """Return one of the shapes that were found for a row."""
    values = row.values
    if not found:
        return _without_turns(row)
    rank = min(shape.rank for shape, _ in found)
    (chosen, *others) = (entry for entry in found if entry[0].rank == rank)
    for _, name in others:
        if name not in values or not is_same_json(values[name], values.get(chosen[1])):
            raise row.error(f"both {chosen[1]!r} and {name!r} could be the conversation; keep one of them")
        del values[name]
    _remove_absent(values)
    return chosen


@lru_cache
def _candidates(keys: frozenset[str]) -> Sequence[Shape]:
    """Return the shapes that a row with these keys may have."""
    return [shape for shape in all_shapes() if not keys.isdisjoint(shape.keys)]


def _remove_absent(values: Values) -> None:
    """Remove keys of shapes that have no value, such as the columns of a table that this row does not use."""
    absent = [key for key, value in values.items() if value in _ABSENT and key in _keys_of_shapes()]
    for key in absent:
        del values[key]


def _without_turns(row: ImportRow) -> tuple[Shape, str]:
    """Return the shape whose `read` refuses an empty or invalid list with a reason. Refuse any row without a list."""
    name = next((key for key in (TURNS, *LIST_KEYS) if isinstance(row.values.get(key), list)), None)
    if name is not None:
        return next(shape for shape in all_shapes() if "messages" in shape.keys), name
    if speaker_key_of([row.values]) is not None:
        raise row.error("a single message; a row must be a whole conversation, with a list of its messages")
    if not row.values:
        raise row.error("an empty object")
    raise row.error(f"no conversation in the keys {quoted_names(row.values)}; expected {_expected(row.values)}")


def _expected(values: Values) -> str:
    """Return what the shapes need that have a key of the row; if none has, what the most common ones need."""
    labels = dict.fromkeys(shape.label for shape in _candidates(_keys_of_shapes().intersection(values)))
    return " or ".join(labels) or _MOST_COMMON


@cache
def keys_of_rows() -> frozenset[str]:
    """Return the keys that only a row has. An object with a list under another key may be one around rows."""
    return _keys_of_shapes() - set(LIST_KEYS)


@cache
def _keys_of_shapes() -> frozenset[str]:
    return frozenset((*_NEXT_TO_TURNS, *(key for shape in all_shapes() for key in shape.keys)))


@cache
def _names_of_shapes() -> frozenset[str]:
    return _keys_of_shapes().union(*(shape.more_keys for shape in all_shapes()))
