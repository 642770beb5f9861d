"""One JSON object whose bulk is an array of objects under one of its keys, read element by element."""

from collections.abc import Iterator
from typing import Any

import orjson

from backstay.errors import InputUnreadable
from backstay.readers.json_object import parse_object
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow
from backstay.readers.text import InputText


class JsonMember:
    """Reads the elements under `key` with constant memory; values of other keys are in `others` once they were passed.

    The result of `rows` is valid only if it ends without an error.
    """

    def __init__(self, text: InputText, key: str, *, otherwise: str) -> None:
        """Name the key; `otherwise` is the message for a text that is not such an object."""
        self.others: dict[str, Any] = {}
        self._origin = text.origin
        self._scanner = JsonScanner(text)
        self._key = key
        self._otherwise = otherwise

    def rows(self) -> Iterator[InputRow]:
        """Yield a row for each element; its line is where the element starts.

        Raises:
            InvalidRow: an element is no object, or cannot be kept.
            InputUnreadable: it is no such object, or not whole.
        """
        scanner, was_there = self._scanner, False
        self._expect("{")
        more = scanner.peek() != "}"
        while more:
            name = self._parsed()
            if not isinstance(name, str) or name in self.others or (name == self._key and was_there):
                raise self._not_one()
            self._expect(":")
            if name == self._key:
                was_there = True
                yield from self._elements()
            else:
                self.others[name] = self._parsed()
            more = self._takes_comma("}")
        self._expect("}")
        if scanner.peek():
            raise self._origin.unreadable("the file goes on behind its end", line=scanner.line)
        if not was_there:
            raise self._not_one()

    def _elements(self) -> Iterator[InputRow]:
        scanner = self._scanner
        self._expect("[")
        more = scanner.peek() != "]"
        while more:
            if (found := scanner.peek()) != "{":
                raise self._origin.invalid_row(scanner.line, "not a conversation") if found else self._cut_off()
            line = scanner.line
            yield InputRow(line, parse_object(scanner.take_object(), self._origin, line))
            more = self._takes_comma("]")
        self._expect("]")

    def _parsed(self) -> Any:
        try:
            return orjson.loads(self._scanner.take_value())
        except orjson.JSONDecodeError as error:
            raise self._not_one() from error

    def _takes_comma(self, end: str) -> bool:
        if self._scanner.peek() == end:
            return False
        self._expect(",")
        return True

    def _expect(self, character: str) -> None:
        found = self._scanner.peek()
        if found != character:
            raise self._not_one() if found else self._cut_off()
        self._scanner.skip()

    def _cut_off(self) -> InputUnreadable:
        return self._origin.unreadable("the file is cut off")

    def _not_one(self) -> InputUnreadable:
        return self._origin.unreadable(self._otherwise, line=self._scanner.line)
