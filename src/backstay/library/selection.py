"""The selection of conversations to list, export, back up, restore or delete."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import chain
from typing import Any

from backstay.clock import to_text
from backstay.errors import EmptySelection, SettingsError
from backstay.library.canonical_json import is_encodable
from backstay.library.review import ReviewStatus, check_rating, check_tags, parse_status
from backstay.library.review_conditions import review_matcher
from backstay.library.traits import ConversationTraits
from backstay.limits import MIN_RATING
from backstay.remedy import Remedy

LAST_IMPORT = "last"
"""Selects what the last import stored."""


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
    created_after: datetime | None = None
    """The first moment of creation that is selected."""
    topic_contains: str | None = None
    persona_contains: str | None = None
    """Text that the topic, or the persona, contains; case-insensitive."""
    model: str | None = None
    """The model that the metadata name under `writer`, or else under `model`."""
    min_turns: int | None = None
    max_turns: int | None = None
    min_characters: int | None = None
    max_characters: int | None = None
    """Limits of the number of turns, and of the characters of their texts together; both are included."""
    has_tools: bool | None = None
    """Whether it has definitions of tools, or a turn that calls one."""
    import_id: str | None = None
    """The id of the import that stored it; `last` is the last import."""
    status: ReviewStatus | None = None
    """The status of the review; `unreviewed` also without a review."""
    rating_below: int | None = None
    """A rating that is lower than this; conversations without a rating have none."""
    rating_from: int | None = None
    """A rating that is this or higher."""
    unrated: bool = False
    """Whether the conversation has no rating."""
    reviewed_by: str | None = None
    """The exact name of who changed the review last."""
    note_contains: str | None = None
    """Text that the note contains; case-insensitive."""
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
        if self.unrated and (self.rating_below is not None or self.rating_from is not None):
            raise SettingsError(
                "Unrated conversations have no rating; select by rating, or unrated ones", setting="unrated"
            )
        others = (
            ("job", self.job_id),
            ("search", self.search),
            ("persona", self.persona),
            ("topic_contains", self.topic_contains),
            ("persona_contains", self.persona_contains),
            ("model", self.model),
            ("import", self.import_id),
            ("reviewed_by", self.reviewed_by),
            ("note_contains", self.note_contains),
        )
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
        return bool(self.ids) or self._has_any(_UNSET)

    @property
    def has_traits(self) -> bool:
        """Whether it has a condition on the traits of conversations, which are derived from their texts."""
        return self._has_any(_TRAITS)

    @property
    def has_curation_conditions(self) -> bool:
        """Whether any condition is about reviews or edits."""
        return self._has_any(_OF_CURATION)

    def _has_any(self, names: Iterable[str]) -> bool:
        return any(getattr(self, name) != _UNSET[name] for name in names)

    def matcher(self) -> Callable[[Mapping[str, Any]], bool]:
        """Return a function that checks, like the database, whether a conversation in the native shape is selected.

        Raises SettingsError for a selection by import, which only a library knows.
        """
        if self.import_id is not None:
            raise SettingsError(
                "An import selects conversations of the library, and none of a backup", setting="import"
            )
        ids = frozenset(self.ids)
        before, after = (to_text(at) if at is not None else None for at in (self.created_before, self.created_after))
        search, topic, persona, note = (
            text.casefold() if text is not None else None
            for text in (self.search, self.topic_contains, self.persona_contains, self.note_contains)
        )
        review_matches = review_matcher(
            status=self.status,
            rating_below=self.rating_below,
            rating_from=self.rating_from,
            unrated=self.unrated,
            reviewer=self.reviewed_by,
            note_matches=None if note is None else lambda text: contains(text, note),
            tags=self.tags,
            untagged=self.untagged,
        )

        def matches(document: Mapping[str, Any]) -> bool:
            return (
                (not ids or document["id"] in ids)
                and (self.job_id is None or document["job_id"] == self.job_id)
                and (self.persona is None or document["persona"] == self.persona)
                and (before is None or document["created_at"] < before)
                and (after is None or document["created_at"] >= after)
                and review_matches(document)
                and (not self.edited or _is_edited(document))
                and (topic is None or contains(document["topic"], topic))
                and (persona is None or contains(document["persona"], persona))
                and (not self.has_traits or self._has_selected(ConversationTraits.from_document(document)))
                and (search is None or _contains_text(document, search))
            )

        return matches

    def _has_selected(self, traits: ConversationTraits) -> bool:
        return (
            (self.min_turns is None or traits.turns >= self.min_turns)
            and (self.max_turns is None or traits.turns <= self.max_turns)
            and (self.min_characters is None or traits.characters >= self.min_characters)
            and (self.max_characters is None or traits.characters <= self.max_characters)
            and (self.model is None or traits.model == self.model)
            and (self.has_tools is None or traits.has_tools == self.has_tools)
        )


_UNSET = {field.name: field.default for field in fields(Selection) if field.name not in ("ids", "everything")}
_TRAITS = ("min_turns", "max_turns", "min_characters", "max_characters", "model", "has_tools")
_OF_CURATION = (
    "status", "rating_below", "rating_from", "unrated", "reviewed_by", "note_contains", "tags", "untagged", "edited",
)  # fmt: skip


def _is_edited(document: Mapping[str, Any]) -> bool:
    curation = document.get("curation")
    return isinstance(curation, Mapping) and bool(curation.get("versions"))


def _contains_text(document: Mapping[str, Any], needle: str) -> bool:
    texts = [document["topic"], document["persona"], *(turn["content"] for turn in document["conversation_turns"])]
    return any(contains(text, needle) for text in texts)


def contains(text: Any, needle: Any) -> bool:
    """Return whether a text contains `needle`, which is already case-folded."""
    return isinstance(text, str) and needle in text.casefold()
