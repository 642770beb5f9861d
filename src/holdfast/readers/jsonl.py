"""JSONL: one object a line."""

from collections.abc import Iterator

from holdfast.readers.json_object import parse_object
from holdfast.readers.row import Row
from holdfast.readers.text import Text


def read_jsonl(text: Text) -> Iterator[Row]:
    """Yield a row for each line that is not blank. Raises BadRow, and InputUnreadable where it is not UTF-8."""
    for number, line in text.lines():
        if not line.isspace():
            yield Row(number, parse_object(line, text.origin, number))
