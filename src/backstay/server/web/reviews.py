"""Forms that review conversations: one, on its page, or the selected ones of a list."""

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import Form, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from backstay.errors import BackstayError
from backstay.library.review import Review, ReviewStatus, split_tags
from backstay.library.review_change import ReviewChange
from backstay.library.selection import Selection
from backstay.server.api.common import OwnCursors, OwnerServices
from backstay.server.api.selections import Digest
from backstay.server.routers import Router
from backstay.server.web.conversations import FormSelection, PrintedId
from backstay.server.web.forms import EmptyIsNone, FormText, redirect_to
from backstay.server.web.reading import JUDGEMENT, ListPosition, conversation_page, judgement_of, neighbours_of

router = Router(include_in_schema=False, prefix="/conversations")


class ReviewForm(BaseModel):
    """The whole review of one conversation. What is empty is removed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: PrintedId
    expected: Digest
    status: ReviewStatus
    rating: Annotated[int | None, EmptyIsNone] = None
    tags: FormText = ""
    """Separated by commas or line breaks."""
    note: FormText = ""
    judge: Annotated[str | None, Field(pattern=r"^(unreviewed|kept|rejected|[1-5])$")] = None
    """What a button sets: a status, or a rating. The rest is as it was typed."""

    @property
    def is_decision(self) -> bool:
        """Whether the next conversation follows."""
        return self.judge in (ReviewStatus.KEPT, ReviewStatus.REJECTED)

    @property
    def typed(self) -> dict[str, object]:
        """What the form shows again."""
        return {"status": self._status, "rating": self._rating, "tags": self.tags, "note": self.note}

    def to_change(self) -> ReviewChange:
        """Return the change. Raises SettingsError if a value is not allowed."""
        return ReviewChange(self._status, self._rating, self.note, split_tags(self.tags))

    @property
    def _status(self) -> ReviewStatus:
        return self.status if self.judge is None or self.judge.isdigit() else ReviewStatus(self.judge)

    @property
    def _rating(self) -> int | None:
        return int(self.judge) if self.judge is not None and self.judge.isdigit() else self.rating


class UndoForm(BaseModel):
    """What takes back the last judgement of a conversation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: PrintedId
    expected: Digest
    was: Annotated[str, Field(pattern=JUDGEMENT)]
    is_here: Annotated[bool, Field(alias="isHere")] = False
    """Whether the form is on the page of that conversation, and not on that of the next one."""

    def to_change(self) -> ReviewChange:
        """Return the change to the former status and rating."""
        status, _, rating = self.was.partition("-")
        return ReviewChange(ReviewStatus(status), int(rating) or None)


class ReviewsForm(FormSelection):
    """What a button of the list sets in the reviews of the selected conversations."""

    change: Literal["kept", "rejected", "unreviewed", "rating", "tag", "untag"]
    new_rating: Annotated[int | None, EmptyIsNone, Field(alias="newRating")] = None
    new_tag: Annotated[str, Field(alias="newTag")] = ""
    place: FormText = ""
    """The query of the page of the list to return to."""

    def to_change(self) -> ReviewChange:
        """Return the change. Raises SettingsError if a value is not allowed."""
        match self.change:
            case "rating":
                return ReviewChange(rating=self.new_rating)
            case "tag":
                return ReviewChange(add_tags=self._tags)
            case "untag":
                return ReviewChange(remove_tags=self._tags)
        return ReviewChange(ReviewStatus(self.change))

    @property
    def _tags(self) -> list[str]:
        return split_tags(self.new_tag) or [""]  # which is refused as empty


@router.post("/one")
async def review_one(
    request: Request,
    services: OwnerServices,
    cursors: OwnCursors,
    position: Annotated[ListPosition, Query()],
    form: Annotated[ReviewForm, Form()],
) -> Response:
    """Change the review of a conversation; then show the next one after a decision, otherwise its page again.

    Whatever the reason why it is not stored, the response shows what was typed.
    """
    conversation = await services.conversations.show(form.id)
    try:
        change = form.to_change()
        await services.reviews.change(Selection(ids=(form.id,)), change, expected=form.expected)
    except BackstayError as error:
        conversation = await services.conversations.show(form.id)
        return await conversation_page(
            request, services, cursors, conversation, position=position, typed=form.typed, error=error
        )
    former = judgement_of(conversation.review or Review())
    params: dict[str, Any] = {
        **position.position_params,
        "id": form.id,
        "saved": "judgement" if form.judge else "review",
    }
    if form.judge or former != judgement_of(change.apply(Review())):
        params |= {"judged": form.id, "was": former}
    if form.is_decision:
        neighbours = await neighbours_of(services, cursors, form.id, position)
        if neighbours.next is not None:
            params |= position.moved(neighbours.next, cursors, by=1)
    return redirect_to(request, "/conversations/one", **params)


@router.post("/review-undo")
async def undo_review(
    request: Request,
    services: OwnerServices,
    cursors: OwnCursors,
    position: Annotated[ListPosition, Query()],
    form: Annotated[UndoForm, Form()],
) -> Response:
    """Give a conversation the status and the rating that it had before, and show its page."""
    selection = Selection(ids=(form.id,))
    await services.reviews.change(selection, form.to_change(), expected=form.expected)
    params: dict[str, Any] = {**position.position_params, "id": form.id}
    if position.is_in_list and not form.is_here:
        (summary,) = (await services.conversations.lists.page(selection, limit=1)).conversations
        params = position.moved(summary, cursors, by=-1)
    return redirect_to(request, "/conversations/one", **params, saved="undone")


@router.post("/review")
async def review_selected(request: Request, services: OwnerServices, form: Annotated[ReviewsForm, Form()]) -> Response:
    """Change the reviews of the selected conversations, and show the same page of the list again."""
    result = await services.reviews.change(form.to_selection(), form.to_change())
    place: dict[str, str | int | None] = dict(parse_qsl(form.place))
    return redirect_to(request, "/conversations", **{**place, "reviewed": result.conversations})
