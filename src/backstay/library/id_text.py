r"""Ids as text: the check of new ids, and printing and parsing.

A printed id shows every character: invisible and ambiguous ones are escaped as `\x20`, `\u200e` or `\U000e0067`, and a
backslash is doubled. Parsing a printed id returns the same id.
"""

import re
import shlex
import unicodedata
from typing import Any

from backstay.errors import InvalidRow
from backstay.limits import MAX_ID

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DOT_SEGMENTS = (".", "..")
# Most ids are printed unchanged; this skips the check of each character.
_PLAIN = re.compile(r"(?!-)[!-\[\]-~]+(?: [!-\[\]-~]+)*")
# Printable according to Unicode, although they are invisible or look like a space.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_EXACT_FLOATS = 2**53
"""From here on, not every whole number is a float."""
_ESCAPE = re.compile(r"\\(?:(\\)|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")


def id_fault(value: str) -> str | None:
    """Return why a text is not allowed as an id, with the remedy; None if it is allowed."""
    if not value.strip():
        return "is empty; choose one"
    if len(value) > MAX_ID:
        return f"is longer than {MAX_ID} characters; shorten it"
    if _CONTROL.search(value):
        return "has a control character or a line break; remove it"
    if value != value.strip():
        return "begins or ends with a space; remove it"
    if _ESCAPE.search(value):
        return "has a backslash that reads as an escape, such as \\x41; write the character itself"
    if value in _DOT_SEGMENTS:
        return f"is {value!r}, which a URL cannot contain; choose another"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which is not a character; remove it"
    return None


def to_id(value: object) -> str | None:
    """Return the value of an id in a file as text; None if it is neither text nor a whole number.

    Floats such as 7.0, which pandas makes of whole numbers, are whole numbers, unless they are so large that digits may
    be lost.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        value = int(value)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def check_id(value: str, subject: str, **context: Any) -> None:
    """Check that a text is allowed as an id. Raises InvalidRow; the message names the remedy."""
    if (fault := id_fault(value)) is not None:
        raise InvalidRow(f"{subject} {fault}", **context)


def printed_id(value: str) -> str:
    """Return an id as it is shown to people; `parse_printed_id` reverses it."""
    if _PLAIN.fullmatch(value):
        return value
    # Composed and decomposed texts look alike, so a decomposed one is escaped.
    is_composed = unicodedata.is_normalized("NFC", value)
    printed: list[str] = []
    for at, character in enumerate(value):
        # A combining accent at the start, or after an escape, would alter the character before it.
        would_combine = unicodedata.category(character)[0] == "M" and (at == 0 or len(printed[-1]) > 1)
        if character == "\\":
            printed.append("\\\\")
        elif would_combine or _must_escape(character, at, value, is_composed=is_composed):
            printed.append(_escape(character))
        else:
            printed.append(character)
    return "".join(printed)


def quoted_id(value: str) -> str:
    """Return a printed id in quotes, for a message."""
    return f"'{printed_id(value)}'"


def shell_id(value: str) -> str:
    """Return a printed id, quoted for a command line."""
    return shlex.quote(printed_id(value))


def parse_printed_id(text: str) -> str:
    """Return the id for a text that a person typed, which is a printed id or the id itself.

    A backslash that does not begin an escape stands for itself.
    """
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _must_escape(character: str, at: int, value: str, *, is_composed: bool) -> bool:
    if character == " ":
        return at in (0, len(value) - 1) or value[at - 1] == " "
    if character == "-":
        return at == 0  # a command would take it for an option
    if character.isascii():
        return not character.isprintable()
    return not is_composed or not character.isprintable() or _INVISIBLE.match(character) is not None


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return "\\"
    code = int(match[2] or match[3] or match[4], 16)
    # No id contains NUL or half of a surrogate pair, and databases reject them in a query.
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code <= 0x10FFFF else match[0]
