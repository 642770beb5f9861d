"""Text in other encodings, as a stream of UTF-8."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from backstay.errors import InputUnreadable
from backstay.readers.block_stream import iterate_chunks, to_stream
from backstay.readers.input_errors import InputErrors
from backstay.remedy import Remedy

# UTF-32 comes first, because its little-endian mark starts with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

_INSPECTED_BYTES = 400
# In Western text, letters outside ASCII stand alone or in pairs. Three in a row are another script.
_OTHER_SCRIPT = re.compile(rb"[\x80-\xff]{3}")
_WESTERN = frozenset("€‚„…Š‹ŒŽ‘’“”•–—š›œž \xa0§°«»¿¡²³·½¼¾ßÄÖÜäöü" + "".join(map(chr, range(0xC0, 0x100)))) - {"×", "÷"}


def is_utf8(encoding: str | None) -> bool:
    """Return whether an encoding is UTF-8, which needs no conversion."""
    return encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def to_utf8(stream: BinaryIO, encoding: str, errors: InputErrors) -> BinaryIO:
    """Return the text of a stream as UTF-8, without its byte order mark.

    Reading it raises InputUnreadable with the line of the first bytes that are not text in this encoding.

    At the end, it is also raised if all text is valid UTF-8 with characters outside ASCII, which would be garbled
    silently. Text in another encoding is valid UTF-8 only by chance, rarely with more than a character or two.
    Encodings of Unicode, such as UTF-16, are not checked for this.
    """
    return to_stream(_blocks(stream, encoding, errors))


def _blocks(stream: BinaryIO, encoding: str, errors: InputErrors) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    utf8 = None if codecs.lookup(encoding).name.startswith("utf-") else _Utf8Check()
    line, is_first = 1, True
    for chunk in _with_end(iterate_chunks(stream)):
        if utf8 is not None:
            utf8.add(chunk)
        try:
            text = decoder.decode(chunk, final=not chunk)
            block = (text.removeprefix("\ufeff") if is_first else text).encode()
        except UnicodeError as error:
            probably = ", but probably UTF-8" if utf8 is not None and utf8.may_be_utf8 else ""
            raise errors.unreadable(
                f"not {encoding} text{probably}",
                line=line + _lines_before(error, encoding),
                remedy=Remedy.CORRECT_ENCODING,
            ) from None
        line += text.count("\n")
        if block:
            is_first = False
            yield block
    if utf8 is not None and utf8.may_be_utf8:
        raise errors.unreadable(f"the text is UTF-8, which {encoding} would garble", remedy=Remedy.CORRECT_ENCODING)


class _Utf8Check:
    """A check whether bytes in chunks, the last of them empty, are UTF-8 with characters outside ASCII."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_valid = True
        self._is_ascii = True

    @property
    def may_be_utf8(self) -> bool:
        return self._is_valid and not self._is_ascii

    def add(self, chunk: bytes) -> None:
        if not self._is_valid:
            return
        try:
            self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            self._is_valid = False
        self._is_ascii = self._is_ascii and chunk.isascii()


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _lines_before(error: UnicodeError, encoding: str) -> int:
    if not isinstance(error, UnicodeDecodeError):
        return 0
    return error.object[: error.start].decode(encoding, "replace").count("\n")


def not_utf8(errors: InputErrors, line: int, raw: bytes) -> InputUnreadable:
    """Return the error for text that is not UTF-8. `raw` may show which encoding it is in."""
    guess = ", but probably cp1252" if _looks_western(raw) else ""
    return errors.unreadable(f"not UTF-8 text{guess}", line=line, remedy=Remedy.NAME_ENCODING, encoding="cp1252")


def refuse_unmarked_utf16(head: bytes, errors: InputErrors) -> None:
    """Raise InputUnreadable for UTF-16 without a byte order mark, which its many NUL bytes show."""
    inspected = head[: _INSPECTED_BYTES // 2 * 2]
    if len(inspected) < 4 or b"\0" not in inspected:
        return
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if not any(inspected[start::2]) and all(inspected[1 - start :: 2]):
            raise errors.unreadable(
                "this looks like UTF-16 text without a byte order mark", remedy=Remedy.NAME_ENCODING, encoding=encoding
            )


def _looks_western(raw: bytes) -> bool:
    if _OTHER_SCRIPT.search(raw):
        return False
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return all(character in _WESTERN for character in text if not character.isascii())
