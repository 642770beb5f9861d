"""The review of a conversation: what a curator thinks of it. It is stored apart, so a review is not an edit."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from backstay.clock import from_text, to_text
from backstay.errors import SettingsError, kind_of
from backstay.library.canonical_json import digest_of, is_encodable
from backstay.limits import MAX_NAME, MAX_NOTE, MAX_RATING, MAX_TAG, MAX_TAGS, MIN_RATING

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class ReviewStatus(StrEnum):
    UNREVIEWED = "unreviewed"
    KEPT = "kept"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one conversation. A conversation that no one has reviewed has none."""

    status: ReviewStatus = ReviewStatus.UNREVIEWED
    rating: int | None = None
    """From 1 to 5."""
    tags: tuple[str, ...] = ()
    """In alphabetical order."""
    note: str | None = None
    reviewer: str | None = None
    """Who changed it last."""
    reviewed_at: datetime | None = None
    """When it was changed last. None only before it is stored."""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, so that it is not stored."""
        return self.status is ReviewStatus.UNREVIEWED and (self.rating, self.tags, self.note) == (None, (), None)

    def digest(self) -> str:
        """Return the SHA-256 of what it says, as 64 hexadecimal digits. Who changed it, and when, are left out."""
        content = self.to_dict()
        del content["reviewer"], content["reviewed_at"]
        return digest_of(content)

    def check(self) -> Self:
        """Return itself. Raises SettingsError if it may not be stored; the message never quotes the note."""
        check_rating(self.rating)
        check_note(self.note)
        check_reviewer(self.reviewer)
        check_tags(self.tags)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible dict."""
        return {
            "note": self.note,
            "rating": self.rating,
            "reviewed_at": to_text(self.reviewed_at) if self.reviewed_at is not None else None,
            "reviewer": self.reviewer,
            "status": str(self.status),
            "tags": list(self.tags),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the review of a dict that `to_dict` returned. Raises KeyError, TypeError or ValueError for another.

        Whether it may be stored is up to `check`.
        """
        if not isinstance(values["tags"], list):
            raise TypeError
        return cls(
            status=ReviewStatus(values["status"]),
            rating=values["rating"],
            tags=tuple(sorted(set(values["tags"]))),
            note=values["note"],
            reviewer=values["reviewer"],
            reviewed_at=from_text(values["reviewed_at"]),
        )


def parse_status(value: str) -> ReviewStatus:
    """Return the status of this name. Raises SettingsError."""
    try:
        return ReviewStatus(value)
    except ValueError as error:
        raise SettingsError(f"The status must be one of {', '.join(ReviewStatus)}", setting="status") from error


def check_rating(rating: object, *, name: str = "rating", least: int = MIN_RATING) -> None:
    """Raise SettingsError unless a rating is a whole number in its range, or None."""
    if rating is not None and (type(rating) is not int or not least <= rating <= MAX_RATING):
        raise SettingsError(f"The {name} must be a whole number from {least} to {MAX_RATING}", setting=name)


def check_tags(tags: Iterable[object]) -> None:
    """Raise SettingsError unless these may be the tags of one conversation."""
    tags = tuple(tags)
    for tag in tags:
        check_tag(tag)
    if len(tags) > MAX_TAGS:
        raise too_many_tags_error(len(tags))


def too_many_tags_error(count: int) -> SettingsError:
    """Return the error for one conversation with this many tags."""
    return SettingsError(f"A conversation may have at most {MAX_TAGS} tags, not {count}", setting="tags")


def check_tag(tag: object) -> None:
    """Raise SettingsError unless this may be a tag."""
    if not isinstance(tag, str):
        raise SettingsError(f"A tag must be text, not {kind_of(tag)}", setting="tags")
    fault = _fault_of_line(tag, MAX_TAG) or ("has a comma, which separates two tags" if "," in tag else None)
    if fault is not None:
        raise SettingsError(f"The tag {tag[:MAX_TAG]!r} {fault}", setting="tags")


def split_tags(text: str) -> list[str]:
    """Return the tags of a form's text, which commas and line breaks separate."""
    return [tag.strip() for tag in text.replace("\n", ",").split(",") if tag.strip()]


def check_note(note: object) -> None:
    """Raise SettingsError unless this may be a note, or is None."""
    if note is None:
        return
    if not isinstance(note, str):
        raise SettingsError(f"The note must be text, not {kind_of(note)}", setting="note")
    if (fault := _fault_of_text(note, MAX_NOTE)) is not None:
        raise SettingsError(f"The note {fault}", setting="note")


def check_reviewer(reviewer: object) -> None:
    """Raise SettingsError unless this may be the name of a reviewer, or is None."""
    if reviewer is None:
        return
    if not isinstance(reviewer, str):
        raise SettingsError(f"The reviewer must be text, not {kind_of(reviewer)}", setting="reviewer")
    if (fault := _fault_of_line(reviewer, MAX_NAME)) is not None:
        raise SettingsError(f"The name of the reviewer {fault}", setting="reviewer")


def _fault_of_line(text: str, longest: int) -> str | None:
    """Return why a text may not be a tag or a name; None if it may."""
    if not text.strip():
        return "is empty"
    if _CONTROL.search(text):
        return "has a line break or a control character; remove it"
    if text != text.strip():
        return "begins or ends with a space; remove it"
    return _fault_of_text(text, longest)


def _fault_of_text(text: str, longest: int) -> str | None:
    if len(text) > longest:
        return f"has {len(text):,} characters, and {longest:,} is the maximum; shorten it"
    if "\x00" in text:
        return "contains a NUL character; remove it"
    return None if is_encodable(text) else "is not valid Unicode (half of a surrogate pair)"
