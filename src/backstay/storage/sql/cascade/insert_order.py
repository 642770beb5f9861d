"""The order in which rows are inserted into tables that refer to each other. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backstay.storage.sql.cascade.tables import ForeignKey


@dataclass(frozen=True, slots=True)
class InsertOrder:
    """The order of tables, and the foreign keys that are set after the insert."""

    tables: tuple[str, ...]
    late: frozenset[ForeignKey]
    """Null in the inserted row, and set when the row that it refers to exists."""


def insert_order(tables: Sequence[str], keys: Sequence[ForeignKey], optional: Collection[ForeignKey]) -> InsertOrder:
    """Order tables so that each follows those that it refers to; break circles at foreign keys that may be set late.

    Args:
        tables: The tables.
        keys: Their foreign keys; a parent that is none of the tables exists already.
        optional: The foreign keys that may be null, in rows that can be found again.
    """
    required = [key for key in keys if key not in optional]
    order, remaining = list[str](), list(tables)
    while remaining:
        ready = _without_parents(remaining, keys) or _without_parents(remaining, required)[:1] or remaining[:1]
        order += ready
        remaining = [name for name in remaining if name not in ready]
    index = {name: number for number, name in enumerate(order)}
    late = [
        key
        for key in keys
        if key in optional
        and key.table in index
        and (key.on_delete.updates or index.get(key.parent, -1) > index[key.table])
    ]
    return InsertOrder(tuple(order), frozenset(late))


def _without_parents(tables: Sequence[str], keys: Sequence[ForeignKey]) -> list[str]:
    """Return the tables that refer to none of the others."""
    children = {key.table for key in keys if key.parent in tables and key.parent != key.table}
    return [name for name in tables if name not in children]
