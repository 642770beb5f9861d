"""The selection of conversations to list, export, back up, restore or delete."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from backstay.clock import to_text
from backstay.errors import EmptySelection, SettingsError
from backstay.library.canonical_json import is_encodable
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

    def __post_init__(self) -> None:
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
        return bool(self.ids) or any(condition is not None for condition in conditions)

    def matcher(self) -> Callable[[Mapping[str, Any]], bool]:
        """Return a function that checks, like the database, whether a conversation in the native shape is selected."""
        ids = frozenset(self.ids)
        before = to_text(self.created_before) if self.created_before is not None else None
        needle = self.search.casefold() if self.search is not None else None

        def matches(document: Mapping[str, Any]) -> bool:
            return (
                (not ids or document["id"] in ids)
                and (self.job_id is None or document["job_id"] == self.job_id)
                and (self.persona is None or document["persona"] == self.persona)
                and (before is None or document["created_at"] < before)
                and (needle is None or _contains_text(document, needle))
            )

        return matches


def _contains_text(document: Mapping[str, Any], needle: str) -> bool:
    texts = [document["topic"], document["persona"], *(turn["content"] for turn in document["conversation_turns"])]
    return any(contains(text, needle) for text in texts)


def contains(text: Any, needle: Any) -> bool:
    """Return whether a text contains `needle`, which is already case-folded."""
    return isinstance(text, str) and needle in text.casefold()
