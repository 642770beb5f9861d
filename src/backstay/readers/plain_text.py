"""Plain text: one row a line, with the text in a column that the caller names."""

from collections.abc import Iterator

from backstay.errors import InputUnreadable
from backstay.readers.bad_rows import RawRow
from backstay.readers.input_text import InputText, decode
from backstay.readers.row import InputRow
from backstay.readers.row_rules import RowRules


def read_plain_text(text: InputText, rules: RowRules) -> Iterator[InputRow]:
    """Yield a row for each line that is not blank, without the space around it.

    Rejects a line that is not UTF-8. Raises InputUnreadable if rows cannot be text alone.
    """
    errors = text.errors
    if rules.text_column is None:
        raise errors.unreadable(rules.text_refusal)
    keeps_raw = errors.keeps_raw
    for number, line in text.lines():
        raw = RawRow(line, ".txt") if keeps_raw else None
        try:
            value = decode(line, errors, number).strip()
        except InputUnreadable as error:
            errors.reject(error, number, raw)
        else:
            if value:
                yield InputRow(number, {rules.text_column: value}, raw)
