"""One conversation on its way into the library."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backstay.errors import InvalidConversation
from backstay.library.conversation import Conversation, Turn, text_fault, validate, validate_again
from backstay.library.record import TURNS, Document, value_from_line
from backstay.readers.origin import InputErrors

KEYS = frozenset(
    ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at", TURNS)
)
TURN_KEYS = frozenset(("id", "sequence", "role", "content", "metadata"))
_LONGEST_NAME = 40


class OnImportConflict(StrEnum):
    """What to do with a conversation whose id another one has."""

    FAIL = "fail"
    """Import nothing at all."""
    SKIP = "skip"
    """Leave it out."""
    NEW = "new"
    """Give it another id."""


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation as its file has it, in the native shape: keys that are not ours stand beside those that are.

    `id` and the times are None where the file has none.
    """

    line: int
    document: Document
    is_exact: bool = False
    """It comes from a backup, so that a list as a value stands for what JSON has no word for."""


@dataclass(frozen=True, slots=True)
class ImportResult:
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


def to_document(
    incoming: ImportedConversation, columns: Collection[str], turn_columns: Collection[str], origin: InputErrors
) -> Document:
    """Return the conversation as it is to be stored: with every key that is no column put into `metadata`.

    Raises:
        InvalidRow: it may not be stored; the message names the line, the turn and the field, never the text.
    """
    document = _folded(incoming, incoming.document, KEYS, columns, "the conversation", origin)
    turns = [
        _folded(incoming, turn, TURN_KEYS, turn_columns, f"turn {number}", origin)
        for number, turn in enumerate(document[TURNS], start=1)
    ]
    whole = {**document, TURNS: turns}
    _check(whole, incoming, origin)
    return whole


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
    incoming: ImportedConversation,
    given: Document,
    keys: Collection[str],
    columns: Collection[str],
    what: str,
    origin: InputErrors,
) -> Document:
    added = {name: value for name, value in given.items() if name not in keys}
    others = [
        name
        for name, value in added.items()
        if name not in columns or (isinstance(value, list | dict) and not incoming.is_exact)
    ]
    for name in added.keys() - set(others):
        if (fault := _fault_of_column(added[name])) is not None:
            raise origin.invalid_row(incoming.line, f"{_named(name)} of {what} {fault}")
    if not others:
        return given
    metadata, line = given["metadata"], incoming.line
    if not isinstance(metadata, dict):
        raise origin.invalid_row(line, f"the metadata of {what} cannot be read, so other keys cannot be put into it")
    for name in others:
        if name in metadata and metadata[name] != given[name]:
            raise origin.invalid_row(
                line, f"{what} has {_named(name)} in its metadata and next to it; rename one of them"
            )
    kept = {name: value for name, value in given.items() if name not in others}
    return {**kept, "metadata": {**metadata, **{name: given[name] for name in others}}}


def _fault_of_column(value: Any) -> str | None:
    """Return why the value of a column cannot be stored; None where it can."""
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "is a whole number of more than 64 bits"
    try:
        value_from_line(value)
    except ValueError:
        return "is a value that a backup cannot hold"
    return None


def _named(name: str) -> str:
    return repr(name[:_LONGEST_NAME])  # a key may be any text of the file


def _check(document: Document, incoming: ImportedConversation, origin: InputErrors) -> None:
    parts = {"the conversation": document} | {f"turn {turn['sequence']}": turn for turn in document[TURNS]}
    for what, part in parts.items():
        # Only in a backup may metadata be something other than an object.
        fault = None if isinstance(part["metadata"], dict) else _fault_of_metadata(part["metadata"])
        if fault is not None:
            raise origin.invalid_row(incoming.line, f"the metadata of {what} {fault}")
    known = {name: document[name] for name in ("id", "topic", "persona", "content", "job_id", "item_id")}
    turns = [Turn(turn["role"], turn["content"], turn["id"], _as_object(turn)) for turn in document[TURNS]]
    check = validate_again if incoming.is_exact else validate
    try:
        check(Conversation(turns, metadata=_as_object(document), **known))
    except InvalidConversation as error:
        raise origin.invalid_row(incoming.line, error.message) from error


def _fault_of_metadata(value: Any) -> str | None:
    return _fault_of_column(value) if isinstance(value, str | list | None) else "is neither an object nor text"


def _as_object(part: Document) -> dict[str, Any]:
    found = part["metadata"]
    return found if isinstance(found, dict) else {}
