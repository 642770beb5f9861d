"""Plain text: one row a line, with the text in a column that the caller names."""

from collections.abc import Iterator

from backstay.readers.input_text import InputText, decode
from backstay.readers.row import InputRow
from backstay.readers.row_rules import RowRules


def read_plain_text(text: InputText, rules: RowRules) -> Iterator[InputRow]:
    """Yield a row for each line that is not blank, without the space around it.

    Raises InputUnreadable for text that is not UTF-8, and for rows that cannot be text alone.
    """
    if rules.text_column is None:
        raise text.errors.unreadable(rules.text_refusal)
    for number, line in text.lines():
        if value := decode(line, text.errors, number).strip():
            yield InputRow(number, {rules.text_column: value})
