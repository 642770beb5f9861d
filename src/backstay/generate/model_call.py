"""A request for one item, and the state of items between their tries."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from backstay.batch.attempt import Work
from backstay.batch.item import Item
from backstay.generate.prompt import Prompt
from backstay.generate.providers.provider import Structure
from backstay.generate.rate import Permit

_SUSPICIOUS_TROUBLES = 2  # troubles after which an item is suspected even if no other item is left to compare
_ALONE_SECONDS = 60.0  # after which the next trouble counts although no other item has succeeded


@dataclass(slots=True)
class ItemTries:
    """The state of an item between its tries in this process."""

    rejections: int = 0
    """Rejections in a row for a transient reason."""
    troubles: int = 0
    """Server errors and lost connections of the item, with successes of other items in between."""
    accepted_count: int = -1
    """How many calls the model had accepted at the latest trouble."""
    troubled_at: float = 0.0
    """The time of the latest trouble, on the clock of the event loop."""
    suspected_at: int | None = None
    """The number of the model's latest call when this item got an error that may concern all items."""
    fallback_level: int = 0
    """The number of steps by which its structure is simpler than that of other items."""
    unusable_answers: int = 0
    """Answers without a usable conversation."""
    unconfirmed_structures: frozenset[Structure] = frozenset()
    """Structures rejected for this item by wording alone, which may quote its prompt."""
    requeues: int = 0
    """Times it was requeued because the form of requests has changed for all items."""
    hint: str | None = None
    """The fault of the latest unusable answer."""

    def record_success(self) -> None:
        """Record a good answer, which clears earlier rejections."""
        self.rejections = 0
        self.suspected_at = None
        self.unconfirmed_structures = frozenset()

    def is_alone(self, *, min_troubles: int) -> bool:
        """Return whether the item counts as the only one left: it had so many troubles, the latest long ago."""
        return self.troubles >= min_troubles and asyncio.get_running_loop().time() - self.troubled_at >= _ALONE_SECONDS

    def record_trouble(self, accepted_count: int, *, min_troubles: int = _SUSPICIOUS_TROUBLES) -> bool:
        """Record an error that the server or the item may have caused; return whether it counts against the item.

        The first error counts. Each later one counts if other calls were accepted since the previous one or, after
        `min_troubles`, if some time has passed: then perhaps no other item is left.
        """
        if accepted_count <= self.accepted_count and not self.is_alone(min_troubles=min_troubles):
            return False
        self.troubles += 1
        self.accepted_count, self.troubled_at = accepted_count, asyncio.get_running_loop().time()
        return True


class RecentTries:
    """The tries of the latest items, at most `capacity`, which keeps memory flat over millions of items."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._tries: OrderedDict[str, ItemTries] = OrderedDict()

    def get(self, item_id: str) -> ItemTries:
        """Return the tries of an item, created if needed, and mark the item as the most recently used."""
        tries = self._tries.setdefault(item_id, ItemTries())
        self._tries.move_to_end(item_id)
        if len(self._tries) > self._capacity:
            self._tries.popitem(last=False)
        return tries

    def forget(self, item_id: str) -> None:
        """Remove the tries of an item. Idempotent."""
        self._tries.pop(item_id, None)


@dataclass(slots=True)
class ModelCall:
    """A request in flight."""

    item: Item
    prompt: Prompt
    structure: Structure
    tries: ItemTries
    permit: Permit
    work: Work
    number: int
    """The number of the call among those of its model."""
    omitted: frozenset[str]
    """Rejected parameters that the request omits."""
    used: int | None = None
    """The tokens that the call used, if the provider reported them."""
