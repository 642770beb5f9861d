"""A processor that does what the model's items say, tells the model of each call, and judges whether it was allowed."""

import asyncio
from typing import Any

from backstay import Conversation, Fail, Halt, Item, Retry, Skip, Turn, Work
from durability.model._engine_model import ModelItem, ModelJob


class JudgingProcessor:
    """Works for one run. From a given call on it can hold calls at a gate, so that something may happen to the run."""

    def __init__(self, job: ModelJob, *, taken: set[str], notice: Any, free: int | None = None) -> None:
        """`taken` are ids of conversations that are there; `notice` looks for reclaimed leases; `free` calls pass."""
        self.calls: list[tuple[str, int]] = []
        self.verdicts: list[tuple[str, str | None]] = []
        """Of the calls that counted, how each was recorded: result and code."""
        self.wrong: list[str] = []
        self.waiting = 0
        self._job = job
        self._taken = taken
        self._notice = notice
        self._free = free
        self._gate = asyncio.Event()
        self._running_ids: set[str] = set()

    def open(self) -> None:
        """Let all calls go on."""
        self._gate.set()

    async def __call__(self, item: Item, work: Work) -> Any:
        key = (item.id, work.attempt)
        self.calls.append(key)
        try:
            known = self._begin(*key)
        except (AssertionError, KeyError) as error:
            self.wrong.append(str(error))
            raise
        try:
            if self._free is not None and len(self.calls) > self._free:
                self.waiting += 1
                await self._gate.wait()
            elif len(self.calls) % 3 == 0:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if key not in self._job.void:
                known.release()
            raise
        finally:
            self._running_ids.discard(item.id)
        outcome = known.next_outcome
        if key not in self._job.void:
            self._end(known, outcome)
        return self._returned(item, work.attempt, outcome)

    def _begin(self, item_id: str, attempt: int) -> ModelItem:
        known = self._job.items[item_id]
        if (item_id, attempt) in self._job.void:
            return known
        if known.state == "running":
            self._notice()
        known.claim(attempt)
        self._running_ids = {
            other for other in self._running_ids if (other, self._job.items[other].attempt) not in self._job.void
        }
        alone = [other for other in (*self._running_ids, item_id) if self._job.items[other].is_suspect]
        self._running_ids.add(item_id)
        assert not alone or len(self._running_ids) == 1, f"{alone} should run alone, with them run {self._running_ids}"
        return known

    def _end(self, known: ModelItem, outcome: str) -> None:
        taken = self._conversation_id in self._taken
        if outcome == "clash":
            self._taken.add(self._conversation_id)
        self.verdicts.append(self._job.end(known, outcome, is_refused=outcome == "clash" and taken))

    @property
    def _conversation_id(self) -> str:
        return f"taken by {self._job.owner} {self._job.name}"

    def _returned(self, item: Item, attempt: int, outcome: str) -> Any:
        match outcome:
            case "none":
                return None
            case "skip":
                return Skip("no need")
            case "fail":
                return Fail("broken")
            case "raise":
                raise ValueError("broken")
            case "garbage":
                return 42
            case "empty":
                return Conversation([Turn("user", "")])
            case "retry":
                return Retry("not now", after_seconds=0.0)
            case "doom":
                return Halt("no key")
        text = self._job.answer(item.id, attempt)
        name = self._conversation_id if outcome == "clash" else None
        return Conversation([Turn("user", item.topic), Turn("assistant", text)], id=name)
