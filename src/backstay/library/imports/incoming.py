"""One conversation on its way into the library."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backstay.library.record import TURNS, Document
from backstay.readers.origin import Origin

KEYS = frozenset(
    ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at", TURNS)
)
TURN_KEYS = frozenset(("id", "sequence", "role", "content", "metadata"))


class OnClash(StrEnum):
    """What to do with a conversation whose id another one has."""

    FAIL = "fail"
    """Import nothing at all."""
    SKIP = "skip"
    """Leave it out."""
    NEW = "new"
    """Give it another id."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A conversation as its file has it, in the native shape: keys that are not ours stand beside those that are.

    `id` and the times are None where the file has none.
    """

    line: int
    document: Document
    is_exact: bool = False
    """It comes from a backup, so that a list as a value stands for what JSON has no word for."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to."""

    imported: int
    identical: int
    """Were there already, with the same content."""
    skipped: int
    """Left out, because another conversation has their id."""
    renamed: int
    """Of those imported: given another id."""
    relinked: int
    """Of those imported: again the result of an item whose conversation was deleted."""


def folded(incoming: Incoming, columns: Collection[str], turn_columns: Collection[str], origin: Origin) -> Document:
    """Return the conversation with every key that is no column put into `metadata`. Raises BadRow."""
    document = _folded(incoming, incoming.document, KEYS, columns, "the conversation", origin)
    turns = [
        _folded(incoming, turn, TURN_KEYS, turn_columns, f"turn {number}", origin)
        for number, turn in enumerate(document[TURNS], start=1)
    ]
    return {**document, TURNS: turns}


def is_same(incoming: Mapping[str, Any], stored: Mapping[str, Any], *, exactly: bool) -> bool:
    """Whether everything that a file says of a conversation is stored.

    Of what it does not say there may be more, unless it is to be `exactly` the same.
    """
    mine, theirs = incoming[TURNS], stored[TURNS]
    unsaid: Collection[Any] = () if exactly else (None, {})
    return (
        _agree(incoming, stored, unsaid)
        and len(mine) == len(theirs)
        and all(_agree(one, other, unsaid) for one, other in zip(mine, theirs, strict=True))
    )


def _agree(incoming: Mapping[str, Any], stored: Mapping[str, Any], unsaid: Collection[Any]) -> bool:
    return all(value == stored.get(name) for name, value in incoming.items() if name != TURNS and value not in unsaid)


def _folded(
    incoming: Incoming,
    given: Document,
    keys: Collection[str],
    columns: Collection[str],
    what: str,
    origin: Origin,
) -> Document:
    others = [
        name
        for name, value in given.items()
        if name not in keys and (name not in columns or (isinstance(value, list | dict) and not incoming.is_exact))
    ]
    if not others:
        return given
    metadata, line = given["metadata"], incoming.line
    if not isinstance(metadata, dict):
        raise origin.bad_row(line, f"the metadata of {what} cannot be read, so other keys cannot be put into it")
    for name in others:
        if name in metadata and metadata[name] != given[name]:
            raise origin.bad_row(line, f"{what} has {name!r} in its metadata and beside it; rename one of them")
    kept = {name: value for name, value in given.items() if name not in others}
    return {**kept, "metadata": {**metadata, **{name: given[name] for name in others}}}


Chunk = Sequence[Incoming]
