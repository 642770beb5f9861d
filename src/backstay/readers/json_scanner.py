"""A scanner that steps through chunks of JSON text without parsing it."""

import re

from backstay.errors import InputUnreadable
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText, record_too_long
from backstay.readers.json_depth import TOO_DEEP

# No pattern backtracks: each repeat of a character is possessive (`*+`), each repeat of a group is in an atomic group.
# A possessive repeat of a group would be equivalent, but matches too little before Python 3.11.5.
_SCALAR = re.compile(rb"[0-9A-Za-z+.-]*+")
_MAX_SCALAR_BYTES = 1024
# A row that is only a little too deep is read, so that it can be left out. The JSON parser stops at 1024.
_MAX_SCANNED_DEPTH = 1000
_SPACE = re.compile(rb"[ \t\r\n]*+")
_IN_STRING_SOURCE = rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)'
_IN_STRING = re.compile(_IN_STRING_SOURCE, re.DOTALL)
# Matches up to the next bracket outside a string, or up to a string that continues past the window.
_NO_BRACKET_SOURCE = rb'[^"{}\[\]]*+(?>(?:"' + _IN_STRING_SOURCE + rb'"[^"{}\[\]]*+)*)'
_NO_BRACKET = re.compile(_NO_BRACKET_SOURCE, re.DOTALL)


def _balanced_pattern(depth: int) -> bytes:
    """Return the pattern of a bracketed value, up to `depth` levels deep."""
    inner = rb"(?>(?:" + _balanced_pattern(depth - 1) + _NO_BRACKET_SOURCE + rb")*)" if depth > 1 else b""
    return rb"[{\[]" + _NO_BRACKET_SOURCE + inner + rb"[}\]]"


# Matches most values in one step, which is several times faster than one step per bracket.
_SHALLOW = re.compile(_balanced_pattern(5), re.DOTALL)
_SPACES = frozenset(b" \t\r\n")
_QUOTE = ord('"')
_OPENING = frozenset(b"{[")


class JsonScanner:
    """A position in JSON text and its line number, with little more than one element in memory."""

    def __init__(self, text: InputText) -> None:
        self.line = text.first_line
        self._errors = text.errors
        self._chunks = text.chunks()
        self._window = bytearray()
        self._position = 0

    def peek(self) -> str:
        """Step over white space; return the next character, or "" at the end. Non-ASCII bytes are read as Latin-1."""
        while self._position < len(self._window) or self._read_chunk():
            byte = self._window[self._position]
            if byte not in _SPACES:
                return chr(byte)
            self._step_over_space()
        return ""

    def skip(self) -> None:
        """Step over the character that `peek` returned."""
        self._position += 1

    def unreadable(self, reason: str) -> InputUnreadable:
        """Return the error about the current line."""
        return self._errors.unreadable(reason, line=self.line)

    def take_container(self) -> bytearray:
        """Step over the object or array that starts here and return its text; only its brackets are checked.

        Raises InvalidRow if it is far too deep or over `MAX_RECORD_BYTES`, InputUnreadable if it never ends.
        """
        whole = _SHALLOW.match(self._window, self._position)
        size = whole.end() - self._position if whole else self._container_size()
        raw = self._window[self._position : self._position + size]
        self._position += size
        self.line += raw.count(b"\n")
        return raw

    def take_value(self) -> bytearray:
        """Step over the value that starts here and return its text, unchecked. Raises like `take_container`."""
        match self.peek():
            case "{" | "[":
                return self.take_container()
            case '"':
                size = self._string_end(1)
            case _:
                size = self._scalar_size()
        raw = self._window[self._position : self._position + size]
        self._position += size
        return raw

    def _scalar_size(self) -> int:
        while True:
            size = self._match_end(_SCALAR, 0)
            # A scalar at the end of the window may continue in the next chunk, but a valid scalar is short.
            if self._byte_at(size) is not None or size > _MAX_SCALAR_BYTES or not self._read_chunk():
                return size

    def _step_over_space(self) -> None:
        size = self._match_end(_SPACE, 0)
        self.line += self._window.count(b"\n", self._position, self._position + size)
        self._position += size

    def _container_size(self) -> int:
        """Return the size of the object or array that starts here, reading as many chunks as needed."""
        size, depth = 1, 1
        while depth:
            size = self._match_end(_NO_BRACKET, size)
            byte = self._byte_at(size)
            if byte is None:
                self._require_chunk()
                continue
            size += 1
            if byte == _QUOTE:
                size = self._string_end(size)
            elif byte in _OPENING:
                depth += 1
            else:
                depth -= 1
            if depth > _MAX_SCANNED_DEPTH:
                raise self._errors.invalid_row(self.line, TOO_DEEP)
        return size

    def _string_end(self, offset: int) -> int:
        """Return the offset just past the end of a string, given an offset inside it. Scans each chunk once."""
        while True:
            offset = self._match_end(_IN_STRING, offset)
            if self._byte_at(offset) == _QUOTE:
                return offset + 1
            # The window ends inside the string, possibly right after a backslash.
            self._require_chunk()

    def _match_end(self, pattern: re.Pattern[bytes], offset: int) -> int:
        match = pattern.match(self._window, self._position + offset)
        return match.end() - self._position if match else offset

    def _byte_at(self, offset: int) -> int | None:
        at = self._position + offset
        return self._window[at] if at < len(self._window) else None

    def _require_chunk(self) -> None:
        if not self._read_chunk():
            raise self.unreadable("the element that starts here never ends; the file may be truncated")
        if len(self._window) - self._position > MAX_RECORD_BYTES:
            raise record_too_long(self._errors, self.line)

    def _read_chunk(self) -> bool:
        """Drop the text before the position and append a chunk; return False at the end of the input."""
        chunk = next(self._chunks, b"")
        del self._window[: self._position]
        self._position = 0
        self._window += chunk
        return bool(chunk)
