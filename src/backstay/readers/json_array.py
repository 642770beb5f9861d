"""A JSON array of objects, read element by element."""

from collections.abc import Iterator

from backstay.errors import InputError, InputUnreadable
from backstay.readers.bad_rows import RawRow
from backstay.readers.input_text import InputText
from backstay.readers.json_object import parse_object
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow


def read_json_array(text: InputText) -> Iterator[InputRow]:
    """Yield a row for each element, with the number of the line where it starts.

    Rejects an element that is not a JSON object. Raises InvalidRow for one that exceeds the limits of `JsonScanner`,
    InputUnreadable for text that is not one array with commas between its elements.
    """
    scanner, errors = JsonScanner(text), text.errors
    keeps_raw = errors.keeps_raw
    if scanner.peek() == "":
        return
    _open(scanner)
    more = scanner.peek() != "]"
    while more:
        is_row = _expect_element(scanner, text.list_key)
        line, element = scanner.line, scanner.take_value()
        raw = RawRow(bytes(element).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n") if keeps_raw else None
        try:
            if not is_row:
                raise errors.invalid_row(line, 'not a JSON object; write an element as {"column": value}')
            values = parse_object(element, errors, line, text.list_key)
        except InputError as error:
            errors.reject(error, line, raw)
        else:
            yield InputRow(line, values, raw)
        more = _take_comma(scanner)
    _close(scanner)


def _open(scanner: JsonScanner) -> None:
    if scanner.peek() != "[":
        reason = "a JSON file must be an array of objects; or write one object per line and name it .jsonl"
        raise scanner.unreadable(reason)
    scanner.skip()


def _expect_element(scanner: JsonScanner, list_key: str | None) -> bool:
    """Return whether the next element may be a row. Raises InputUnreadable if there is none."""
    match scanner.peek():
        case "{":
            return True
        case "[":
            return list_key is not None
        case "":
            raise _truncated_error(scanner)
        case "]" | ",":
            raise scanner.unreadable("an element is missing here; remove the extra comma")
    return False


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
