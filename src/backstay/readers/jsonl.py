"""JSONL: one object per line."""

from collections.abc import Iterator

from backstay.errors import InputError
from backstay.readers.bad_rows import RawRow
from backstay.readers.input_text import InputText
from backstay.readers.json_object import parse_object
from backstay.readers.row import InputRow
from backstay.readers.row_rules import ITEM_ROWS, RowRules


def read_jsonl(text: InputText, rules: RowRules = ITEM_ROWS) -> Iterator[InputRow]:
    """Yield a row for each line that is not blank. Rejects the others, also those that are not UTF-8."""
    errors = text.errors
    keeps_raw = errors.keeps_raw
    for number, line in text.lines():
        if line.isspace():
            continue
        raw = RawRow(line) if keeps_raw else None
        try:
            values = parse_object(line, errors, number, rules.list_key)
        except InputError as error:
            errors.reject(error, number, raw)
        else:
            yield InputRow(number, values, raw, len(line))
