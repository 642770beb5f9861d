"""A change to the reviews of conversations: what it sets, and what it leaves as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType

from backstay.errors import SettingsError
from backstay.library.review import Review, ReviewStatus, check_note, check_rating, check_tag, check_tags, parse_status


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """What is set in the review of each selected conversation. A field that is not given stays as it is.

    Raises SettingsError if a value is not allowed, or nothing is set.
    """

    status: ReviewStatus | None = None
    rating: int | EllipsisType | None = ...
    """From 1 to 5; None removes the rating."""
    note: str | EllipsisType | None = ...
    """None or an empty text removes the note."""
    tags: Sequence[str] | None = None
    """All tags that the conversation has afterwards, before `add_tags` and `remove_tags` apply."""
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("tags", "add_tags", "remove_tags"):
            if isinstance(getattr(self, name), str):  # each of whose characters would be a tag
                raise SettingsError(f"{name} must be a list of texts", setting=name)
        if self.status is not None:
            object.__setattr__(self, "status", parse_status(self.status))
        if self.rating is not ...:
            check_rating(self.rating)
        if self.note is not ...:
            check_note(self.note)
        check_tags(dict.fromkeys((*(self.tags or ()), *self.add_tags)))
        for tag in self.remove_tags:
            check_tag(tag)
        if both := set(self.add_tags).intersection(self.remove_tags):
            raise SettingsError(f"The tag {min(both)!r} is both added and removed", setting="tags")
        if self.status is None and self.rating is ... and self.note is ... and not self._changes_tags:
            raise SettingsError("Nothing to change: give a status, a rating, tags or a note", setting="review")

    @property
    def _changes_tags(self) -> bool:
        return self.tags is not None or bool(self.add_tags or self.remove_tags)

    def apply(self, review: Review) -> Review:
        """Return the changed review, with the reviewer and the time of the one before. Idempotent.

        Raises SettingsError if it would have too many tags.
        """
        tags = {*(review.tags if self.tags is None else self.tags), *self.add_tags}.difference(self.remove_tags)
        if self._changes_tags:
            check_tags(tags)
        return replace(
            review,
            status=review.status if self.status is None else self.status,
            rating=review.rating if self.rating is ... else self.rating,
            note=review.note if self.note is ... else self.note or None,
            tags=tuple(sorted(tags)),
        )


@dataclass(frozen=True, slots=True)
class ReviewChangeResult:
    """The counts of a change to reviews."""

    changed: int
    unchanged: int
    """How many needed no change; they keep their reviewer and time."""

    @property
    def conversations(self) -> int:
        """How many were selected."""
        return self.changed + self.unchanged
