"""Reviews of conversations: one, or those of a selection."""

from typing import Annotated

from pydantic import Field

from backstay.errors import ReviewChanged
from backstay.library.review import ReviewStatus
from backstay.library.review_change import ReviewChange
from backstay.library.selection import Selection
from backstay.limits import MAX_NOTE
from backstay.schemas import ConversationOut, ReviewChangeOut, ReviewOut
from backstay.server.api.common import ApiInput, ConversationId, OwnerServices, Text, errors, token_scheme
from backstay.server.api.selections import Digest, Rating, SelectionIn, Tags
from backstay.server.ids_with_slashes import IdRoute
from backstay.server.problems import Problem, status_of
from backstay.server.remedies import full_message
from backstay.server.routers import Router

router = Router(prefix="/api/conversations", tags=["conversations"], dependencies=[token_scheme], route_class=IdRoute)


class ReviewIn(ApiInput):
    """What is set in a review. A field that is not given stays as it is."""

    status: Annotated[ReviewStatus, Field(strict=False)] | None = None
    rating: Rating | None = None
    """Null removes it."""
    note: Annotated[Text, Field(max_length=MAX_NOTE)] | None = None
    """Null removes it."""
    tags: Tags | None = None
    """All tags that the conversation has afterwards, before `addTags` and `removeTags` apply."""
    add_tags: Tags = Field(default_factory=list)
    remove_tags: Tags = Field(default_factory=list)

    def to_change(self) -> ReviewChange:
        """Return the change. Raises SettingsError if nothing is set, or a tag is not allowed."""
        given = self.model_fields_set
        return ReviewChange(
            status=self.status,
            rating=self.rating if "rating" in given else ...,
            note=self.note if "note" in given else ...,
            tags=self.tags,
            add_tags=self.add_tags,
            remove_tags=self.remove_tags,
        )


class OneReviewIn(ReviewIn):
    """What is set in the review of one conversation."""

    expected: Digest | None = None
    """The `digest` of the review that was read; without it, the change applies to any review."""


class ReviewsIn(ReviewIn):
    """What is set in the reviews of a selection."""

    selection: SelectionIn


@router.patch("/{conversationId:id}", responses=errors(404, 409, 413))
async def review_conversation(
    conversation_id: ConversationId, body: OneReviewIn, services: OwnerServices
) -> ConversationOut:
    """Change the review of one conversation, and return the conversation. This is no edit: its times stay the same.

    If the review was changed since it was read, the error `review_changed` has the review as it is now in
    `details.current`, and what was sent in `details.submitted`. A change that changes nothing is never refused.
    """
    try:
        await services.reviews.change(Selection(ids=(conversation_id,)), body.to_change(), expected=body.expected)
    except ReviewChanged as error:
        current = ReviewOut.from_review((await services.conversations.show(conversation_id)).review)
        details = {
            **error.context,
            "current": current.model_dump(mode="json", by_alias=True),
            "submitted": body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"expected"}),
        }
        raise Problem(status_of(error), error.code, full_message(error), **details) from error
    return ConversationOut.from_conversation(await services.conversations.show(conversation_id))


@router.post("/review", responses=errors(404, 413))
async def review_conversations(body: ReviewsIn, services: OwnerServices) -> ReviewChangeOut:
    """Change the reviews of all selected conversations, in steps of a transaction each.

    If an id does not exist, nothing is changed. After an interruption, the same request continues.
    """
    result = await services.reviews.change(body.selection.to_selection(), body.to_change())
    return ReviewChangeOut.from_result(result)
