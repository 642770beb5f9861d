"""The page of a conversation: read it, judge it, go to the next one of the list that it was opened from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from backstay.errors import BackstayError, ReviewChanged
from backstay.library.conversation import Conversation
from backstay.library.lists import ConversationSummary, Neighbours
from backstay.library.review import Review, ReviewStatus
from backstay.library.selection import Selection
from backstay.limits import MAX_INTEGER
from backstay.server.api.common import OwnCursors, OwnerServices, Text
from backstay.server.api.selections import ListCursor, position_of
from backstay.server.problems import message_for, status_of
from backstay.server.routers import Router
from backstay.server.web.conversations import SortedFilters
from backstay.server.web.forms import EmptyIsNone
from backstay.server.web.list_positions import POSITION_TOTAL, position_params, total_of
from backstay.server.web.page_templates import render_page

router = Router(include_in_schema=False, prefix="/conversations")

JUDGEMENT = r"^(unreviewed|kept|rejected)-[0-5]$"


class ListPosition(SortedFilters):
    """The list that a conversation was opened from, and its position there; empty if it was opened from elsewhere."""

    cursor: Annotated[ListCursor | None, EmptyIsNone] = None
    number: Annotated[Annotated[int, Field(ge=1, le=MAX_INTEGER)] | None, EmptyIsNone] = None
    total: Annotated[Annotated[str, Field(pattern=POSITION_TOTAL)] | None, EmptyIsNone] = None

    @property
    def is_in_list(self) -> bool:
        """Whether there is a list."""
        return self.cursor is not None or bool(self.list_params)

    @property
    def position_params(self) -> dict[str, Any]:
        """The list and the position, as query parameters."""
        params = {"cursor": self.cursor, "number": self.number, "total": self.total}
        return {**self.list_params, **{name: value for name, value in params.items() if value is not None}}

    @property
    def back_params(self) -> dict[str, Any]:
        """The query parameters of the page of the list that has the position."""
        if self.cursor is None or self.number is None:
            return self.list_params
        return {**self.list_params, "cursor": self.cursor, "first": self.number, "around": "true"}

    def moved(self, summary: ConversationSummary, cursors: OwnCursors, *, by: int) -> dict[str, Any]:
        """Return the query parameters of another conversation of the list, so many further on."""
        total = total_of(self.total)
        number = self.number + by if self.number is not None else None
        if number is not None and number < 1:  # one that was not there yet when the list was opened
            number, total = 1, total.at_least(total.count + 1) if total is not None else None
        return {**self.list_params, **position_params(summary, self.sort, cursors, number, total)}


class OpenedConversation(ListPosition):
    """The query of a conversation's page and of its form: the conversation, and its position in a list."""

    id: Annotated[Text, Field(min_length=1)]


class ReadingQuery(OpenedConversation):
    """The query of a conversation's page: also the result of what redirected here."""

    saved: Literal["review", "judgement", "undone", "edit", "revert", "nothing"] | None = None
    judged: Annotated[Text | None, EmptyIsNone] = None
    """The id of the conversation that was judged last."""
    was: Annotated[str | None, Field(pattern=JUDGEMENT)] = None
    """The status and the rating that it had before; 0 is none."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A conversation that was judged, as it is now, and the review that it had before."""

    id: str
    name: str
    review: Review
    was: str

    @property
    def is_changed(self) -> bool:
        """Whether there is something to undo."""
        return judgement_of(self.review) != self.was


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a conversation is in its list, for its page."""

    position: ListPosition
    previous: Mapping[str, Any] | None
    next: Mapping[str, Any] | None

    @classmethod
    def from_neighbours(cls, position: ListPosition, neighbours: Neighbours, cursors: OwnCursors) -> Self:
        """Return what is on either side, as query parameters of their pages."""
        previous, following = neighbours.previous, neighbours.next
        return cls(
            position,
            position.moved(previous, cursors, by=-1) if previous is not None else None,
            position.moved(following, cursors, by=1) if following is not None else None,
        )

    @property
    def place(self) -> str | None:
        """Its number in the list: `12 of 504`."""
        number, total = self.position.number, total_of(self.position.total)
        if number is None:
            return None
        return f"{number:,} of {total.at_least(number)}" if total is not None else f"{number:,}"


def judgement_of(review: Review) -> str:
    """Return the status and the rating of a review as a query parameter: `kept-4`; 0 is no rating."""
    return f"{review.status}-{review.rating or 0}"


@router.get("/one")
async def show_conversation(
    request: Request, services: OwnerServices, cursors: OwnCursors, query: Annotated[ReadingQuery, Query()]
) -> Response:
    """Show one conversation with its tools and turns, its neighbours, and the result of what redirected here."""
    conversation = await services.conversations.show(query.id)
    return await conversation_page(
        request,
        services,
        cursors,
        conversation,
        position=query,
        saved=query.saved,
        judged=await _judged(services, query),
    )


async def neighbours_of(
    services: OwnerServices, cursors: OwnCursors, conversation_id: str, position: ListPosition
) -> Neighbours:
    """Return the neighbours of a conversation in the list that it was opened from; none if there is no list."""
    if not position.is_in_list:
        return Neighbours(None, None)
    lists = services.conversations.lists
    # Its position in the address stays when a judgement moves it in the order, or takes it out of the list.
    at = position_of(position.cursor, position.sort, cursors)
    if at is None:
        at = await lists.position(conversation_id, sort=position.sort)
    return await lists.neighbours(at, position.to_selection(), sort=position.sort)


async def conversation_page(
    request: Request,
    services: OwnerServices,
    cursors: OwnCursors,
    conversation: Conversation,
    *,
    position: ListPosition,
    saved: str | None = None,
    judged: Judged | None = None,
    typed: Mapping[str, object] | None = None,
    error: BackstayError | None = None,
) -> Response:
    """Return the page of a conversation; with an `error`, with what was `typed` in the form of its review."""
    conversation_id, review = conversation.id or "", conversation.review or Review()
    neighbours = await neighbours_of(services, cursors, conversation_id, position)
    has_new_version = saved in ("edit", "revert")
    stored = {
        "status": review.status,
        "rating": review.rating,
        "tags": "\n".join(review.tags),
        "note": review.note or "",
    }
    params = position.position_params
    return render_page(
        request,
        "conversation.html",
        status=200 if error is None else status_of(error),
        conversation=conversation,
        review=review,
        reading=Reading.from_neighbours(position, neighbours, cursors),
        query=f"?{urlencode(params)}" if params else "",
        typed=typed or stored,
        error=message_for(error).error.message if error is not None else None,
        is_newer=isinstance(error, ReviewChanged),
        saved=saved,
        judged=judged,
        statuses=list(ReviewStatus),
        versions=len(await services.edits.versions(conversation_id)) if has_new_version else 0,
        answer=max((n for n, turn in enumerate(conversation.turns, start=1) if turn.role == "assistant"), default=1),
        history=await services.regenerations.history(conversation_id),
    )


async def _judged(services: OwnerServices, query: ReadingQuery) -> Judged | None:
    """Return what was judged; None if it is gone."""
    if query.judged is None or query.was is None:
        return None
    page = await services.conversations.lists.page(Selection(ids=(query.judged,)), limit=1)
    return next(
        (
            Judged(each.id, each.topic or each.opening or "No topic", each.review or Review(), query.was)
            for each in page.conversations
        ),
        None,
    )
