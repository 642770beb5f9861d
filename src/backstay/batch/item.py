"""Items: the units of work of a batch job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from backstay.library.canonical import canonical_json
from backstay.readers.depth import TOO_DEEP, is_too_deep


class ItemState(StrEnum):
    """Where an item is: `pending → running → completed | failed | skipped`; a retry is `pending` again."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work, as a processor receives it.

    Whoever gives items to a batch may leave `id` out: it is then made from the content (see `intake`).
    """

    topic: str
    id: str = ""
    persona: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item on its way into a job, checked, with its content digest.

    `id` is None when the input names none; `base_id` is then what the id is made from. `line` says where the item
    stands in its input (a file's line, otherwise the place in the sequence), counted from 1.
    """

    id: str | None
    base_id: str
    digest: bytes
    topic: str
    persona: str | None
    parameters_json: str
    line: int


@dataclass(frozen=True, slots=True)
class SettledItem:
    """An item that another program has settled: what it was given is not known, and what came of it is not ours."""

    id: str
    error: str | None = None
    """Why it failed; None when it was completed."""


def to_item(new_item: NewItem) -> Item:
    """Return the item that a draft becomes; one that was given no id has what its id is made from."""
    return Item(new_item.topic, new_item.base_id, new_item.persona, orjson.loads(new_item.parameters_json))


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    """An item that this worker holds, with the number of the attempt that its claim recorded."""

    item: Item
    position: int
    attempt: int
    """Number of this try of the item, from 1, over its whole life."""
    tries: int
    """How many failed tries count towards `max_attempts`, before this one."""
    runs_alone: bool
    """The item was running in several workers that died: nothing else runs beside it."""
    started_at: datetime
    """When it was claimed."""


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """Where one item of a job stands."""

    position: int
    id: str
    state: ItemState
    topic: str | None
    """Of its conversation once the job has cleaned its checkpoint; None when that was deleted too."""
    persona: str | None
    attempts: int
    conversation_id: str | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A failed item with the attempt that settled it; or a pending one with an attempt that led to a pause."""

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
    """Where the processor raised, one frame a line, the innermost last; None when it did not raise."""


@dataclass(frozen=True, slots=True)
class FailureEvent:
    """One moment at which an item failed, whatever became of the item since."""

    sequence: int
    """Grows with every failing of a job, in the order in which they were committed."""
    position: int
    item_id: str
    topic: str | None
    attempt: int
    error_code: str
    error_message: str
    failed_at: str


def content_digest_source(topic: str, persona: str | None, parameters: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON that an item's content digest is made from.

    Raises:
        ValueError: a parameter cannot be kept as JSON.
    """
    plain = dict(parameters)
    written = canonical_json([topic, persona, plain])
    if is_too_deep(plain):
        raise ValueError(TOO_DEEP)
    return written
