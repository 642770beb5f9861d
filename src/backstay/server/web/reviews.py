"""Forms that review conversations: one, on its page, or the selected ones of a list."""

from typing import Annotated, Literal
from urllib.parse import parse_qsl

from fastapi import Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from backstay.errors import BackstayError
from backstay.library.review import ReviewStatus, split_tags
from backstay.library.review_change import ReviewChange
from backstay.library.selection import Selection
from backstay.server.api.common import OwnerServices
from backstay.server.api.selections import Digest
from backstay.server.routers import Router
from backstay.server.web.conversations import FormSelection, PrintedId, conversation_page
from backstay.server.web.forms import EmptyIsNone, FormText, redirect_to

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

    def to_change(self) -> ReviewChange:
        """Return the change. Raises SettingsError if a value is not allowed."""
        return ReviewChange(self.status, self.rating, self.note, split_tags(self.tags))


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
async def review_one(request: Request, services: OwnerServices, form: Annotated[ReviewForm, Form()]) -> Response:
    """Change the review of a conversation, and show its page again.

    Whatever the reason why it is not stored, the response shows what was typed.
    """
    try:
        await services.reviews.change(Selection(ids=(form.id,)), form.to_change(), expected=form.expected)
    except BackstayError as error:
        conversation = await services.conversations.show(form.id)
        return await conversation_page(request, services, conversation, typed=form.model_dump(), error=error)
    return redirect_to(request, "/conversations/one", id=form.id, saved="review")


@router.post("/review")
async def review_selected(request: Request, services: OwnerServices, form: Annotated[ReviewsForm, Form()]) -> Response:
    """Change the reviews of the selected conversations, and show the same page of the list again."""
    result = await services.reviews.change(form.to_selection(), form.to_change())
    place: dict[str, str | int | None] = dict(parse_qsl(form.place))
    return redirect_to(request, "/conversations", **{**place, "reviewed": result.conversations})
