"""The first line of CSV and TSV: which character separates the cells, and what the columns are called."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backstay.readers.input_errors import InputErrors

DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}

_QUOTED = re.compile(rb'"[^"]*(?:"|\Z)')
# Excel writes this line, and hides it when it opens the file.
_EXCEL_LINE = re.compile(rb'"?sep=([^"\r\n])"?\r?\n?\Z', re.IGNORECASE)


def delimiter_of_excel(line: bytes) -> str | None:
    """Return the delimiter that a line `sep=;` names; None for any other line."""
    match = _EXCEL_LINE.match(line)
    return match[1].decode("latin-1") if match else None


def detect_delimiter(header: bytes, usual: str) -> str:
    """Return the delimiter of a header: the usual one or, if the header lacks that, the one that it has most of.

    The header decides alone, so that a file with one column stays one, whatever its cells contain.
    """
    count = Counter(_QUOTED.sub(b"", header).decode("latin-1"))
    if count[usual]:
        return usual
    return max(DELIMITER_NAMES, key=lambda delimiter: (count[delimiter], delimiter == usual))


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file. Cells after them are those of columns without a name, and have to be empty."""

    names: Sequence[str]
    unnamed_count: int
    """The number of columns without a name after the last one that has a name."""
    has_index: bool
    """Whether a column without a name precedes them, as pandas writes its index."""

    @classmethod
    def from_cells(cls, cells: Sequence[str], errors: InputErrors, line: int) -> "Header":
        """Parse the first record. Raises InputUnreadable for a missing or repeated name."""
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:
            names.pop()
        unnamed_count = len(cells) - len(names)
        has_index = bool(names) and not names[0]
        names = names[has_index:]
        if "" in names:
            raise unnamed_column(errors, line, names.index("") + 1 + has_index)
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            # Without a header these are cells of a row: quote only enough to recognise them.
            text = ", ".join(repr(name[:40]) for name in repeated)
            raise errors.unreadable(f"the header repeats {text}; give each column its own name", line=line)
        return cls(names, unnamed_count, has_index)

    @property
    def width(self) -> int:
        """The number of cells of a row, without those of unnamed columns at the end."""
        return len(self.names) + self.has_index


def unnamed_column(errors: InputErrors, line: int, number: int) -> Exception:
    """Return the error for a column without a name."""
    return errors.unreadable(f"column {number} has no name in the header; give it one", line=line)
