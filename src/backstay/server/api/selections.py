"""Selections of conversations in requests."""

from typing import Annotated

from pydantic import Field

from backstay.library.review import ReviewStatus
from backstay.library.selection import Selection
from backstay.limits import MAX_IDS, MAX_PERSONA, MAX_RATING, MAX_SEARCH, MAX_TAG, MAX_TAGS, MIN_RATING
from backstay.server.api.common import ApiInput, MomentIn, Text

Id = Annotated[Text, Field(min_length=1)]
Rating = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]
Tag = Annotated[Text, Field(min_length=1, max_length=MAX_TAG)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ids = Annotated[
    list[Id],
    Field(
        min_length=1,
        max_length=MAX_IDS,
        description=f"{MAX_IDS:,} at most. To select more, use the other conditions or several requests.",
        examples=[["conv-1", "conv-2"]],
    ),
]


class SelectionIn(ApiInput):
    """Conversations that meet every condition. Without a condition, `all` must be true."""

    conversation_ids: Ids | None = None
    job_id: Id | None = None
    search: Annotated[Text, Field(min_length=1, max_length=MAX_SEARCH)] | None = None
    """Part of the topic, the persona or a turn; case-insensitive."""
    persona: Annotated[Text, Field(max_length=MAX_PERSONA)] | None = None
    created_before: MomentIn | None = None
    status: Annotated[ReviewStatus, Field(strict=False)] | None = None
    """The status of the review; `unreviewed` also without a review."""
    rating_below: Annotated[int, Field(gt=MIN_RATING, le=MAX_RATING)] | None = None
    rating_from: Rating | None = None
    """A rating that is this or higher."""
    tags: Tags | None = None
    """Tags that the conversation has, all of them."""
    untagged: bool = False
    """Whether the conversation has no tags."""
    edited: bool = False
    """Whether only those are selected that were edited."""
    all: bool = False

    def to_selection(self) -> Selection:
        """Return the selection. Raises EmptySelection if it has neither a condition nor `all`."""
        return Selection(
            ids=tuple(dict.fromkeys(self.conversation_ids or ())),
            job_id=self.job_id,
            everything=self.all,
            search=self.search,
            persona=self.persona,
            created_before=self.created_before,
            status=self.status,
            rating_below=self.rating_below,
            rating_from=self.rating_from,
            tags=tuple(self.tags or ()),
            untagged=self.untagged,
            edited=self.edited,
        ).check()
