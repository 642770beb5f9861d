"""What the rows of an input are for: items of a job, or conversations."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowRules:
    """How rows are distinguished from what surrounds them, where the file leaves it open."""

    row_keys: AbstractSet[str] = frozenset()
    """Keys, in lower case, that only a row has: an object with one of them is a row, not an object around rows."""
    text_column: str | None = None
    """The column of a row that is text alone; None if there can be no such row."""
    text_refusal: str = "text alone is no row"
    """The reason why such a row is refused."""
    list_key: str | None = None
    """The key under which a row gets its list if it is nothing but a list; None if there can be no such row."""


ITEM_ROWS = RowRules(row_keys=frozenset({"topic"}), text_column="topic")
