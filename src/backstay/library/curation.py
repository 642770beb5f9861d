"""What curators added to a conversation, as a backup holds it: its review, and the versions that edits replaced.

It is canonical JSON of its own, so that neither changes the digest or the row version of the conversation. In the file
it is the last key of the conversation's line. The texts of earlier versions are JSON strings within it, so the last
unescaped occurrence of that key in a line is always this one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from backstay.clock import from_text
from backstay.library.conversation import text_fault
from backstay.library.review import Review

CURATION = "curation"

_VERSION_KEYS = {"editor", "line", "number", "replaced_at"}
_KEY = b',"curation":'


def curation_to_json(review: Mapping[str, Any] | None, versions: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the canonical JSON of a review and earlier versions, at least one of which exists."""
    document = {"review": review, "versions": versions}
    return orjson.dumps({name: value for name, value in document.items() if value}, option=orjson.OPT_SORT_KEYS)


def checked_curation(document: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a curation from a file. Raises KeyError, TypeError or ValueError if it is none.

    Raises SettingsError if its review may not be stored.
    """
    review, versions = document.get("review"), document.get("versions", [])
    numbers = [version["number"] for version in versions]
    if numbers != list(range(1, len(numbers) + 1)) or not document.keys() <= {"review", "versions"}:
        raise ValueError
    if not all(type(number) is int for number in numbers):
        raise TypeError
    for version in versions:
        from_text(version["replaced_at"])
        if not isinstance(orjson.loads(version["line"]), dict) or version.keys() != _VERSION_KEYS:
            raise ValueError
        editor = version["editor"]
        if editor is not None and (not isinstance(editor, str) or text_fault(editor) is not None):
            raise ValueError
    return curation_to_json(Review.from_dict(review).check().to_dict() if review else None, versions)


def curation_digest(curation: bytes | None) -> bytes | None:
    """Return the SHA-256 of a curation; None for none."""
    return None if curation is None else hashlib.sha256(curation).digest()


def append_curation(line: bytes, curation: bytes | None) -> bytes:
    """Return the line of a conversation in a backup's file."""
    return line if curation is None else b"".join((line[:-1], _KEY, curation, b"}"))


def split_curation(line: bytes) -> tuple[bytes, bytes | None]:
    """Return the line of a conversation without its curation, and that; the inverse of `append_curation`."""
    if not line.endswith(b"}}") or (at := line.rfind(_KEY)) < 0:  # no other value at the end of a line is an object
        return line, None
    return line[:at] + b"}", line[at + len(_KEY) : -1]
