"""A row within JSON text: an element of an array, or one of several objects that follow each other."""

from collections.abc import Callable
from typing import Any

from backstay.errors import InputError
from backstay.readers.bad_rows import RawRow
from backstay.readers.input_errors import InputErrors
from backstay.readers.json_object import NOT_AN_OBJECT, parse_object
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow
from backstay.readers.row_rules import ITEM_ROWS, RowRules

ParseElement = Callable[[bytearray, InputErrors, int], dict[str, Any]]


def take_row(scanner: JsonScanner, errors: InputErrors, parse: ParseElement) -> InputRow | None:
    """Step over the value that starts here and return it as a row; None if it is rejected.

    Raises InvalidRow for a value that exceeds the limits of `JsonScanner`, InputUnreadable for one that never ends.
    """
    line, element = scanner.line, scanner.take_value()
    raw = RawRow(_to_line(element)) if errors.keeps_raw else None
    try:
        return InputRow(line, parse(element, errors, line), raw, len(element))
    except InputError as error:
        errors.reject(error, line, raw)
        return None


def parse_element(
    element: bytearray, errors: InputErrors, line: int, *, rules: RowRules = ITEM_ROWS, reason: str = NOT_AN_OBJECT
) -> dict[str, Any]:
    """Parse an element that is an object, or a list where the rules allow that. Raises like `parse_object`.

    `reason` is that of the error about any other element.
    """
    if not element.startswith(b"{") and (rules.list_key is None or not element.startswith(b"[")):
        raise errors.invalid_row(line, reason)
    return parse_object(element, errors, line, rules.list_key)


def _to_line(element: bytearray) -> bytes:
    return bytes(element).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
