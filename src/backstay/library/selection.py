"""The selection of conversations to list, export, back up, restore or delete."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from backstay.clock import to_text
from backstay.errors import EmptySelection, SettingsError
from backstay.library.canonical_json import is_encodable
from backstay.library.review import ReviewStatus, check_rating, check_tags, parse_status
from backstay.library.review_conditions import review_matcher
from backstay.limits import MIN_RATING
from backstay.remedy import Remedy


@dataclass(frozen=True, slots=True)
class Selection:
    """The conversations of one owner that meet all conditions. To select all, set `everything`."""

    ids: tuple[str, ...] = ()
    job_id: str | None = None
    everything: bool = False
    search: str | None = None
    """Text that the topic, the persona or a turn contains; case-insensitive."""
    persona: str | None = None
    """The exact persona."""
    created_before: datetime | None = None
    status: ReviewStatus | None = None
    """The status of the review; `unreviewed` also without a review."""
    rating_below: int | None = None
    """A rating that is lower than this; conversations without a rating have none."""
    rating_from: int | None = None
    """A rating that is this or higher."""
    tags: tuple[str, ...] = ()
    """Tags that the conversation has, all of them."""
    untagged: bool = False
    """Whether the conversation has no tags."""
    edited: bool = False
    """Whether it was edited: it has a version before the current one."""

    def __post_init__(self) -> None:
        if self.status is not None:
            object.__setattr__(self, "status", parse_status(self.status))
        check_rating(self.rating_below, name="rating_below", least=MIN_RATING + 1)
        check_rating(self.rating_from, name="rating_from")
        check_tags(self.tags)
        if self.tags and self.untagged:
            raise SettingsError("Untagged conversations have no tags; select by tags, or untagged ones", setting="tags")
        others = (("job", self.job_id), ("search", self.search), ("persona", self.persona))
        # Chained, because there may be a million ids.
        for name, text in chain((("id", conversation_id) for conversation_id in self.ids), others):
            if text is not None and not is_encodable(text):
                raise SettingsError(
                    f"The {name} {text!r} of a selection is not valid Unicode, so no conversation has it", setting=name
                )

    def check(self) -> "Selection":
        """Return itself.

        Raises:
            EmptySelection: it has no condition, and `everything` is not set.
        """
        if not (self.is_narrowed or self.everything):
            raise EmptySelection("Nothing is selected", remedy=Remedy.SELECT_CONVERSATIONS)
        return self

    def split(self, size: int) -> "Iterator[Selection]":
        """Yield selections of up to `size` of its ids each, which together select the same; itself without ids."""
        if not self.ids:
            yield self
        for start in range(0, len(self.ids), size):
            yield replace(self, ids=self.ids[start : start + size])

    @property
    def is_narrowed(self) -> bool:
        """Whether it has any condition."""
        conditions = (self.job_id, self.search, self.persona, self.created_before)
        has_condition = any(condition is not None for condition in conditions)
        return bool(self.ids) or has_condition or self.has_curation_conditions

    @property
    def has_curation_conditions(self) -> bool:
        """Whether any condition is about reviews or edits."""
        conditions = (self.status, self.rating_below, self.rating_from)
        is_reviewed = any(condition is not None for condition in conditions) or bool(self.tags) or self.untagged
        return is_reviewed or self.edited

    def matcher(self) -> Callable[[Mapping[str, Any]], bool]:
        """Return a function that checks, like the database, whether a conversation in the native shape is selected."""
        ids = frozenset(self.ids)
        before = to_text(self.created_before) if self.created_before is not None else None
        needle = self.search.casefold() if self.search is not None else None
        review_matches = review_matcher(
            status=self.status,
            rating_below=self.rating_below,
            rating_from=self.rating_from,
            tags=self.tags,
            untagged=self.untagged,
        )

        def matches(document: Mapping[str, Any]) -> bool:
            return (
                (not ids or document["id"] in ids)
                and (self.job_id is None or document["job_id"] == self.job_id)
                and (self.persona is None or document["persona"] == self.persona)
                and (before is None or document["created_at"] < before)
                and review_matches(document)
                and (needle is None or _contains_text(document, needle))
                and (not self.edited or _is_edited(document))
            )

        return matches


def _is_edited(document: Mapping[str, Any]) -> bool:
    curation = document.get("curation")
    return isinstance(curation, Mapping) and bool(curation.get("versions"))


def _contains_text(document: Mapping[str, Any], needle: str) -> bool:
    texts = [document["topic"], document["persona"], *(turn["content"] for turn in document["conversation_turns"])]
    return any(contains(text, needle) for text in texts)


def contains(text: Any, needle: Any) -> bool:
    """Return whether a text contains `needle`, which is already case-folded."""
    return isinstance(text, str) and needle in text.casefold()
