"""A row to import: its values, its errors, and the documents made from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backstay.clock import to_text
from backstay.errors import InvalidRow
from backstay.library.canonical_json import is_same_json
from backstay.library.id_text import to_id
from backstay.library.imports.imported_conversation import KEYS, TURN_KEYS
from backstay.library.imports.tools import parse_json, read_tool_calls, without_extra_keys
from backstay.library.record import TURNS, Document
from backstay.readers.input_errors import InputErrors

Values = dict[str, Any]

_TEXT_KEYS = ("topic", "persona", "content", "job_id", "item_id")
_TIME_KEYS = ("created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A row of a file. Shapes remove from `values` what they read; the rest becomes metadata."""

    line: int
    values: Values
    errors: InputErrors
    split_reasoning: bool = False
    """Whether a thought at the start of an assistant's text becomes its reasoning."""

    def error(self, reason: str) -> InvalidRow:
        """Return the error for this row."""
        return self.errors.invalid_row(self.line, reason)

    def to_document(
        self, turns: list[Document], fields: Mapping[str, Any] | None = None, *, values: Values | None = None
    ) -> Document:
        """Return the conversation with these turns and the remaining values of the row.

        `fields` are stored as metadata even if the table has a column of the same name.
        """
        values = self.values if values is None else values
        document: Document = {"id": self._id(values.pop("id", None)), "metadata": _metadata(values)}
        for name in _TEXT_KEYS:
            document[name] = _pop(values, name, str) if name in values else None
        for name in _TIME_KEYS:
            document[name] = _time(values, name) if name in values else None
        document = self._with_others(document, values, KEYS, "the conversation")
        if fields:
            document["metadata"] = self._add_fields(document["metadata"], fields, "the conversation")
        document[TURNS] = _renumber(turns)
        return document

    def to_turn(
        self, number: int, role: str, content: str, values: Values, fields: Mapping[str, Any] | None = None
    ) -> Document:
        """Return a turn. `values` are its other values, which this empties; `fields` are stored as metadata."""
        document: Document = {
            "id": _turn_id(values),
            "sequence": _pop(values, "sequence", int),
            "role": role,
            "content": content,
            "metadata": _metadata(values),
        }
        document = self._with_others(document, values, TURN_KEYS, f"turn {number}")
        if fields:
            document["metadata"] = self._add_fields(document["metadata"], fields, f"turn {number}")
        return document

    def _id(self, value: Any) -> str | None:
        if (text := to_id(value)) is None and value is not None:
            raise self.error("the id must be text or a whole number")
        return text

    def _with_others(self, document: Document, values: Values, keys: Collection[str], subject: str) -> Document:
        """Add the remaining values: those with a built-in name but the wrong type as metadata, the others as keys."""
        if not values:
            return document
        mistyped = {name: value for name, value in values.items() if name in keys}
        others = {name: value for name, value in values.items() if name not in keys}
        return {**document, "metadata": self._add_fields(document["metadata"], mistyped, subject), **others}

    def _add_fields(self, metadata: Values, fields: Mapping[str, Any], subject: str) -> Values:
        for name, value in fields.items():
            is_same = name not in metadata or is_same_json(metadata[name], value)
            if not is_same and not _differs_in_extra_keys(name, metadata[name], value):
                raise self.error(
                    f"{subject} has {name!r} both as a key and in its metadata, with different values; rename one"
                )
        return {**fields, **metadata}


def _differs_in_extra_keys(name: str, whole: Any, shortened: Any) -> bool:
    """Return whether two lists of tool calls differ only in extra keys, which the column of Parquet cannot hold."""
    calls = read_tool_calls(whole) if name == "tool_calls" and isinstance(whole, list) else None
    return calls is not None and [without_extra_keys(call) for call in calls] == shortened


def plain_turn(role: str, content: str) -> Document:
    """Return a turn with only a role and content."""
    return {"id": None, "sequence": None, "role": role, "content": content, "metadata": {}}


def _pop(values: Values, name: str, kind: type) -> Any:
    """Remove and return a value if it has the type of its column; otherwise leave it to become metadata."""
    if name in values and (values[name] is None or type(values[name]) is kind):
        return values.pop(name)
    return None


def _turn_id(values: Values) -> str | None:
    """Remove and return the id of a turn; a value that is no id is left to become metadata."""
    text = to_id(values.get("id"))
    if text is not None or values.get("id") is None:
        values.pop("id", None)
    return text


def _time(values: Values, name: str) -> str | None:
    text = _pop(values, name, str)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:  # the result must not depend on the machine's time zone
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        values[name] = text
        return None
    return to_text(moment)


def _metadata(values: Values) -> Values:
    if "metadata" not in values:
        return {}
    metadata = values["metadata"]
    # Tables such as CSV and Parquet hold it as JSON text.
    parsed = parse_json(metadata) if isinstance(metadata, str) and metadata.startswith("{") else metadata
    if isinstance(parsed, dict) or metadata is None:  # other text stays among the values, which are kept
        del values["metadata"]
    return parsed if isinstance(parsed, dict) else {}


def _renumber(turns: list[Document]) -> list[Document]:
    """Sort turns by their numbers, if all have different ones, and number them from 1 without gaps."""
    numbers = [turn["sequence"] for turn in turns]
    if None not in numbers and len(set(numbers)) == len(numbers):
        turns = sorted(turns, key=lambda turn: int(turn["sequence"]))
    for number, turn in enumerate(turns, start=1):
        turn["sequence"] = number
    return turns
