"""The row that all readers yield."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class InputRow:
    """One record of an input.

    `line` is the line where it starts, counted from 1. `values` maps columns to cells: text from CSV and TSV, any JSON
    value from the others.
    """

    line: int
    values: dict[str, Any]
