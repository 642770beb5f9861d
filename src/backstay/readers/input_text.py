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
"""The maximum size of a row, and so of a cell, so that an unclosed quote does not read a whole file into memory."""

_HEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
# UTF-32 comes first, because its little-endian mark starts with that of UTF-16.
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True, slots=True)
class InputText:
    """An input from its first byte on, without a byte order mark.

    `head` is the part that was read to detect the kind: the first line, or the start of a long one. Call either `lines`
    or `chunks`, and only once, since both consume the stream.
    """

    errors: InputErrors
    stream: BinaryIO
    head: bytes
    first_line: int = 1
    list_key: str | None = None
    """The key for a row that is a list, where such rows are allowed."""

    @classmethod
    def open(cls, stream: BinaryIO, errors: InputErrors) -> Self:
        """Read the head. Raises InputUnreadable for UTF-16 and UTF-32."""
        head = stream.readline(_HEAD_BYTES)
        for mark, encoding in _OTHER_ENCODINGS.items():
            if head.startswith(mark):
                raise errors.unreadable(f"this is {encoding} text; save it as UTF-8")
        return cls(errors, stream, head.removeprefix(codecs.BOM_UTF8))

    def from_first_text(self) -> Self:
        """Skip blank lines, so that the head shows which kind of text follows. Line numbers still count blank lines."""
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
                raise record_too_long(self.errors, number)
            yield number, line

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in chunks, as soon as they arrive."""
        # `read` on a pipe would wait until a chunk is full.
        read: Callable[[int], bytes] = getattr(self.stream, "read1", self.stream.read)
        return chain((self.head,) if self.head else (), iter(partial(read, _CHUNK_BYTES), b""))


def decode(raw: bytes, errors: InputErrors, line: int) -> str:
    """Decode text that starts on `line`. Raises InputUnreadable with the line of the first byte that is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        error_line = line + raw.count(b"\n", 0, error.start)
        raise errors.unreadable("not UTF-8 text; save it as UTF-8", line=error_line) from None


def record_too_long(errors: InputErrors, line: int) -> InvalidRow:
    """Return the error for a record that starts on `line` and is over `MAX_RECORD_BYTES`."""
    limit = MAX_RECORD_BYTES // (1024 * 1024)
    return errors.invalid_row(line, f"the row is longer than {limit} MiB; check for an unclosed quote or bracket")
