"""The index that lists are filtered and sorted by. It is filled after the commits; what it lacks is scanned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

_BATCH_CONVERSATIONS = 500
"""Conversations that one transaction indexes: it takes some 10 ms, for which others wait."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of the index of one owner. Conversations without an entry are scanned."""

    indexed: int
    unindexed: int


class IndexStore(Protocol):
    """The index of conversations. Each method with an owner affects only that one's."""

    async def owners(self) -> Sequence[str]:
        """Return the owners with conversations that are not indexed."""

    async def status(self, owner: str) -> IndexStatus:
        """Return the state of the index."""

    async def fill(self, owner: str, *, limit: int) -> int:
        """Index up to `limit` conversations in one transaction; return how many, which is 0 if none is left."""

    async def drop(self, owner: str) -> None:
        """Delete all entries, so that all conversations are scanned."""


class ConversationIndex:
    """The index of the conversations of one owner."""

    def __init__(self, *, store: IndexStore, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def status(self) -> IndexStatus:
        """Return how many conversations are indexed, and how many are not."""
        return await self._store.status(self._owner)

    async def fill(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Index the conversations that are not indexed yet, a batch in each transaction; return how many those were.

        Idempotent, and safe to interrupt at any time. `on_progress` is called with the number so far.
        """
        count = 0
        while indexed := await self.fill_batch():
            count += indexed
            if on_progress is not None:
                on_progress(count)
        return count

    async def fill_batch(self) -> int:
        """Index the next conversations in one short transaction; return how many, which is 0 if none is left."""
        return await self._store.fill(self._owner, limit=_BATCH_CONVERSATIONS)

    async def drop(self) -> None:
        """Delete the index. Lists are slower until it is filled again, and the same."""
        await self._store.drop(self._owner)
