"""One conversation of an imported file, its validation, and the result of an import."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.errors import InvalidConversation
from backstay.library.canonical_json import is_same_json
from backstay.library.conversation import Conversation, text_fault, validate, validate_stored
from backstay.library.record import TURNS, Document, value_from_line
from backstay.library.trainer_checks import TrainerReport, WarningCount
from backstay.library.turn import Turn
from backstay.readers.bad_rows import BadRowsReport
from backstay.readers.input_errors import InputErrors

KEYS = frozenset(
    ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at", TURNS)
)
TURN_KEYS = frozenset(("id", "sequence", "role", "content", "metadata"))
_MAX_NAME_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation of a file as a dict in the native shape, plus any unknown keys from the file, at the top level.

    `id` and the times are None if the file has none.
    """

    line: int
    document: Document
    is_exact: bool = False
    """Whether it comes from a backup, where a list represents a value that JSON cannot."""
    size: int = 0
    """About how many bytes it has in the file."""
    curation: bytes | None = None
    """Its review and earlier versions; see `library.curation`."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The counts of an import."""

    imported: int
    identical: int
    """How many already existed with the same content."""
    skipped: int
    """How many were skipped because another conversation has their id."""
    renamed: int
    """How many of the imported ones got a new id."""
    relinked: int
    """How many of the imported ones were linked again to the item that had produced them."""
    bad_rows: BadRowsReport = field(default_factory=BadRowsReport)
    """The unusable rows that were left out."""
    warned: int = 0
    """How many conversations of the file trainers would refuse. They are imported unchanged."""
    warnings: Sequence[WarningCount] = ()
    """Why trainers would refuse them, most frequent first."""
    import_id: str = ""
    """The id of the import, which selects the conversations that it has stored."""


def to_document(
    incoming: ImportedConversation,
    columns: Collection[str],
    turn_columns: Collection[str],
    origin: InputErrors,
    report: TrainerReport | None = None,
    file: str | None = None,
) -> Document:
    """Return the conversation to store, with keys that have no column moved into `metadata`.

    The conversation is added to the report of what trainers would refuse, with the `file` if there are several.

    Raises:
        InvalidRow: it cannot be stored; the message names the line, the turn and the field, never the text.
    """
    document = _fold_into_metadata(incoming, incoming.document, KEYS, columns, "the conversation", origin)
    turns = [
        _fold_into_metadata(incoming, turn, TURN_KEYS, turn_columns, f"turn {number}", origin)
        for number, turn in enumerate(document[TURNS], start=1)
    ]
    whole = {**document, TURNS: turns}
    conversation = _check_storable(whole, incoming, origin)
    if report is not None:
        report.add(conversation, line=incoming.line, file=file)
    return whole


def with_id_prefix(document: Document, prefix: str) -> Document:
    """Return a conversation with a prefix before its id and that of its preference pair; unchanged if it has no id."""
    if not prefix or document["id"] is None:
        return document
    metadata = document["metadata"]
    if isinstance(metadata, dict) and isinstance(pair := metadata.get("preference_pair"), str):
        metadata = {**metadata, "preference_pair": prefix + pair}
    return {**document, "id": prefix + document["id"], "metadata": metadata}


def is_same(incoming: Mapping[str, Any], stored: Mapping[str, Any], *, exactly: bool) -> bool:
    """Return whether the stored conversation has all values of the incoming one.

    Unless `exactly`, the stored one may have values that the incoming one lacks.
    """
    incoming_turns, stored_turns = incoming[TURNS], stored[TURNS]
    ignored: Collection[Any] = () if exactly else (None, {})
    return (
        _values_match(incoming, stored, ignored)
        and len(incoming_turns) == len(stored_turns)
        and all(_values_match(turn, other, ignored) for turn, other in zip(incoming_turns, stored_turns, strict=True))
    )


def _values_match(incoming: Mapping[str, Any], stored: Mapping[str, Any], ignored: Collection[Any]) -> bool:
    # A column may have converted its value, such as true to 1; metadata is JSON.
    return all(
        is_same_json(value, stored.get(name)) if name == "metadata" else value == stored.get(name)
        for name, value in incoming.items()
        if name != TURNS and value not in ignored
    )


def _fold_into_metadata(
    incoming: ImportedConversation,
    document: Document,
    keys: Collection[str],
    columns: Collection[str],
    subject: str,
    origin: InputErrors,
) -> Document:
    added = {name: value for name, value in document.items() if name not in keys}
    moved_names = [
        name
        for name, value in added.items()
        if name not in columns or (isinstance(value, list | dict) and not incoming.is_exact)
    ]
    for name in added.keys() - set(moved_names):
        if (fault := _column_fault(added[name])) is not None:
            raise origin.invalid_row(incoming.line, f"{_quoted_name(name)} of {subject} {fault}")
    if not moved_names:
        return document
    metadata, line = document["metadata"], incoming.line
    if not isinstance(metadata, dict):
        raise origin.invalid_row(
            line, f"the metadata of {subject} is not an object, so unknown keys cannot be moved into it"
        )
    for name in moved_names:
        if name in metadata and not is_same_json(metadata[name], document[name]):
            raise origin.invalid_row(
                line,
                f"{subject} has {_quoted_name(name)} both as a key and in its metadata, with different values; "
                "rename one",
            )
    columns_only = {name: value for name, value in document.items() if name not in moved_names}
    return {**columns_only, "metadata": {**metadata, **{name: document[name] for name in moved_names}}}


def _column_fault(value: Any) -> str | None:
    """Return why the value of a column cannot be stored, or None if it can."""
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "does not fit in 64 bits"
    try:
        value_from_line(value)
    except ValueError:
        return "is a value that a backup cannot hold"
    return None


def _quoted_name(name: str) -> str:
    return repr(name[:_MAX_NAME_CHARACTERS])  # a key may be any text of the file


def _check_storable(document: Document, incoming: ImportedConversation, origin: InputErrors) -> Conversation:
    """Return the conversation of a document that may be stored. Raises InvalidRow."""
    holders = {"the conversation": document} | {f"turn {turn['sequence']}": turn for turn in document[TURNS]}
    for subject, holder in holders.items():
        # Only in a backup may metadata be something other than an object.
        fault = None if isinstance(holder["metadata"], dict) else _metadata_fault(holder["metadata"])
        if fault is not None:
            raise origin.invalid_row(incoming.line, f"the metadata of {subject} {fault}")
    fields = {name: document[name] for name in ("id", "topic", "persona", "content", "job_id", "item_id")}
    turns = [
        Turn(turn["role"], turn["content"], id=turn["id"], metadata=_metadata_dict(turn)) for turn in document[TURNS]
    ]
    check = validate_stored if incoming.is_exact else validate
    conversation = Conversation(turns, metadata=_metadata_dict(document), **fields)
    try:
        check(conversation)
    except InvalidConversation as error:
        raise origin.invalid_row(incoming.line, error.message) from error
    return conversation


def _metadata_fault(value: Any) -> str | None:
    return _column_fault(value) if isinstance(value, str | list | None) else "is neither an object nor text"


def _metadata_dict(holder: Document) -> dict[str, Any]:
    metadata = holder["metadata"]
    return metadata if isinstance(metadata, dict) else {}
