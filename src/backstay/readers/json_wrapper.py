"""Recognition of a JSON object around rows, such as `{"data": [{…}, {…}]}`."""

import io
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import orjson

from backstay.errors import InputError
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import InputText
from backstay.readers.json_scanner import JsonScanner

_TURN_KEYS = (("role", "from", "speaker"), ("content", "value", "tool_calls", "parts", "text", "utterance"))


def find_wrapped_rows(beginning: bytes, row_keys: Collection[str]) -> str | None:
    """Return the key of the rows in an object, given its beginning; None if the object is a row itself.

    It is a row if it has one of the `row_keys`, several lists of objects or none, or a list of turns.
    """
    search = _WrapperSearch(beginning, row_keys)
    with suppress(InputError, orjson.JSONDecodeError):  # the beginning ends within the object, or is not JSON
        search.run()
    return None if search.is_row else search.key


def begins_with_turn(beginning: bytes) -> bool:
    """Return whether a list begins with a turn, so that it is a conversation and not a list of rows."""
    scanner = _scanner(beginning)
    with suppress(InputError, orjson.JSONDecodeError):
        scanner.peek()
        scanner.skip()
        return scanner.peek() == "{" and _is_turn(orjson.loads(scanner.take_container()))
    return False


class _WrapperSearch:
    """A walk over the members of an object that may be incomplete."""

    def __init__(self, beginning: bytes, row_keys: Collection[str]) -> None:
        self.key: str | None = None
        self.is_row = False
        self._row_keys = row_keys
        self._scanner = _scanner(beginning)

    def run(self) -> None:
        """Set `key` and `is_row`. Raises InputError or JSONDecodeError where the text ends."""
        scanner = self._scanner
        scanner.peek()
        scanner.skip()
        while scanner.peek() == '"' and not self.is_row:
            name = orjson.loads(scanner.take_value())
            self.is_row = name.strip().casefold() in self._row_keys
            if scanner.peek() != ":":
                return
            scanner.skip()
            self._read_value(name)
            if scanner.peek() == ",":
                scanner.skip()

    def _read_value(self, name: str) -> None:
        scanner = self._scanner
        if scanner.peek() != "[":
            scanner.take_value()
            return
        scanner.skip()
        if scanner.peek() == "{":
            if self.key is not None or _is_turn(orjson.loads(scanner.take_container())):
                self.is_row = True
            self.key = name
        while scanner.peek() not in ("]", ""):
            if scanner.peek() == ",":
                scanner.skip()
            else:
                scanner.take_value()
        scanner.skip()


def _scanner(beginning: bytes) -> JsonScanner:
    return JsonScanner(InputText(InputErrors(""), io.BytesIO(beginning), head=b""))


def _is_turn(element: Mapping[str, Any]) -> bool:
    return all(any(key in element for key in keys) for keys in _TURN_KEYS)
