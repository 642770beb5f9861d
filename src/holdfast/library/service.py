"""What one can do with conversations that are stored."""

from collections.abc import AsyncIterator, Sequence

from holdfast.errors import ConversationNotFound
from holdfast.library.conversation import Conversation
from holdfast.library.selection import Selection
from holdfast.library.store import ConversationStore, ConversationSummary

_PAGE = 500  # conversations read at once while streaming: a few megabytes at most of the usual ones


class Conversations:
    """The stored conversations of one owner."""

    def __init__(self, *, store: ConversationStore, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def show(self, conversation_id: str) -> Conversation:
        """Return one conversation with its turns.

        Raises:
            ConversationNotFound: this owner has none of that id.
        """
        return await self._store.conversation(self._owner, conversation_id)

    async def list(
        self, selection: Selection | None = None, *, before: int | None = None, limit: int = 50
    ) -> Sequence[ConversationSummary]:
        """Return up to `limit` summaries, newest first; `before` is the `cursor` of the last one already seen."""
        selection = selection or Selection(everything=True)
        return await self._store.summaries(self._owner, selection.check(), before=before, limit=limit)

    async def count(self, selection: Selection) -> int:
        """Return how many conversations the selection holds."""
        return await self._store.count(self._owner, selection.check())

    async def export(self, selection: Selection) -> AsyncIterator[Conversation]:
        """Yield the selected conversations in the order they were stored, a page in memory at a time.

        Raises:
            EmptySelection: nothing was selected.
            ConversationNotFound: an id was asked for that this owner does not have; raised before the first yield.
        """
        selection.check()
        await self._refuse_unknown(selection)
        after: int | None = 0
        while after is not None:
            page = await self._store.page(self._owner, selection, after=after, limit=_PAGE)
            for conversation in page.conversations:
                yield conversation
            after = page.next_cursor

    async def _refuse_unknown(self, selection: Selection) -> None:
        if selection.ids and await self._store.count(self._owner, selection) < len(set(selection.ids)):
            for conversation_id in selection.ids:
                only = Selection(ids=(conversation_id,), job_id=selection.job_id)
                if not await self._store.count(self._owner, only):
                    raise ConversationNotFound(
                        f"There is no conversation {conversation_id!r}; `holdfast conversations list` shows all",
                        conversation_id=conversation_id,
                    )
