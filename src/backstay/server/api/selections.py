"""Selections of conversations in requests."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from backstay.coordination.cursors import Cursors
from backstay.library.lists import Position, Sort
from backstay.library.review import ReviewStatus
from backstay.library.selection import Selection
from backstay.limits import (
    MAX_ID,
    MAX_IDS,
    MAX_INTEGER,
    MAX_NAME,
    MAX_PAGE,
    MAX_PERSONA,
    MAX_RATING,
    MAX_SEARCH,
    MAX_TAG,
    MAX_TAGS,
    MIN_RATING,
)
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


_Part = Annotated[Text, Field(min_length=1, max_length=MAX_SEARCH)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]


def _check_cursor(cursor: str) -> str:
    if max(map(int, cursor.split("-"))) > MAX_INTEGER:
        raise ValueError("it is too large")
    return cursor


ListCursor = Annotated[
    str, Field(pattern=r"^[0-9]{1,19}(-[0-9]{1,19})?$", examples=["1200", "350-1200"]), AfterValidator(_check_cursor)
]


class Conditions(BaseModel):
    """The conditions of a selection; conversations meet each that is given."""

    job_id: Annotated[Id, Field(max_length=MAX_ID)] | None = None
    search: _Part | None = Field(None, description="Part of the topic, the persona or a turn; case-insensitive.")
    topic_contains: _Part | None = Field(None, description="Part of the topic; case-insensitive.")
    persona: Annotated[Text, Field(max_length=MAX_PERSONA)] | None = Field(None, description="The exact persona.")
    persona_contains: Annotated[Text, Field(min_length=1, max_length=MAX_PERSONA)] | None = Field(
        None, description="Part of the persona; case-insensitive."
    )
    model: Annotated[Text, Field(max_length=MAX_NAME)] | None = Field(
        None, description="The model that the metadata name under `writer`, or else under `model`."
    )
    min_turns: Count | None = None
    max_turns: Count | None = None
    min_characters: Count | None = Field(None, description="Least number of characters of the turns together.")
    max_characters: Count | None = None
    has_tools: bool | None = Field(None, description="Whether there are definitions of tools, or calls of them.")
    created_after: MomentIn | None = Field(None, description="The first moment that is selected.")
    created_before: MomentIn | None = Field(None, description="The first moment that is not selected any more.")
    import_id: Annotated[Id, Field(max_length=MAX_ID)] | None = Field(
        None, description="The `importId` of an import; `last` is the last one."
    )
    status: Annotated[ReviewStatus, Field(strict=False)] | None = Field(
        None, description="The status of the review; `unreviewed` also without a review."
    )
    rating_below: Annotated[int, Field(gt=MIN_RATING, le=MAX_RATING)] | None = None
    rating_from: Rating | None = Field(None, description="A rating that is this or higher.")
    unrated: bool = Field(False, description="Whether only conversations without a rating are selected.")
    reviewed_by: Annotated[Text, Field(max_length=MAX_NAME)] | None = Field(
        None, description="The exact name of who changed the review last."
    )
    note_contains: _Part | None = Field(None, description="Part of the note of the review; case-insensitive.")
    tags: Tags = Field([], description="Tags that the conversation has, all of them.")
    untagged: bool = Field(False, description="Whether only conversations without tags are selected.")
    edited: bool = Field(False, description="Whether only those are selected that were edited.")

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions as arguments of a selection."""
        conditions = {name: getattr(self, name) for name in Conditions.model_fields}
        return {**conditions, "tags": tuple(self.tags)}


class SelectionIn(Conditions, ApiInput):
    """Conversations that meet every condition. Without a condition, `all` must be true."""

    conversation_ids: Ids | None = None
    all: bool = False

    def to_selection(self) -> Selection:
        """Return the selection. Raises EmptySelection if it has neither a condition nor `all`."""
        ids = tuple(dict.fromkeys(self.conversation_ids or ()))
        return Selection(ids=ids, everything=self.all, **self.conditions).check()


class ConversationsQuery(Conditions):
    """The query of a list of conversations: conditions, an order and a page."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    sort: Sort = Sort.NEWEST
    cursor: ListCursor | None = Field(
        None,
        description="The `nextCursor` of the previous page; with `back`, the `previousCursor` of the next one.",
    )
    back: bool = Field(False, description="Whether the page ends at the cursor, instead of beginning after it.")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = Field(50, description="Maximum number of entries.")
    total: bool = Field(False, description="Whether to count the conversations of the list.")

    def to_selection(self) -> Selection | None:
        """Return the selection; None for all conversations."""
        selection = Selection(**self.conditions)
        return selection if selection.is_narrowed else None

    def to_position(self, cursors: Cursors) -> Position | None:
        """Return the position of the cursor; None if there is none. Raises SettingsError."""
        return position_of(self.cursor, self.sort, cursors)


def position_of(cursor: str | None, sort: Sort, cursors: Cursors) -> Position | None:
    """Return the position of a cursor; None if there is none. Raises SettingsError if it is none of such a list."""
    if cursor is None:
        return None
    return Position.from_text(cursor, sort, lambda key: cursors.decode(key) or 0)
