"""Lists of conversations: pages in a chosen order, and how many conversations a list has."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from backstay.errors import ConversationNotFound, ImportNotFound, SettingsError
from backstay.library.id_text import quoted_id
from backstay.library.review import Review, ReviewStatus
from backstay.library.selection import LAST_IMPORT, Selection
from backstay.limits import MAX_INTEGER, MIN_RATING

MAX_TOTAL = 50_000
"""The largest total that a list counts exactly, so that a count stays fast in a large library."""
MAX_MODELS = 100
"""Models that a list offers as choices."""
MAX_OPENING = 80
"""Characters of the opening of a conversation."""


class Sort(StrEnum):
    """The order of a list. Conversations that are equal in it are in the order in which they were stored.

    The orders by rating list only conversations that have one.
    """

    NEWEST = "newest"
    OLDEST = "oldest"
    LONGEST = "longest"
    SHORTEST = "shortest"
    MOST_TURNS = "most-turns"
    FEWEST_TURNS = "fewest-turns"
    HIGHEST_RATED = "highest-rated"
    LOWEST_RATED = "lowest-rated"

    @property
    def opposite(self) -> "Sort":
        """The reverse order."""
        return _OPPOSITES[self]

    @property
    def is_descending(self) -> bool:
        """Whether the largest value comes first."""
        return self in (Sort.NEWEST, Sort.LONGEST, Sort.MOST_TURNS, Sort.HIGHEST_RATED)

    @property
    def has_values(self) -> bool:
        """Whether it sorts by a value of the conversations, and not only by the order in which they were stored."""
        return self not in (Sort.NEWEST, Sort.OLDEST)

    def listed(self, selection: Selection) -> Selection:
        """Return the part of a selection that a list in this order shows."""
        if self not in (Sort.HIGHEST_RATED, Sort.LOWEST_RATED) or selection.rating_from is not None:
            return selection
        return replace(selection, rating_from=MIN_RATING)


_PAIRS = (
    (Sort.NEWEST, Sort.OLDEST),
    (Sort.LONGEST, Sort.SHORTEST),
    (Sort.MOST_TURNS, Sort.FEWEST_TURNS),
    (Sort.HIGHEST_RATED, Sort.LOWEST_RATED),
)
_OPPOSITES = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a list: that of the conversation with this key and, if the order has values, this value."""

    key: int
    value: int = 0

    @classmethod
    def before_first(cls, sort: Sort) -> "Position":
        """Return the position before the first conversation of a list."""
        return cls(MAX_INTEGER, MAX_INTEGER) if sort.is_descending else cls(-1, -1)

    @classmethod
    def from_text(cls, text: str, sort: Sort, decode: Callable[[int], int] = int) -> "Position":
        """Return the position of a cursor of `to_cursor`. Raises SettingsError if it belongs to another order."""
        value, separator, key = text.rpartition("-")
        if bool(separator) != sort.has_values:
            raise SettingsError(f"The cursor {text} belongs to a list in another order", setting="cursor")
        try:
            position = cls(decode(int(key)), int(value or 0))
        except ValueError:
            raise SettingsError(f"{text!r} is not a cursor", setting="cursor") from None
        if not 0 <= min(position.key, position.value) <= max(position.key, position.value) <= MAX_INTEGER:
            raise SettingsError(f"{text!r} is not a cursor", setting="cursor")
        return position

    def to_cursor(self, sort: Sort, encode: Callable[[int], int] = int) -> int | str:
        """Return the position as a cursor, whose key is encoded."""
        return f"{self.value}-{encode(self.key)}" if sort.has_values else encode(self.key)


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation in a list, without the texts of its turns."""

    id: str
    topic: str | None
    opening: str | None
    """The first words, if it has no topic."""
    persona: str | None
    job_id: str | None
    item_id: str | None
    turns: int
    characters: int
    model: str | None
    has_tools: bool
    created_at: str
    cursor: int
    """Its position in storage order."""
    review: Review | None = None

    @property
    def status(self) -> ReviewStatus:
        return self.review.status if self.review is not None else ReviewStatus.UNREVIEWED

    @property
    def rating(self) -> int | None:
        return self.review.rating if self.review is not None else None

    @property
    def tags(self) -> Sequence[str]:
        return self.review.tags if self.review is not None else ()

    def position(self, sort: Sort) -> Position:
        """Return its position in a list."""
        if sort in (Sort.LONGEST, Sort.SHORTEST):
            return Position(self.cursor, self.characters)
        if sort in (Sort.MOST_TURNS, Sort.FEWEST_TURNS):
            return Position(self.cursor, self.turns)
        return Position(self.cursor, (self.rating or 0) if sort.has_values else 0)


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list, and whether the list has more on either side of it."""

    conversations: Sequence[ConversationSummary]
    sort: Sort
    has_previous: bool
    has_next: bool

    @property
    def previous(self) -> Position | None:
        """The position at which the previous page ends; None if there is none."""
        return self.conversations[0].position(self.sort) if self.conversations and self.has_previous else None

    @property
    def next(self) -> Position | None:
        """The position after which the next page begins; None if there is none."""
        return self.conversations[-1].position(self.sort) if self.conversations and self.has_next else None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The conversations on either side of a position in a list; None at an end of the list."""

    previous: ConversationSummary | None
    next: ConversationSummary | None


@dataclass(frozen=True, slots=True)
class Total:
    """The number of conversations of a list; at least that many if it is not exact."""

    count: int
    is_exact: bool

    def at_least(self, count: int) -> "Total":
        """Return the total of the list after it was found to have so many."""
        return replace(self, count=max(self.count, count))

    def __str__(self) -> str:
        return f"{self.count:,}" if self.is_exact else f"{self.count:,}+"


class ListStore(Protocol):
    """The lists of conversations. Each method sees only the given owner's."""

    async def summaries(
        self, owner: str, selection: Selection, *, sort: Sort, after: Position, limit: int
    ) -> Sequence[ConversationSummary]:
        """Return up to `limit` summaries that follow a position."""

    async def total(self, owner: str, selection: Selection, *, limit: int) -> int:
        """Return how many conversations the selection holds, or `limit` if that is less."""

    async def models(self, owner: str, *, limit: int) -> Sequence[str]:
        """Return up to `limit` models of the indexed conversations, in order."""

    async def has_import(self, owner: str, import_id: str) -> bool:
        """Return whether there is an import with this id."""


class ConversationLists:
    """The lists of the stored conversations of one owner."""

    def __init__(self, *, store: ListStore, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def page(
        self,
        selection: Selection | None = None,
        *,
        sort: Sort | str = Sort.NEWEST,
        after: Position | None = None,
        before: Position | None = None,
        limit: int = 50,
    ) -> ListPage:
        """Return a page of up to `limit` conversations.

        Args:
            selection: The conversations; by default all.
            sort: The order, such as `newest` or `longest`.
            after: The position after which the page begins: the `next` of the page ahead of it.
            before: The position at which the page ends instead: the `previous` of the page that follows it.
            limit: The size of the page.
        """
        order, selection = Sort(sort), (selection or Selection(everything=True)).check()
        if before is not None:
            rows = await self._read(selection, order.opposite, before, limit)
            return ListPage(rows[:limit][::-1], order, has_previous=len(rows) > limit, has_next=True)
        rows = await self._read(selection, order, after or Position.before_first(order), limit)
        return ListPage(rows[:limit], order, has_previous=after is not None, has_next=len(rows) > limit)

    async def position(self, conversation_id: str, *, sort: Sort | str = Sort.NEWEST) -> Position:
        """Return the position that a conversation has in lists of this order, whether or not they contain it.

        Raises:
            ConversationNotFound: this owner has no conversation with this id.
        """
        rows = await self._read(Selection(ids=(conversation_id,)), Sort.NEWEST, Position.before_first(Sort.NEWEST), 1)
        if not rows:
            raise ConversationNotFound(
                f"Conversation {quoted_id(conversation_id)} not found", conversation_id=conversation_id
            )
        return rows[0].position(Sort(sort))

    async def neighbours(
        self, position: Position, selection: Selection | None = None, *, sort: Sort | str = Sort.NEWEST
    ) -> Neighbours:
        """Return the conversations of a list that are next to a position.

        The conversation at the position need not be in the list any more: a change of its review may have taken it
        out, or it may be deleted.

        Args:
            position: The position, for instance that of a summary, or one from `position`.
            selection: The conversations of the list; by default all.
            sort: Its order.
        """
        order, selection = Sort(sort), (selection or Selection(everything=True)).check()
        previous, following = await asyncio.gather(
            self._read(selection, order.opposite, position, 0), self._read(selection, order, position, 0)
        )
        return Neighbours(previous[0] if previous else None, following[0] if following else None)

    async def total(self, selection: Selection | None = None, *, sort: Sort | str = Sort.NEWEST) -> Total:
        """Return how many conversations a list of the selection has, all by default; exact up to `MAX_TOTAL`."""
        selection = Sort(sort).listed((selection or Selection(everything=True)).check())
        count = await self._store.total(self._owner, selection, limit=MAX_TOTAL + 1)
        return Total(min(count, MAX_TOTAL), is_exact=count <= MAX_TOTAL)

    async def models(self) -> Sequence[str]:
        """Return the models that indexed conversations have, in order; at most `MAX_MODELS`."""
        return await self._store.models(self._owner, limit=MAX_MODELS)

    async def check_import(self, import_id: str) -> None:
        """Raise ImportNotFound if there is no import with this id; for `last`, if nothing was imported yet."""
        if not await self._store.has_import(self._owner, import_id):
            if import_id == LAST_IMPORT:
                raise ImportNotFound("Nothing was imported yet", import_id=import_id)
            raise ImportNotFound(f"Import {quoted_id(import_id)} not found", import_id=import_id)

    async def _read(
        self, selection: Selection, sort: Sort, after: Position, limit: int
    ) -> Sequence[ConversationSummary]:
        """Return up to one more than `limit`, which says whether there are more."""
        return await self._store.summaries(self._owner, selection, sort=sort, after=after, limit=limit + 1)


def format_opening(text: str | None) -> str | None:
    """Return the first words of a text on one line; None if it has none."""
    words = " ".join(text.split()) if text is not None else ""
    if len(words) <= MAX_OPENING:
        return words or None
    return f"{words[: MAX_OPENING - 1].rstrip()}…"
