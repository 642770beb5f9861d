"""JSONL: one object a line."""

from collections.abc import Iterator

from backstay.readers.json_object import parse_object
from backstay.readers.row import Row
from backstay.readers.text import Text


def read_jsonl(text: Text) -> Iterator[Row]:
    """Yield a row for each line that is not blank. Raises BadRow, and InputUnreadable where it is not UTF-8."""
    for number, line in text.lines():
        if not line.isspace():
            yield Row(number, parse_object(line, text.origin, number))
