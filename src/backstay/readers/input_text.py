"""The text of an input: in UTF-8, split into lines or chunks, and never held in memory as a whole."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import BinaryIO, Self

from backstay.errors import InvalidRow
from backstay.readers.block_stream import iterate_chunks, peek, push_back
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.transcoding import MARKS, is_utf8, not_utf8, refuse_unmarked_utf16, to_utf8

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""The maximum size of a row, and so of a cell, so that an unclosed quote does not read a whole file into memory."""

_HEAD_BYTES = 64 * 1024


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
    notes: InputNotes = field(default_factory=InputNotes)

    @classmethod
    def open(
        cls, stream: BinaryIO, errors: InputErrors, *, encoding: str | None = None, notes: InputNotes | None = None
    ) -> Self:
        """Read the head of text in UTF-8, in the encoding that its byte order mark shows, or else in `encoding`.

        Raises InputUnreadable for UTF-16 without a mark.
        """
        notes = notes if notes is not None else InputNotes()
        start, stream = peek(stream, MARKS)
        marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
        if marked is not None:
            notes.add(errors.path, f"the text is {marked}")
        if marked is not None or not is_utf8(encoding):
            stream = to_utf8(stream, marked or encoding or "", errors)
        head = stream.readline(_HEAD_BYTES)
        refuse_unmarked_utf16(head, errors)
        return cls(errors, stream, head.removeprefix(codecs.BOM_UTF8), notes=notes)

    def note(self, fact: str) -> None:
        """Report something noticed in this text."""
        self.notes.add(self.errors.path, fact)

    def without_first_line(self) -> Self:
        """Drop the head, which must be a whole line."""
        return replace(self, head=self.stream.readline(_HEAD_BYTES), first_line=self.first_line + 1)

    def with_longer_head(self, size: int) -> Self:
        """Read on in the first line until the head has `size` bytes or is a whole line."""
        head = self.head
        if not head.endswith(b"\n"):
            head += self.stream.readline(max(size - len(head), 0))
        return replace(self, head=head)

    def read_ahead(self, size: int) -> tuple[bytes, Self]:
        """Return the next `size` bytes, or fewer at the end, and this text as it was before."""
        data = self.head + self.stream.read(max(size - len(self.head), 0))
        stream = push_back(data, self.stream)
        return data, replace(self, stream=stream, head=stream.readline(_HEAD_BYTES))

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
        return chain((self.head,) if self.head else (), iterate_chunks(self.stream))


def decode(raw: bytes, errors: InputErrors, line: int) -> str:
    """Decode text that starts on `line`. Raises InputUnreadable with the line of the first byte that is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        error_line = line + raw.count(b"\n", 0, error.start)
        raise not_utf8(errors, error_line, raw) from None


def record_too_long(errors: InputErrors, line: int) -> InvalidRow:
    """Return the error for a record that starts on `line` and is over `MAX_RECORD_BYTES`."""
    limit = MAX_RECORD_BYTES // (1024 * 1024)
    return errors.invalid_row(line, f"the row is longer than {limit} MiB; check for an unclosed quote or bracket")
