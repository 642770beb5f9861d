"""Conversations as an import reads them from rows, without a database."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from backstay.library.conversation import Conversation
from backstay.library.imports.imported_conversation import KEYS, TURN_KEYS
from backstay.library.imports.imported_review import take_review
from backstay.library.imports.shapes import read_row
from backstay.library.record import TURNS, Document
from backstay.library.review import Review
from backstay.library.training_content import field_block_types
from backstay.library.turn import Turn, part_type
from backstay.readers.input_errors import InputErrors
from backstay.readers.json_object import parse_object
from backstay.readers.row import InputRow


def import_lines(data: bytes, *, split_reasoning: bool = False) -> list[Conversation]:
    """Return the conversations of JSON lines."""
    errors = InputErrors("the export")
    rows = [parse_object(line, errors, number) for number, line in enumerate(data.splitlines(), start=1)]
    return import_rows(rows, split_reasoning=split_reasoning)


def import_rows(rows: Iterable[dict[str, Any]], *, split_reasoning: bool = False) -> list[Conversation]:
    """Return the conversations of rows."""
    errors = InputErrors("the export")
    read = [InputRow(number, row) for number, row in enumerate(rows, start=1)]
    return [
        replace(_to_conversation(document), review=_to_review(curation))
        for row in read
        for curation in [take_review(row, errors)]
        for document in read_row(row, errors, split_reasoning=split_reasoning)
    ]


def _to_review(curation: bytes | None) -> Review | None:
    return None if curation is None else Review.from_dict(orjson.loads(curation)["review"])


def _to_conversation(document: Document) -> Conversation:
    fields: dict[str, Any] = {name: document[name] for name in KEYS if name not in (TURNS, "metadata")}
    for name in ("created_at", "updated_at"):
        fields[name] = fields[name] and datetime.fromisoformat(fields[name])
    return Conversation([_to_turn(turn) for turn in document[TURNS]], metadata=_with_others(document, KEYS), **fields)


def _to_turn(turn: Document) -> Turn:
    return Turn(turn["role"], turn["content"], id=turn["id"], metadata=_with_others(turn, TURN_KEYS) or None)


def _with_others(document: Document, known: Iterable[str]) -> Mapping[str, Any]:
    """Return the metadata with the keys that have no column, as a table of Backstay's own stores them."""
    return {**document["metadata"], **{name: value for name, value in document.items() if name not in known}}


def equal(first: Conversation, second: Conversation, *, as_blocks: bool = False) -> bool:
    """Return whether two conversations are equal, whatever the spaces in arguments of calls.

    As blocks, a list of texts is the same as their text, and blocks that fields hold too are no parts.
    """
    comparable = [
        replace(each, tools=list(each.tools), turns=[_comparable(turn, as_blocks=as_blocks) for turn in each.turns])
        for each in (first, second)
    ]
    return comparable[0] == comparable[1]


def _comparable(turn: Turn, *, as_blocks: bool) -> Turn:
    calls = [replace(call, arguments=_value(call.arguments)) for call in turn.tool_calls]
    parts = list(turn.parts or ())
    if as_blocks:
        parts = [part for part in parts if part_type(part) not in field_block_types(turn)]
        parts = parts if any(part_type(part) != "text" for part in parts) else []
    return replace(turn, tool_calls=calls, parts=parts or None)


def _value(arguments: str) -> Any:
    try:
        value = json.loads(arguments, parse_constant=_refuse_constant)
    except ValueError:
        return arguments
    return value if isinstance(value, dict) else arguments


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
