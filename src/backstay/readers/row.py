"""The row that all readers yield."""

from dataclasses import dataclass, field
from typing import Any

from backstay.readers.bad_rows import RawRow


@dataclass(frozen=True, slots=True)
class InputRow:
    """One record of an input.

    `line` is the line where it starts, counted from 1. `values` maps columns to cells: text from CSV and TSV, any JSON
    value from the others.
    """

    line: int
    values: dict[str, Any]
    raw: RawRow | None = None
    """The record as it stands in the input, if bad rows are kept and it is text."""
    size: int = field(default=0, compare=False)
    """About how many bytes the record has."""
