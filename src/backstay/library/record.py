"""A stored conversation as one JSON line, which a backup holds and a restore writes back exactly.

The line is the native shape (`Conversation.to_dict`) with all user columns. It is lossless:

* `metadata` is an object if parsing and encoding the stored text gives the same text, and it is not nested too deeply;
  otherwise it is the stored text as a string. NULL is `{}`.
* Related rows are under `related`, by table. Rows that a delete would delete (`deleted`) have all columns; rows that it
  would only change (`changed`) have the primary key and the foreign key. Without related rows, `related` is absent.
* A value that JSON cannot represent is a list of a type and a text: `["blob", "00ff"]`, `["real", "inf"]`. No other
  value of a column is a list.

Keys are in alphabetical order, except within `metadata`, where they are as stored. The digest is the SHA-256 of the
line's canonical JSON; for a conversation without user columns it equals `Conversation.digest()`.
"""

import hashlib
import math
from typing import Any, NamedTuple

import orjson

from backstay.library.curation import append_curation
from backstay.readers.json_depth import METADATA_OUTER_LEVELS, is_too_deep, may_be_too_deep

TURNS = "conversation_turns"
RELATED = "related"
# The metadata of a conversation as text, and the key after it. Within a text, quotes are escaped.
_METADATA_START, _METADATA_END = b',"metadata":"', b'","persona":'

Document = dict[str, Any]
"""A conversation as a dict in the native shape, with its turns under `conversation_turns`."""


class Record(NamedTuple):
    """A stored conversation with all its turns, as a JSON line. A tuple, because there are so many."""

    id: str
    key: int
    """Its key in this database, which gives the storage order."""
    job_id: str | None
    item_id: str | None
    turns: int
    line: bytes
    canonical_digest: bytes | None
    """The digest of a conversation with metadata, whose keys need not be sorted in the line; else None."""
    related: int = 0
    """The number of related rows."""
    curation: bytes | None = None
    """The JSON of its review and earlier versions, where it was read; see `library.curation`."""

    @property
    def file_line(self) -> bytes:
        """The line as a backup's file has it, with the curation."""
        return append_curation(self.line, self.curation)

    @property
    def version(self) -> bytes:
        """The SHA-256 of the line, which any change alters. Computed at each access."""
        return hashlib.sha256(self.line).digest()

    @property
    def digest(self) -> bytes:
        """The digest of the conversation."""
        return self.canonical_digest or self.version


def digest_of_document(document: Document) -> bytes:
    """Return the digest of a conversation that was parsed from a JSON line."""
    return hashlib.sha256(orjson.dumps(document, default=encode_non_json, option=orjson.OPT_SORT_KEYS)).digest()


def embed_metadata(line: bytes) -> tuple[bytes, bytes]:
    """Return the JSON line and the digest of a conversation; `line` has metadata as the stored text."""
    start = line.find(_METADATA_START)
    if line.count(_METADATA_START) == 1 and (end := line.find(_METADATA_END, start)) >= 0:
        return _embed_only_metadata(line, start + len(_METADATA_START) - 1, end + 1)
    document = orjson.loads(line)
    for entry in (document, *document[TURNS]):
        if isinstance(entry["metadata"], str):  # otherwise it is empty
            entry["metadata"] = metadata_to_line(entry["metadata"])
    return document_to_line(document), digest_of_document(document)


def _embed_only_metadata(line: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """Embed the text between two positions; the line has no other metadata. Most of the line is copied, not parsed."""
    value = metadata_to_line(orjson.loads(line[start:end]))
    before, after = line[:start], line[end:]
    canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return before + orjson.dumps(value) + after, hashlib.sha256(before + canonical + after).digest()


def count_related(document: Document) -> int:
    """Return the number of related rows of a conversation."""
    return sum(len(rows) for kinds in document.get(RELATED, {}).values() for rows in kinds.values())


def document_to_line(document: Document) -> bytes:
    """Return the JSON line of a conversation; its keys must be in alphabetical order."""
    return orjson.dumps(document, default=encode_non_json)


def metadata_to_line(stored: Any) -> Any:
    """Convert a stored `metadata` to its value in a JSON line."""
    if stored is None:
        return {}
    if isinstance(stored, str) and stored.startswith("{"):
        try:
            value = orjson.loads(stored)
        except orjson.JSONDecodeError:
            return stored
        if may_be_too_deep(stored, outer_levels=METADATA_OUTER_LEVELS) and is_too_deep(
            value, outer_levels=METADATA_OUTER_LEVELS
        ):
            return stored  # stored by another program
        return value if value and orjson.dumps(value).decode() == stored else stored
    return value_to_line(stored)


def metadata_from_line(value: Any) -> Any:
    """Convert the `metadata` of a JSON line to the value to store."""
    if isinstance(value, dict):
        return orjson.dumps(value).decode() if value else None
    return value_from_line(value)


def metadata_as_dict(stored: Any) -> dict[str, Any]:
    """Return a stored `metadata` as a dict; a value of another type becomes the dict's entry `metadata`."""
    if not stored:
        return {}
    try:
        value = orjson.loads(stored) if isinstance(stored, str | bytes) else value_to_line(stored)
        orjson.dumps([[[value]]])  # raises if it is too deep for an exported file, which nests it deeper
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        value = value_to_line(stored)
    return value if isinstance(value, dict) else {"metadata": value}


def value_to_line(stored: Any) -> Any:
    """Convert the stored value of a column to its value in a JSON line."""
    if isinstance(stored, float) and not math.isfinite(stored):
        return ["real", repr(stored)]
    return encode_non_json(stored) if isinstance(stored, bytes) else stored


def value_from_line(value: Any) -> Any:
    """Convert the value of a column in a JSON line to the value to store. Raises ValueError if it is invalid."""
    if not isinstance(value, list | dict):
        return value
    match value:
        case ["blob", str(text)]:
            return bytes.fromhex(text)
        case ["real", str(text)]:
            return float(text)
    raise ValueError


def encode_non_json(value: Any) -> list[str]:
    """Encode a value that JSON cannot represent; raises TypeError for a type that cannot be encoded."""
    if isinstance(value, bytes):
        return ["blob", value.hex()]
    raise TypeError
