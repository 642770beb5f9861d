"""JSONL: one object per line."""

from collections.abc import Iterator

from backstay.readers.input_text import InputText
from backstay.readers.json_object import parse_object
from backstay.readers.row import InputRow


def read_jsonl(text: InputText) -> Iterator[InputRow]:
    """Yield a row for each line that is not blank. Raises InvalidRow, or InputUnreadable for text that is not UTF-8."""
    for number, line in text.lines():
        if not line.isspace():
            yield InputRow(number, parse_object(line, text.errors, number, text.list_key))
