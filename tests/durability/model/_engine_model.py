"""What is promised about batches (B1 to B7), as a small program without a database, a thread or a crash.

A test does the same to this and to the engine, and compares. Where the engine may choose (which item is called next,
how much of a job a run that was stopped got done), the model is told of each call and only judges it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from backstay.batch.item import content_digest_source

SETTLED = ("completed", "failed", "skipped")
UNFINISHED = ("pending", "running", "paused")
FINISHED = ("completed", "completed_with_failures")
STATES = ("pending", "running", *SETTLED)
SUSPECT_FROM = 2  # interruptions
CRASH_LIMIT = 3  # interruptions suffered alone

# What a call comes to → the item's next state, the code of the failure, and whether the try counts.
_ENDS: dict[str, tuple[str, str | None, bool]] = {
    "ok": ("completed", None, False),
    "clash": ("completed", None, False),  # unless a conversation of that id is there already
    "none": ("completed", None, False),
    "skip": ("skipped", None, False),
    "fail": ("failed", "failed", True),
    "raise": ("failed", "processor_error.ValueError", True),
    "garbage": ("failed", "processor_returned", True),
    "empty": ("failed", "invalid_conversation", True),
    "retry": ("pending", "transient", True),
    "doom": ("pending", "doom", False),
}
OUTCOMES = tuple(_ENDS)


@dataclass(slots=True)
class ModelItem:
    """An item: where it is, and what its next calls come to."""

    id: str
    topic: str
    script: list[str]
    state: str = "pending"
    attempt: int = 0
    tries: int = 0
    interruptions: int = 0
    alone_interruptions: int = 0
    code: str | None = None
    text: str | None = None

    @property
    def is_suspect(self) -> bool:
        return self.interruptions >= SUSPECT_FROM

    @property
    def next_outcome(self) -> str:
        return self.script[0] if self.script else "ok"

    def claim(self, attempt: int) -> None:
        assert self.state == "pending", f"item {self.id} was claimed while it is {self.state}"
        assert attempt == self.attempt + 1, f"item {self.id} was claimed as attempt {attempt} after {self.attempt}"
        self.state, self.attempt = "running", attempt

    def release(self) -> None:
        """It is given back; nothing is held against it."""
        self.state = "pending"

    def interrupt(self) -> None:
        """Its worker died."""
        crashed = self.is_suspect and self.alone_interruptions + 1 >= CRASH_LIMIT
        self.alone_interruptions += self.is_suspect
        self.interruptions += 1
        self.state, self.code = ("failed", "crashed_worker") if crashed else ("pending", None)

    def requeue(self, *, forgets_interruptions: bool) -> None:
        """It failed, and is to be tried again."""
        self.state, self.code, self.tries = "pending", None, 0
        if forgets_interruptions:
            self.interruptions = self.alone_interruptions = 0


@dataclass(slots=True)
class ModelJob:
    """A job and its items, in order."""

    owner: str
    name: str
    life: int
    """How many jobs of this name there were before."""
    max_attempts: int
    is_named: bool
    """Whether the items have ids of their own."""
    items: dict[str, ModelItem] = field(default_factory=dict)
    state: str = "pending"
    pause_code: str | None = None
    was_cleaned: bool = False
    void: set[tuple[str, int]] = field(default_factory=set)
    """Attempts that were taken from their worker: whatever they still come to counts for nothing."""

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(item.state for item in self.items.values())
        return {state: counted[state] for state in STATES}

    @property
    def is_settled(self) -> bool:
        return all(item.state in SETTLED for item in self.items.values())

    def inputs(self) -> list[dict[str, str]]:
        """Return the items as a user gives them."""
        return [self._input(item) for item in self.items.values()]

    def _input(self, item: ModelItem) -> dict[str, str]:
        return {"id": item.id, "topic": item.topic} if self.is_named else {"topic": item.topic}

    def add(self, scripts: Iterable[list[str]]) -> None:
        """Append items; those without an id share a few topics, so that some are the same."""
        for script in scripts:
            number = len(self.items)
            topic = f"topic {number}" if self.is_named else f"topic {number % 3}"
            item_id = f"{self.life}-{number}" if self.is_named else self._id_of(topic)
            self.items[item_id] = ModelItem(item_id, topic, list(script))

    def _id_of(self, topic: str) -> str:
        base = hashlib.sha256(content_digest_source(topic, None, {})).hexdigest()[:20]
        return next(name for name in _occurrences(base) if name not in self.items)

    def answer(self, item_id: str, attempt: int) -> str:
        """Return the one text that this attempt answers with."""
        return f"{self.owner}, {self.name} {self.life}, item {item_id}, attempt {attempt}"

    # -- what happens ------------------------------------------------------------------------------------------------

    def acquire_lease(self) -> None:
        """A worker begins."""
        assert self.state in UNFINISHED
        self.state, self.pause_code = "running", None

    def end(self, item: ModelItem, outcome: str, *, is_refused: bool = False) -> tuple[str, str | None]:
        """An attempt came to an outcome, and that is committed. Return how it is recorded: its result and its code."""
        state, code, counts = ("failed", "outcome_refused", True) if is_refused else _ENDS[outcome]
        if outcome == "retry" and item.tries + 1 >= self.max_attempts:
            state = "failed"
        item.state, item.tries = state, item.tries + counts
        item.code = code if state == "failed" else None
        if outcome in ("ok", "clash") and not is_refused:
            item.text = self.answer(item.id, item.attempt)
        if item.script:
            item.script.pop(0)
        if outcome == "doom" and self.state == "running":
            self.state, self.pause_code = "paused", "doom"
        return state, code

    def settle(self) -> None:
        """Nothing is left: the job is finished. A cancelled one stays so."""
        if self.is_settled and self.state in UNFINISHED:
            failed = any(item.state == "failed" for item in self.items.values())
            self.state = "completed_with_failures" if failed else "completed"
            self.pause_code = None

    def pause(self) -> None:
        self.state, self.pause_code = "paused", "by_user"

    def cancel(self) -> None:
        self.state, self.pause_code = "cancelled", None

    def reopen(self) -> None:
        """Items were put into it."""
        self.state = self.state if self.state in UNFINISHED else "pending"

    def retry(self, item_ids: Iterable[str] | None = None) -> int:
        """Put failed items back, and return how many."""
        named = self.items.values() if item_ids is None else [self.items[item_id] for item_id in set(item_ids)]
        failed = [item for item in named if item.state == "failed"]
        for item in failed:
            item.requeue(forgets_interruptions=True)
        if failed:
            self.reopen()
        return len(failed)

    def skip(self, item_ids: Iterable[str]) -> int:
        """Pass pending and failed items, and return how many."""
        named = [self.items[item_id] for item_id in set(item_ids)]
        for item in named:
            assert item.state in ("pending", "failed")
            item.state, item.code, item.attempt = "skipped", None, item.attempt + 1
        if named and self.state in FINISHED:
            self.state = "pending"  # for a moment: what it is now follows from its items
        self.settle()
        return len(named)

    def trip(self, item_ids: Iterable[str], code: str) -> None:
        """The first calls of a run all ended in one error: they do not count, and the job waits."""
        for item_id in item_ids:
            self.items[item_id].requeue(forgets_interruptions=False)
        if self.state != "cancelled":
            self.state, self.pause_code = "paused", code


def _occurrences(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1
