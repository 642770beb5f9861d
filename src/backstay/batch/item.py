"""Items: the units of work of a batch job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from backstay.library.canonical_json import canonical_json
from backstay.readers.json_depth import TOO_DEEP, is_too_deep


class ItemState(StrEnum):
    """The state of an item: `pending → running → completed | failed | skipped`; a retry is `pending` again."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work, as a processor receives it.

    A caller may leave out `id` when passing items to a batch; it is then made from the content (see `intake`).
    """

    topic: str
    id: str = ""
    persona: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewItem:
    """A checked item that is to be added to a job, with its content digest.

    Without an id in the input, `id` is None, and the item's id is made from `base_id`. `line` is the item's line in its
    file, or its number in another input, counted from 1. `file` names its file if the input has several.
    """

    id: str | None
    base_id: str
    digest: bytes
    topic: str
    persona: str | None
    parameters_json: str
    line: int
    file: str | None = None


def to_item(new_item: NewItem) -> Item:
    """Return the item that a processor receives; without an id of its own it has the `base_id`."""
    return Item(new_item.topic, new_item.base_id, new_item.persona, orjson.loads(new_item.parameters_json))


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    """An item that this worker holds, with the attempt that its claim recorded."""

    item: Item
    position: int
    attempt: int
    """Number of this attempt among all attempts of the item, from 1."""
    tries: int
    """Number of earlier failed tries that count towards `max_attempts`."""
    runs_alone: bool
    """Whether no other item runs at the same time, because this one was running in several workers that died."""
    started_at: datetime
    """Time of the claim."""
    parameters_json: str = "{}"
    """The item's parameters as they are stored."""


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """The state of one item of a job, without its conversation."""

    position: int
    id: str
    state: ItemState
    topic: str | None
    """None if an earlier version removed the input of a completed job, and the conversation was deleted too."""
    persona: str | None
    attempts: int
    conversation_id: str | None
    error_code: str | None
    error_message: str | None
    edited_since: bool = False
    """Whether it was edited after it failed, so that the error is about its former content."""


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A failed item with the attempt that settled it, or a pending one with an attempt that led to a pause."""

    position: int
    item_id: str
    topic: str | None
    attempts: int
    error_code: str
    error_message: str
    raw: str | None
    failed_at: str
    state: ItemState = ItemState.FAILED
    traceback: str | None = field(default=None, repr=False)
    """Traceback of the processor, one frame per line, the innermost last; None if it did not raise."""
    edited_since: bool = False
    """Whether it was edited after it failed, so that the error is about its former content."""


@dataclass(frozen=True, slots=True)
class FailureEvent:
    """One failure of an item, which may have been retried or skipped since."""

    sequence: int
    """Rises with every failure of a job, in commit order."""
    position: int
    item_id: str
    topic: str | None
    attempt: int
    error_code: str
    error_message: str
    failed_at: str


def content_digest_source(topic: str, persona: str | None, parameters: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of an item's content, from which its digest is computed.

    Raises:
        ValueError: a parameter cannot be stored as JSON.
    """
    plain = dict(parameters)
    text = canonical_json([topic, persona, plain])
    if is_too_deep(plain):
        raise ValueError(TOO_DEEP)
    return text
