"""The review of a conversation: what a curator thinks of it. It is stored apart, so a review is not an edit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from backstay.clock import from_text, to_text
from backstay.library.conversation import text_fault


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
        """Return the review of a dict that `to_dict` returned. Raises KeyError, TypeError or ValueError for another."""
        rating, tags = values["rating"], values["tags"]
        texts = [text for text in (*tags, values["note"], values["reviewer"]) if text is not None]
        if not isinstance(tags, list) or any(text_fault(text) is not None for text in texts):
            raise ValueError
        if rating is not None and (type(rating) is not int or not 1 <= rating <= 5):
            raise ValueError
        return cls(
            status=ReviewStatus(values["status"]),
            rating=rating,
            tags=tuple(sorted(set(tags))),
            note=values["note"],
            reviewer=values["reviewer"],
            reviewed_at=from_text(values["reviewed_at"]),
        )
