"""Statements for SQLite, and how rows are bound to them.

A statement over many rows is executed once with all of them, not once for each row, because every execution hands over
the interpreter lock. Next to a busy event loop, one execution per row was ten times slower
(docs/engineering/decisions/0003-many-rows-a-statement.md).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from backstay.library.selection import Selection
from backstay.storage.sql.database import Row, Value
from backstay.storage.sql.selection_conditions import fill_selection
from backstay.storage.sql.statement_files import fill_parts, read_statement

_FIXED = re.compile(r"(?<!:):(\d+)\b")
_LOCK = re.compile(r"\s+\{lock:[\w ]+\}")
_INDEXED_BY = re.compile(r"\{indexed_by:(\w+)\}")
_ROWS = re.compile(r"\{rows:([a-z,]+)(\+?)\}")
_LIST = re.compile(r"\{list:(\w+)\}")
_CONTAINS = re.compile(r"\{contains:([\w.]+),(\w+)\}")
# `connect` registers `backstay_contains`, which folds the case of any letter. SQLite's own lower() folds that of ASCII,
# and is faster. It is enough for a text that has as many bytes as characters.
_IS_CONTAINED = r"""CASE WHEN octet_length(\1) = length(\1)
             THEN instr(lower(\1), :\2) > 0
             ELSE backstay_contains(\1, :\2)
        END"""
_MAX_STATEMENT_CHARACTERS = 16_000  # apsw does not keep longer statements prepared


@cache
def query(name: str) -> str:
    """Return the statement `name`, without its rows and added columns."""
    text = _LOCK.sub("", read_statement(__package__, name).replace("{schema}", "main"))
    text = _LIST.sub(r"SELECT value FROM json_each(:\1)", text)
    return _FIXED.sub(r"?\1", _INDEXED_BY.sub(r"INDEXED BY \1", text))


def selecting_query(name: str, selection: Selection) -> str:
    """Return the statement `name` with the conditions of a selection."""
    text = fill_parts(__package__, fill_selection(query(name), selection))
    text = _LIST.sub(r"SELECT value FROM json_each(:\1)", text.replace("{schema}", "main").replace("{of_owner}", ""))
    return _CONTAINS.sub(_IS_CONTAINED, text)


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def bind_rows(
    name: str, rows: Sequence[Row], fixed: Sequence[Value], columns: tuple[str, ...]
) -> Iterator[tuple[str, Row]]:
    """Yield pairs of a text and its values that together execute a statement over rows of equal length.

    `fixed` are the values of `:1`, `:2`, …; `columns` the columns that a user has added.
    """
    for start, length in _split_rows(len(rows), len(rows[0]) if rows else 1):
        yield _expand_rows(name, length, columns), (*fixed, *chain.from_iterable(rows[start : start + length]))


def _split_rows(count: int, columns: int) -> list[tuple[int, int]]:
    # Powers of two, so that few different statements are prepared and each is used again.
    max_length = 1 << ((_MAX_STATEMENT_CHARACTERS // (2 * columns + 2)).bit_length() - 1)
    pieces, start = [], 0
    while start < count:
        length = min(max_length, 1 << ((count - start).bit_length() - 1))
        pieces.append((start, length))
        start += length
    return pieces


@cache
def _expand_rows(name: str, rows: int, columns: tuple[str, ...] = ()) -> str:
    text = query(name)
    fixed = max(map(int, re.findall(r"\?(\d+)", text)), default=0)

    def values(match: re.Match[str]) -> str:
        width = match[1].count(",") + 1 + (len(columns) if match[2] else 0)
        row = "(" + ",".join("?" * width) + ")"
        # SQLite numbers each `?` after the one before it, so numbering the first puts all after the fixed values.
        return f"VALUES (?{fixed + 1}{row[2:]}{f',{row}' * (rows - 1)}"

    return _ROWS.sub(values, text).replace("{columns}", "".join(f", {quoted(column)}" for column in columns))
