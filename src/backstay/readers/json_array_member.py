"""A JSON object with a large array of objects under one of its keys, read element by element."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from backstay.errors import InputUnreadable
from backstay.readers.input_text import InputText
from backstay.readers.json_element import parse_element, take_row
from backstay.readers.json_scanner import JsonScanner
from backstay.readers.row import InputRow


class JsonMember:
    """A reader of the elements under `key`, with constant memory. `others` holds the values of the other keys so far.

    The rows are valid only if `rows` ends without an error.
    """

    def __init__(
        self, text: InputText, key: str, *, shape_error: str, element_error: str = "not a conversation"
    ) -> None:
        """Prepare to read the elements under `key`.

        The errors are the reasons for any other text, and for an element that is not an object.
        """
        self.others: dict[str, Any] = {}
        self._errors = text.errors
        self._scanner = JsonScanner(text)
        self._key = key
        self._shape_error = shape_error
        self._parse = partial(parse_element, reason=element_error)

    def rows(self) -> Iterator[InputRow]:
        """Yield a row for each element, with the number of the line where it starts. Rejects those that are no object.

        Raises:
            InvalidRow: an element exceeds the limits of `JsonScanner`.
            InputUnreadable: the text is not such an object, or is truncated.
        """
        scanner, was_read = self._scanner, False
        self._expect("{")
        more = scanner.peek() != "}"
        while more:
            name = self._parse_value()
            if not isinstance(name, str) or name in self.others or (name == self._key and was_read):
                raise self._wrong_shape_error()
            self._expect(":")
            if name == self._key:
                was_read = True
                yield from self._elements()
            else:
                self.others[name] = self._parse_value()
            more = self._take_comma("}")
        self._expect("}")
        if not was_read:
            raise self._wrong_shape_error()
        if scanner.peek():
            raise scanner.unreadable("the file has data after its end")

    def _elements(self) -> Iterator[InputRow]:
        scanner = self._scanner
        self._expect("[")
        more = scanner.peek() != "]"
        while more:
            if not scanner.peek():
                raise self._truncated_error()
            if (row := take_row(scanner, self._errors, self._parse)) is not None:
                yield row
            more = self._take_comma("]")
        self._expect("]")

    def _parse_value(self) -> Any:
        try:
            return orjson.loads(self._scanner.take_value())
        except orjson.JSONDecodeError as error:
            raise self._wrong_shape_error() from error

    def _take_comma(self, end: str) -> bool:
        if self._scanner.peek() == end:
            return False
        self._expect(",")
        return True

    def _expect(self, character: str) -> None:
        next_character = self._scanner.peek()
        if next_character != character:
            raise self._wrong_shape_error() if next_character else self._truncated_error()
        self._scanner.skip()

    def _truncated_error(self) -> InputUnreadable:
        return self._errors.unreadable("the file is truncated")

    def _wrong_shape_error(self) -> InputUnreadable:
        return self._scanner.unreadable(self._shape_error)
