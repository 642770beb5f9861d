"""The statements, one a file, and how rows are put into them.

A statement that takes many rows has `{rows:N}` where its `VALUES` go, N the number of columns; `{rows:N+}` where those
that a user has added come behind these, which `{columns}` names. It is executed with many rows at once, and not once a
row, because every execution hands over the interpreter lock: with a busy event loop beside it, one execution a row was
ten times slower than this (docs/engineering/decisions/0003-many-rows-a-statement.md).
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import chain

import apsw

from backstay.storage.sql.session import Row, Value

_ROWS = re.compile(r"\{rows:(\d+)(\+?)\}")
_LONGEST = 16_000  # characters; apsw does not keep longer statements prepared


@cache
def query(name: str) -> str:
    """Return the statement in `queries/<name>.sql`."""
    return (files(__package__) / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def with_columns(name: str, columns: Sequence[str]) -> str:
    """Return the statement with these columns behind those it names."""
    return query(name).replace("{columns}", "".join(f", {quoted(column)}" for column in columns))


def quoted(column: str) -> str:
    """Return a column's name as SQL takes it, whatever it is."""
    return '"' + column.replace('"', '""') + '"'


def execute_rows(
    connection: apsw.Connection, name: str, rows: Sequence[Row], *fixed: Value, columns: tuple[str, ...] = ()
) -> int:
    """Execute a statement over rows of equal length and return how many rows it changed.

    `fixed` are the values of `?1`, `?2`, …, which the statement must name before its rows. `columns` are those that a
    user has added.
    """
    changed = 0
    for start, length in _pieces(len(rows), len(rows[0]) if rows else 1):
        values = (*fixed, *chain.from_iterable(rows[start : start + length]))
        connection.execute(_expanded(name, length, columns), values)
        changed += connection.changes()
    return changed


def select_rows(
    connection: apsw.Connection, name: str, rows: Sequence[Row], *fixed: Value, columns: tuple[str, ...] = ()
) -> list[Row]:
    """Execute a query over rows of equal length and return all that it finds; the rest as of `execute_rows`."""
    found: list[Row] = []
    for start, length in _pieces(len(rows), len(rows[0]) if rows else 1):
        values = (*fixed, *chain.from_iterable(rows[start : start + length]))
        found.extend(connection.execute(_expanded(name, length, columns), values))
    return found


def _pieces(count: int, columns: int) -> list[tuple[int, int]]:
    # Powers of two, so that few different statements are prepared and each is used again.
    largest = 1 << ((_LONGEST // (2 * columns + 2)).bit_length() - 1)
    pieces, start = [], 0
    while start < count:
        length = min(largest, 1 << ((count - start).bit_length() - 1))
        pieces.append((start, length))
        start += length
    return pieces


@cache
def _expanded(name: str, rows: int, columns: tuple[str, ...] = ()) -> str:
    def values(match: re.Match[str]) -> str:
        row = "(" + ",".join("?" * (int(match[1]) + (len(columns) if match[2] else 0))) + ")"
        return ",".join([row] * rows)

    return _ROWS.sub(values, with_columns(name, columns) if columns else query(name).replace("{columns}", ""))
