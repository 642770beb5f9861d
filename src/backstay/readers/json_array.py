"""A JSON array of objects, read element by element."""

from collections.abc import Iterator

from backstay.errors import InputUnreadable
from backstay.readers.input_text import InputText
from backstay.readers.json_object import parse_object
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow


def read_json_array(text: InputText) -> Iterator[InputRow]:
    """Yield a row for each element, with the number of the line where it starts.

    Raises InvalidRow for an element that is not a JSON object or exceeds the limits of `JsonScanner`, InputUnreadable
    for text that is not one array with commas between its elements.
    """
    scanner = JsonScanner(text)
    if scanner.peek() == "":
        return
    _open(scanner)
    more = scanner.peek() != "]"
    while more:
        _expect_row(scanner, text)
        line = scanner.line
        yield InputRow(line, parse_object(scanner.take_container(), text.errors, line, text.list_key))
        more = _take_comma(scanner)
    _close(scanner)


def _open(scanner: JsonScanner) -> None:
    if scanner.peek() != "[":
        reason = "a JSON file must be an array of objects; or write one object per line and name it .jsonl"
        raise scanner.unreadable(reason)
    scanner.skip()


def _expect_row(scanner: JsonScanner, text: InputText) -> None:
    match scanner.peek():
        case "{":
            return
        case "[" if text.list_key is not None:
            return
        case "":
            raise _truncated_error(scanner)
        case "]" | ",":
            raise scanner.unreadable("an element is missing here; remove the extra comma")
    raise text.errors.invalid_row(scanner.line, 'not a JSON object; write an element as {"column": value}')


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
