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
    """
    return to_stream(_blocks(stream, encoding, errors))


def _blocks(stream: BinaryIO, encoding: str, errors: InputErrors) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line, is_first = 1, True
    for chunk in _with_end(iterate_chunks(stream)):
        try:
            text = decoder.decode(chunk, final=not chunk)
            block = (text.removeprefix("\ufeff") if is_first else text).encode()
        except UnicodeError as error:
            raise undecodable(errors, line + _lines_before(error, encoding), encoding) from None
        line += text.count("\n")
        if block:
            is_first = False
            yield block


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _lines_before(error: UnicodeError, encoding: str) -> int:
    if not isinstance(error, UnicodeDecodeError):
        return 0
    return error.object[: error.start].decode(encoding, "replace").count("\n")


def undecodable(errors: InputErrors, line: int, encoding: str = "UTF-8", raw: bytes = b"") -> InputUnreadable:
    """Return the error for text that is not in the expected encoding. `raw` may show which one it is in."""
    guess = "cp1252" if raw and _looks_western(raw) else None
    reason = f"not {encoding} text" + (f", but probably {guess}" if guess is not None else "")
    return errors.unreadable(reason, line=line, remedy=Remedy.NAME_ENCODING, encoding=guess or "cp1252")


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
