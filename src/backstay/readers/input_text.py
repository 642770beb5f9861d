"""The text of an input: checked to be UTF-8, split into lines or chunks, never held in memory as a whole."""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import BinaryIO, Self

from backstay.errors import InvalidRow
from backstay.readers.input_errors import InputErrors

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""The maximum length of a row, and so of a cell: an unclosed quote must not read a whole file into memory."""

_HEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
# UTF-32 first: its little-endian mark starts with that of UTF-16.
_FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True, slots=True)
class InputText:
    """An input from its first byte on, without a byte order mark.

    `head` is the part that was read to detect the kind: the first line, or the start of a long one. Only one of `lines`
    and `chunks` may be called, and only once, since they consume the stream.
    """

    origin: InputErrors
    stream: BinaryIO
    head: bytes
    first_line: int = 1

    @classmethod
    def open(cls, stream: BinaryIO, origin: InputErrors) -> Self:
        """Read the head. Raises InputUnreadable for UTF-16 and UTF-32."""
        head = stream.readline(_HEAD_BYTES)
        for mark, encoding in _FOREIGN_MARKS.items():
            if head.startswith(mark):
                raise origin.unreadable(f"this is {encoding} text; save it as UTF-8")
        return cls(origin, stream, head.removeprefix(codecs.BOM_UTF8))

    def from_first_text(self) -> Self:
        """Skip blank lines, so that the head shows what kind of text follows; line numbers still count them."""
        head, line = self.head, self.first_line
        while head.isspace():
            line += head.endswith(b"\n")
            head = self.stream.readline(_HEAD_BYTES)
        return replace(self, head=head, first_line=line)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line with its number and its line end. Raises InvalidRow for one over `MAX_RECORD_BYTES`."""
        if not self.head:
            return
        first = self.head
        if not first.endswith(b"\n"):
            first += self.stream.readline(MAX_RECORD_BYTES + 1 - len(first))
        rest = iter(partial(self.stream.readline, MAX_RECORD_BYTES + 1), b"")
        for number, line in enumerate(chain((first,), rest), self.first_line):
            if len(line) > MAX_RECORD_BYTES:
                raise too_long(self.origin, number)
            yield number, line

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in chunks, as soon as they arrive."""
        # `read` on a pipe would wait until a chunk is full.
        read: Callable[[int], bytes] = getattr(self.stream, "read1", self.stream.read)
        return chain((self.head,) if self.head else (), iter(partial(read, _CHUNK_BYTES), b""))


def decode(raw: bytes, origin: InputErrors, line: int) -> str:
    """Decode text that starts on `line`. Raises InputUnreadable with the line of the first byte that is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        error_line = line + raw.count(b"\n", 0, error.start)
        raise origin.unreadable("not UTF-8 text; save it as UTF-8", line=error_line) from None


def too_long(origin: InputErrors, line: int) -> InvalidRow:
    """Return the error for a record that starts on `line` and is over `MAX_RECORD_BYTES`."""
    limit = MAX_RECORD_BYTES // (1024 * 1024)
    return origin.invalid_row(line, f"the row is longer than {limit} MiB; check for an unclosed quote or bracket")
