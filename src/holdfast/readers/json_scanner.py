"""Steps through JSON text that arrives in chunks, without parsing it."""

import re

from holdfast.readers.text import MAX_RECORD_BYTES, Text, too_long

_MAX_DEPTH = 1024
# Possessive repeats (`*+`) throughout: nothing is tried twice, and a match needs no memory however long it is.
_SPACE = re.compile(rb"[ \t\r\n]*+")
# Up to the next bracket outside a string, or to a string that does not end within the window.
_NO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL)
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE = ord('"')
_OPENING = frozenset(b"{[")


class JsonScanner:
    """A position in JSON text. `line` is the line of the position; the window holds little more than one element."""

    def __init__(self, text: Text) -> None:
        self.line = text.first_line
        self._origin = text.origin
        self._chunks = text.chunks()
        self._window = bytearray()
        self._at = 0

    def peek(self) -> str:
        """Step over space and return the character there, "" at the end. Bytes beyond ASCII come back as Latin-1."""
        while True:
            end = _end(_SPACE, self._window, self._at)
            self.line += self._window.count(b"\n", self._at, end)
            self._at = end
            if end < len(self._window):
                return chr(self._window[end])
            if not self._read_on():
                return ""

    def skip(self) -> None:
        """Step over the character that `peek` returned."""
        self._at += 1

    def take_object(self) -> bytearray:
        """Step over the object that starts here and return its text, with brackets paired but nothing else checked.

        Raises BadRow if it is nested more than 1024 deep or over `MAX_RECORD_BYTES`, InputUnreadable if it does not end.
        """
        size = self._size_of_object()
        raw = self._window[self._at : self._at + size]
        self._at += size
        self.line += raw.count(b"\n")
        return raw

    def _size_of_object(self) -> int:
        size, depth = 1, 1
        while depth:
            size = _end(_NO_BRACKET, self._window, self._at + size) - self._at
            if self._at + size == len(self._window):
                self._need_more()
                continue
            byte = self._window[self._at + size]
            size += 1
            if byte == _QUOTE:
                size = self._size_to_end_of_string(size)
            elif byte in _OPENING:
                depth += 1
            else:
                depth -= 1
            if depth > _MAX_DEPTH:
                raise self._origin.bad_row(self.line, f"nested more than {_MAX_DEPTH} deep")
        return size

    def _size_to_end_of_string(self, size: int) -> int:
        """Go on from within a string. A long one is not gone over again for each chunk that it spans."""
        while True:
            size = _end(_IN_STRING, self._window, self._at + size) - self._at
            # Otherwise the window ends within the string, perhaps right after a backslash.
            if self._window[self._at + size : self._at + size + 1] == b'"':
                return size + 1
            self._need_more()

    def _need_more(self) -> None:
        if not self._read_on():
            raise self._origin.unreadable(
                "the element that starts here never ends; the file may be cut off", line=self.line
            )
        if len(self._window) - self._at > MAX_RECORD_BYTES:
            raise too_long(self._origin, self.line)

    def _read_on(self) -> bool:
        """Let go of what lies behind the position and add a chunk; False at the end of the input."""
        chunk = next(self._chunks, b"")
        del self._window[: self._at]
        self._at = 0
        self._window += chunk
        return bool(chunk)


def _end(pattern: re.Pattern[bytes], window: bytearray, at: int) -> int:
    match = pattern.match(window, at)
    assert match is not None
    return match.end()
