"""The public API of reviews, which judge conversations without editing them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from backstay.errors import ConversationNotFound, SettingsError
from backstay.library.id_text import quoted_id
from backstay.library.review import check_reviewer
from backstay.library.review_change import ReviewChange, ReviewChangeResult
from backstay.library.selection import Selection
from backstay.library.store import ConversationStore
from backstay.remedy import Remedy

_STEP_CONVERSATIONS = 500  # of one transaction, in which other writers wait
_READ_CONVERSATIONS = 20 * _STEP_CONVERSATIONS  # that are looked up together, which may read the whole index of lists
_MAX_BREAK_SECONDS = 0.05
_MAX_NAMED_IDS = 10


class SelectedConversation(NamedTuple):
    """A selected conversation, and its position in storage order."""

    key: int
    id: str


class ReviewStore(Protocol):
    """The stored reviews. Each method sees only the given owner's conversations."""

    async def selected(
        self, owner: str, selection: Selection, *, after: int, limit: int
    ) -> Sequence[SelectedConversation]:
        """Return up to `limit` selected conversations in storage order, after the key `after`."""

    async def refuse_too_many_tags(self, owner: str, selection: Selection, change: ReviewChange) -> None:
        """Raise SettingsError if a change would give a selected conversation too many tags; the message names it."""

    async def change(
        self,
        owner: str,
        selection: Selection,
        ids: Sequence[str],
        change: ReviewChange,
        *,
        reviewer: str | None,
        expected: str | None = None,
    ) -> ReviewChangeResult:
        """Change the reviews of those conversations with these ids that exist and are still selected. Idempotent.

        All of them are changed in one transaction. Raises SettingsError if one would have too many tags, ReviewChanged
        if one would be changed and is not the `expected` one.
        """


class Reviews:
    """The reviews of one owner's conversations."""

    def __init__(
        self, *, store: ReviewStore, conversations: ConversationStore, owner: str, reviewer: str | None
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._owner = owner
        self._reviewer = reviewer

    async def change(
        self,
        selection: Selection,
        change: ReviewChange,
        *,
        reviewer: str | None = None,
        expected: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> ReviewChangeResult:
        """Change the reviews of the selected conversations, in steps of a transaction each.

        If it is interrupted, the same call continues it: what is as it should be is left alone. Conversations that are
        deleted meanwhile are left out, and so are those that another change takes out of the selection.

        Args:
            selection: The conversations.
            change: What is set in the review of each.
            reviewer: Who reviews; by default the user of the server, else `reviewer` of the settings, else the user of
                this machine.
            expected: The `digest()` of the review as it was read, if one conversation is selected by its id; that of
                `Review()` if it had none. By default it is not compared. What needs no change is never refused.
            on_progress: Called with the number of conversations so far.

        Raises:
            EmptySelection: the selection has no condition.
            ConversationNotFound: a selected id does not exist; nothing was changed.
            ReviewChanged: the review is no longer the expected one; nothing was changed.
            SettingsError: a review is expected of anything but one id, or the name of the reviewer is not allowed; or a
                conversation would have too many tags. Nothing was changed, unless tags were added by others meanwhile:
                then the message says how many conversations were changed before.
        """
        reviewer = self._reviewer if reviewer is None else reviewer
        check_reviewer(reviewer)
        if expected is not None and len(selection.ids) != 1:
            raise SettingsError(
                "A review can be expected of one conversation only; select it by its id", setting="expected"
            )
        await self._refuse_missing(selection.check())
        parts = list(selection.split(_STEP_CONVERSATIONS))
        for part in parts:
            await self._store.refuse_too_many_tags(self._owner, part, change)
        changed, unchanged, seconds = 0, 0, 0.0
        async for part, ids in self._steps(parts):
            # Other writers poll for the lock.
            await asyncio.sleep(min(seconds, _MAX_BREAK_SECONDS))
            started = time.monotonic()
            try:
                step = await self._store.change(self._owner, part, ids, change, reviewer=reviewer, expected=expected)
            except SettingsError as error:
                raise error.with_message(
                    f"{error.message}; {changed:,} of the others were changed before, and the rest was not",
                    **error.context,
                ) from error
            seconds = time.monotonic() - started
            changed, unchanged = changed + step.changed, unchanged + step.unchanged
            if on_progress is not None:
                on_progress(changed + unchanged)
        return ReviewChangeResult(changed, unchanged)

    async def _steps(self, parts: Sequence[Selection]) -> AsyncIterator[tuple[Selection, Sequence[str]]]:
        """Yield the ids of the conversations of one transaction each, with the selection that they are from."""
        for part in parts:
            after: int | None = 0
            while after is not None:
                rows = await self._store.selected(self._owner, part, after=after, limit=_READ_CONVERSATIONS)
                after = rows[-1].key if len(rows) == _READ_CONVERSATIONS else None
                for start in range(0, len(rows), _STEP_CONVERSATIONS):
                    yield part, [row.id for row in rows[start : start + _STEP_CONVERSATIONS]]

    async def _refuse_missing(self, selection: Selection) -> None:
        if not selection.ids:
            return
        missing = await self._conversations.missing(self._owner, selection.ids, limit=_MAX_NAMED_IDS)
        if missing:
            noun = "Conversation" if len(missing) == 1 else "Conversations"
            raise ConversationNotFound(
                f"{noun} {', '.join(map(quoted_id, missing))} not found, so nothing was changed",
                remedy=Remedy.LIST_CONVERSATIONS,
                conversation_ids=list(missing),
            )
