"""A JSON array of objects, or of texts, read element by element."""

from collections.abc import Iterator

import orjson

from backstay.errors import InputUnreadable
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText, decode
from backstay.readers.json_object import NOT_AN_OBJECT, parse_object
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow
from backstay.readers.row_rules import ITEM_ROWS, RowRules


def read_json_array(text: InputText, rules: RowRules = ITEM_ROWS) -> Iterator[InputRow]:
    """Yield a row for each element, with the number of the line where it starts. The first is an object or a text.

    Raises InvalidRow for an element of another kind or one that exceeds the limits of `JsonScanner`, InputUnreadable
    for text that is not one array with commas between its elements.
    """
    scanner = JsonScanner(text)
    if scanner.peek() == "":
        return
    _open(scanner)
    first = scanner.peek()
    if first == '"' and rules.text_column is None:
        raise scanner.unreadable(rules.text_refusal)
    more = first != "]"
    while more:
        if first == '"':
            yield _take_text_row(scanner, text.errors, rules.text_column or "")
        else:
            _expect_object(scanner, text.errors)
            line = scanner.line
            yield InputRow(line, parse_object(scanner.take_container(), text.errors, line))
        more = _take_comma(scanner)
    _close(scanner)


def _open(scanner: JsonScanner) -> None:
    if scanner.peek() != "[":
        reason = "a JSON file must be an array of objects; or write one object per line and name it .jsonl"
        raise scanner.unreadable(reason)
    scanner.skip()


def _expect_object(scanner: JsonScanner, errors: InputErrors) -> None:
    if scanner.peek() == "{":
        return
    _expect_element(scanner)
    raise errors.invalid_row(scanner.line, NOT_AN_OBJECT)


def _take_text_row(scanner: JsonScanner, errors: InputErrors, column: str) -> InputRow:
    if scanner.peek() != '"':
        _expect_element(scanner)
        raise errors.invalid_row(scanner.line, "not a text, like the first element of this array")
    line, raw = scanner.line, scanner.take_value()
    try:
        return InputRow(line, {column: orjson.loads(raw)})
    except orjson.JSONDecodeError as error:
        decode(bytes(raw), errors, line)
        raise errors.invalid_row(line, f"not valid JSON: {error.msg} (at column {error.colno})") from None


def _expect_element(scanner: JsonScanner) -> None:
    match scanner.peek():
        case "":
            raise _truncated_error(scanner)
        case "]" | ",":
            raise scanner.unreadable("an element is missing here; remove the extra comma")


def _take_comma(scanner: JsonScanner) -> bool:
    """Step over the comma between two elements; return False at the array's end."""
    match scanner.peek():
        case ",":
            scanner.skip()
            return True
        case "]":
            return False
        case "":
            raise _truncated_error(scanner)
    raise scanner.unreadable("a comma or the closing ] is missing here, or after the element above")


def _close(scanner: JsonScanner) -> None:
    scanner.skip()
    if scanner.peek():
        raise scanner.unreadable("more text after the closing ] of the array; remove it")


def _truncated_error(scanner: JsonScanner) -> InputUnreadable:
    return scanner.unreadable("the closing ] of the array is missing; the file may be truncated")
