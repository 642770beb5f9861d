"""JSON in any layout: an array, one object a line, objects one after another, one object, an object around rows."""

from collections.abc import Iterator
from io import BytesIO

import orjson

from backstay.errors import InputError
from backstay.readers.column_names import quoted_names
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText
from backstay.readers.json_array import read_json_array
from backstay.readers.json_array_member import JsonMember
from backstay.readers.json_element import parse_element, take_row
from backstay.readers.json_object import NOT_AN_OBJECT
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.json_wrapper import begins_with_turn, find_wrapped_rows
from backstay.readers.jsonl import read_jsonl
from backstay.readers.row import InputRow
from backstay.readers.row_rules import RowRules

_LOOK_AHEAD_BYTES = 256 * 1024
_EXPECTED = "an array of objects, an object around one list of objects, or objects one after another are expected"


def read_json(text: InputText, rules: RowRules, *, is_jsonl: bool) -> Iterator[InputRow]:
    """Yield the rows of JSON text. If `is_jsonl`, its first line is a row in case of doubt.

    Rejects a row that is not an object. Raises InvalidRow for one that exceeds the limits of `JsonScanner`,
    InputUnreadable for text in another layout.
    """
    text = text.from_first_text()
    start = text.head.lstrip()[:1]
    if start == b"{":
        yield from _read_objects(text, rules, is_jsonl=is_jsonl)
    elif start == b"[":
        yield from _read_list(text, rules) if is_jsonl else read_json_array(text, rules)
    elif start and not is_jsonl:
        raise text.errors.unreadable(f"not a JSON file of rows: {_EXPECTED}", line=text.first_line)
    else:
        yield from read_jsonl(text, rules)


def _read_list(text: InputText, rules: RowRules) -> Iterator[InputRow]:
    """Yield the elements of a list as rows, unless the list is a row itself."""
    text = text.with_longer_head(_LOOK_AHEAD_BYTES)
    may_be_elements = (b"", b"{", b'"', b"]") if rules.list_key is None else (b"", b"{", b'"', b"]", b"[")
    if text.head.lstrip()[1:].lstrip()[:1] not in may_be_elements:
        return read_jsonl(text, rules)
    if rules.list_key is not None and begins_with_turn(text.head):
        return read_jsonl(text, rules)
    if _is_whole(text.head, list):
        is_alone, text = _is_followed_by_nothing(text)
        if not is_alone:
            return read_jsonl(text, rules)
    return read_json_array(text, rules)


def _read_objects(text: InputText, rules: RowRules, *, is_jsonl: bool) -> Iterator[InputRow]:
    text = text.with_longer_head(_LOOK_AHEAD_BYTES)
    if is_json_line(text.head):
        key = find_wrapped_rows(text.head, rules.row_keys)
        if key is not None:
            is_alone, text = _is_followed_by_nothing(text)
            if is_alone:
                return _read_wrapped(text, key)
        return read_jsonl(text, rules)
    if is_jsonl and not _continues(text.head):
        return read_jsonl(text, rules)
    beginning, text = text.read_ahead(_LOOK_AHEAD_BYTES)
    key = find_wrapped_rows(beginning, rules.row_keys)
    if key is not None and not _has_several(beginning):
        return _read_wrapped(text, key)
    if is_jsonl and _first_object_size(beginning) is None and _looks_like_lines(beginning):
        return read_jsonl(text, rules)
    return _read_sequence(text)


def is_json_line(line: bytes) -> bool:
    """Return whether a line is a whole JSON object."""
    return _is_whole(line, dict)


def _is_whole(line: bytes, kind: type) -> bool:
    try:
        return isinstance(orjson.loads(line), kind)
    except orjson.JSONDecodeError:
        return False


def _is_followed_by_nothing(text: InputText) -> tuple[bool, InputText]:
    """Return whether the head is the only text, and the text as it was before."""
    beginning, text = text.read_ahead(len(text.head) + _LOOK_AHEAD_BYTES)
    return beginning[len(text.head) :].isspace() or len(beginning) == len(text.head), text


def _continues(line: bytes) -> bool:
    """Return whether an object that is not whole on its line looks unfinished or followed by another, not broken."""
    return line.rstrip()[-1:] in (b"{", b"[", b",") or not line.endswith(b"\n") or _has_several(line)


def _looks_like_lines(beginning: bytes) -> bool:
    """Return whether text whose first object does not end may be lines, the first of which is broken."""
    _, *others = beginning.split(b"\n", 2)
    return not others or len(beginning) < _LOOK_AHEAD_BYTES or is_json_line(others[0])


def _has_several(beginning: bytes) -> bool:
    """Return whether the first object ends within the text and another one follows."""
    size = _first_object_size(beginning)
    return size is not None and beginning[size:].lstrip().startswith(b"{")


def _first_object_size(beginning: bytes) -> int | None:
    scanner = JsonScanner(InputText(InputErrors(""), BytesIO(beginning), head=b""))
    try:
        scanner.peek()
        return len(beginning) - len(beginning.lstrip()) + len(scanner.take_container())
    except InputError:
        return None


def _read_wrapped(text: InputText, key: str) -> Iterator[InputRow]:
    member = JsonMember(text, key, shape_error="not valid JSON", element_error=NOT_AN_OBJECT)
    yield from member.rows()
    for name, value in member.others.items():  # a list after the beginning, in which the rows were found
        if isinstance(value, list) and value and isinstance(value[0], dict):
            raise text.errors.unreadable(f"both {key[:40]!r} and {name[:40]!r} are lists of objects; keep one of them")
    if member.others:
        text.note(
            f"the rows are under {key[:40]!r}; other keys of the object are ignored: {quoted_names(member.others)}"
        )


def _read_sequence(text: InputText) -> Iterator[InputRow]:
    scanner = JsonScanner(text)
    while (character := scanner.peek()) == "{":
        if (row := take_row(scanner, text.errors, parse_element)) is not None:
            yield row
    if character:
        raise scanner.unreadable("text after an object; the next object is expected here")
