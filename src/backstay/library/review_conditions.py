"""The check whether a review meets the conditions of a selection, for reviews that are not in the database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backstay.library.review import ReviewStatus


def review_matcher(
    *,
    status: ReviewStatus | None,
    rating_below: int | None,
    rating_from: int | None,
    unrated: bool,
    reviewer: str | None,
    note_matches: Callable[[Any], bool] | None,
    tags: Sequence[str],
    untagged: bool,
) -> Callable[[Mapping[str, Any]], bool]:
    """Return a function that checks the review of a conversation of a backup, in the native shape.

    The review is at `curation.review` of the conversation. One without it is unreviewed.
    """

    def matches(document: Mapping[str, Any]) -> bool:
        review = (document.get("curation") or {}).get("review") or {}
        rating, its_tags = review.get("rating"), review.get("tags") or ()
        return (
            (status is None or (review.get("status") or ReviewStatus.UNREVIEWED) == status)
            and (rating_below is None or (rating is not None and rating < rating_below))
            and (rating_from is None or (rating is not None and rating >= rating_from))
            and not (unrated and rating is not None)
            and (reviewer is None or review.get("reviewer") == reviewer)
            and (note_matches is None or note_matches(review.get("note")))
            and all(tag in its_tags for tag in tags)
            and not (untagged and its_tags)
        )

    return matches
