"""A conversation exactly as it is stored, as one line of JSON: what a backup keeps and a restore brings back.

The line is the native shape (`Conversation.to_dict`) with whatever columns a user has added. It loses nothing:

* `metadata` is an object where reading and writing it gives the stored text again and it is not too deep; else it is
  that text as a string. A missing one is `{}`.
* Rows of other tables that hang on it are under `related`, by table: those that would be `deleted` with it whole, those
  that would be `changed` with what tells them and what they refer to. Without any there is no such key.
* A value JSON has no word for is a list of a type and a text: `["blob", "00ff"]`, `["real", "inf"]`. No column holds a
  list otherwise.

Keys stand in alphabetical order, those within `metadata` as they were stored. The digest is the SHA-256 of the
canonical JSON of the line, so that of a conversation without columns of a user's own it is `Conversation.digest()`.
"""

import hashlib
import math
from typing import Any, NamedTuple

import orjson

from backstay.readers.depth import AROUND_METADATA, is_too_deep, may_be_too_deep

TURNS = "conversation_turns"
RELATED = "related"

Document = dict[str, Any]
"""A conversation in its native shape, its turns under `conversation_turns`."""


class Record(NamedTuple):
    """A stored conversation with all its turns. A tuple, because there are so many."""

    id: str
    key: int
    """Its place in the order of storing, in this database."""
    job_id: str | None
    item_id: str | None
    turns: int
    line: bytes
    nested_digest: bytes | None
    """The digest, where the line may not be canonical as it stands: of what holds metadata."""
    related: int = 0
    """Rows of other tables that it has with it."""

    @property
    def version(self) -> bytes:
        """The hash of everything stored of it, made anew each time: another one after any change, however small."""
        return hashlib.sha256(self.line).digest()

    @property
    def digest(self) -> bytes:
        """The digest of the conversation, likewise."""
        return self.nested_digest or self.version


def digest_of_document(document: Document) -> bytes:
    """Return the digest of a conversation that was read from a line."""
    return hashlib.sha256(orjson.dumps(document, default=beyond_json, option=orjson.OPT_SORT_KEYS)).digest()


def embed_metadata(line: bytes) -> tuple[bytes, bytes]:
    """Return the line, and the digest, of a conversation in whose line metadata is the text that is stored."""
    document = orjson.loads(line)
    for part in (document, *document[TURNS]):
        if isinstance(part["metadata"], str):  # there is none otherwise
            part["metadata"] = metadata_to_line(part["metadata"])
    return document_to_line(document), digest_of_document(document)


def count_related(document: Document) -> int:
    """Return how many rows of other tables a conversation has with it."""
    return sum(len(rows) for kinds in document.get(RELATED, {}).values() for rows in kinds.values())


def document_to_line(document: Document) -> bytes:
    """Return the line of a conversation; its keys must be in order."""
    return orjson.dumps(document, default=beyond_json)


def metadata_to_line(stored: Any) -> Any:
    """Return what stands for a stored `metadata` in a line."""
    if stored is None:
        return {}
    if isinstance(stored, str) and stored.startswith("{"):
        try:
            value = orjson.loads(stored)
        except orjson.JSONDecodeError:
            return stored
        if may_be_too_deep(stored, around=AROUND_METADATA) and is_too_deep(value, around=AROUND_METADATA):
            return stored  # stored by another program
        return value if value and orjson.dumps(value).decode() == stored else stored
    return value_to_line(stored)


def metadata_from_line(value: Any) -> Any:
    """Return what to store for the `metadata` of a line."""
    if isinstance(value, dict):
        return orjson.dumps(value).decode() if value else None
    return value_from_line(value)


def metadata_of(stored: Any) -> dict[str, Any]:
    """Return the metadata of a conversation as an object; a stored value of another type is its entry `metadata`."""
    if not stored:
        return {}
    try:
        value = orjson.loads(stored) if isinstance(stored, str | bytes) else value_to_line(stored)
        orjson.dumps([[[value]]])  # a file adds levels around it
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        value = value_to_line(stored)
    return value if isinstance(value, dict) else {"metadata": value}


def value_to_line(stored: Any) -> Any:
    """Return what stands for the value of a column in a line."""
    if isinstance(stored, float) and not math.isfinite(stored):
        return ["real", repr(stored)]
    return beyond_json(stored) if isinstance(stored, bytes) else stored


def value_from_line(value: Any) -> Any:
    """Return what to store for the value of a column in a line. Raises ValueError: no line has such a value."""
    if not isinstance(value, list | dict):
        return value
    match value:
        case ["blob", str(text)]:
            return bytes.fromhex(text)
        case ["real", str(text)]:
            return float(text)
    raise ValueError


def beyond_json(value: Any) -> list[str]:
    """Return how a value is written that JSON has no word for; raises TypeError where there is no such way."""
    if isinstance(value, bytes):
        return ["blob", value.hex()]
    raise TypeError
