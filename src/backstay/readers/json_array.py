"""A JSON array of objects, or of texts, read element by element."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from backstay.errors import InputUnreadable
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText, decode
from backstay.readers.json_element import parse_element, take_row
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow
from backstay.readers.row_rules import ITEM_ROWS, RowRules


def read_json_array(text: InputText, rules: RowRules = ITEM_ROWS) -> Iterator[InputRow]:
    """Yield a row for each element, with the number of the line where it starts. The first is an object or a text.

    Rejects an element of another kind. Raises InvalidRow for one that exceeds the limits of `JsonScanner`,
    InputUnreadable for text that is not one array with commas between its elements.
    """
    scanner = JsonScanner(text)
    if scanner.peek() == "":
        return
    _open(scanner)
    first = scanner.peek()
    if first == '"' and rules.text_column is None:
        raise scanner.unreadable(rules.text_refusal)
    parse = _parse_text if first == '"' else parse_element
    parse_row = partial(parse, rules=rules)
    more = first != "]"
    while more:
        _expect_element(scanner)
        if (row := take_row(scanner, text.errors, parse_row)) is not None:
            yield row
        more = _take_comma(scanner)
    _close(scanner)


def _open(scanner: JsonScanner) -> None:
    if scanner.peek() != "[":
        reason = "a JSON file must be an array of objects; or write one object per line and name it .jsonl"
        raise scanner.unreadable(reason)
    scanner.skip()


def _parse_text(element: bytearray, errors: InputErrors, line: int, *, rules: RowRules) -> dict[str, Any]:
    if not element.startswith(b'"'):
        raise errors.invalid_row(line, "not a text, like the first element of this array")
    try:
        return {rules.text_column or "": orjson.loads(element)}
    except orjson.JSONDecodeError as error:
        decode(bytes(element), errors, line)
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
