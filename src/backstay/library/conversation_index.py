"""The index that lists are filtered and sorted by. It is filled after the commits; what it lacks is scanned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

_BATCH_CONVERSATIONS = 500
"""Conversations that one transaction indexes: it takes some 10 ms, for which others wait; some 50 ms with texts."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of the index of one owner. Conversations without an entry are scanned."""

    indexed: int
    unindexed: int
    texts: int | None = None
    """Conversations whose texts are in the text index; None if there is no text index."""


class IndexStore(Protocol):
    """The index of conversations. Each method with an owner affects only that one's, the text index is everyone's."""

    async def owners(self) -> Sequence[str]:
        """Return the owners with conversations that are not indexed."""

    async def status(self, owner: str) -> IndexStatus:
        """Return the state of the index."""

    async def fill(self, owner: str, *, limit: int) -> int:
        """Index up to `limit` conversations in one transaction; return how many, which is 0 if none is left.

        With a text index, a conversation counts a second time when its texts are indexed.
        """

    async def drop(self, owner: str) -> None:
        """Delete all entries, so that all conversations are scanned."""

    async def create_text_index(self) -> None:
        """Create the text index, if there is none. Raises SettingsError if the database cannot have one."""

    async def drop_text_index(self) -> None:
        """Delete the text index, if there is one."""

    async def has_removed_texts(self) -> bool:
        """Return whether the text index has anything of texts that conversations no longer have."""

    async def purge(self, *, is_first: bool) -> bool:
        """Remove some of it in a short transaction, beginning anew if `is_first`; return whether more is left."""


class ConversationIndex:
    """The index of the conversations of one owner, and the text index of all."""

    def __init__(self, *, store: IndexStore, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def status(self) -> IndexStatus:
        """Return how many conversations are indexed, and how many are not."""
        return await self._store.status(self._owner)

    async def fill(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Index the conversations that are not indexed yet, a batch in each transaction; return how many those were.

        Idempotent, and safe to interrupt at any time. `on_progress` is called with the number so far. With a text
        index, a conversation counts a second time when its texts are indexed, and nothing is left of deleted texts.
        """
        count = 0
        while indexed := await self.fill_batch():
            count += indexed
            if on_progress is not None:
                on_progress(count)
        await self.purge()
        return count

    async def fill_batch(self) -> int:
        """Index the next conversations in one short transaction; return how many, which is 0 if none is left."""
        return await self._store.fill(self._owner, limit=_BATCH_CONVERSATIONS)

    async def drop(self) -> None:
        """Delete the index. Lists are slower until it is filled again, and the same."""
        await self._store.drop(self._owner)

    async def create_text_index(self) -> None:
        """Create the text index, unless there is one; from then on, texts are indexed with everything else.

        Raises:
            SettingsError: the database cannot have one; the message says why.
        """
        await self._store.create_text_index()

    async def drop_text_index(self) -> None:
        """Delete the text index. Searches are slower until it is created and filled again, and find the same."""
        await self._store.drop_text_index()

    async def has_removed_texts(self) -> bool:
        """Return whether the text index has anything of texts that conversations no longer have."""
        return await self._store.has_removed_texts()

    async def purge(self) -> None:
        """Remove from the text index all that is left of texts that conversations no longer have."""
        is_more = is_first = await self.has_removed_texts()
        while is_more:
            is_more = await self.purge_batch(is_first=is_first)
            is_first = False

    async def purge_batch(self, *, is_first: bool) -> bool:
        """Remove some of it in one short transaction, beginning anew if `is_first`; return whether more is left."""
        return await self._store.purge(is_first=is_first)
