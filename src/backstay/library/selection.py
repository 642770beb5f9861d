"""Which conversations: one object, said once, used by whatever reads, exports, backs up or deletes many of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backstay.clock import to_text
from backstay.errors import EmptySelection, SettingsError
from backstay.library.canonical import is_encodable


@dataclass(frozen=True, slots=True)
class Selection:
    """Conversations of one owner that meet every condition given; `everything` must be said to mean all."""

    ids: tuple[str, ...] = ()
    job_id: str | None = None
    everything: bool = False
    search: str | None = None
    """Part of the topic, the persona or a turn, upper and lower case alike."""
    persona: str | None = None
    """The whole persona, as it is written."""
    created_before: datetime | None = None

    def __post_init__(self) -> None:
        for name, text in (
            *(("id", one) for one in self.ids),
            ("job", self.job_id),
            ("search", self.search),
            ("persona", self.persona),
        ):
            if text is not None and not is_encodable(text):
                raise SettingsError(
                    f"The {name} {text!r} of a selection is not valid Unicode, so no conversation has it", setting=name
                )

    def check(self) -> "Selection":
        """Return itself.

        Raises:
            EmptySelection: no condition was given, and "all" was not said.
        """
        if not (self.is_narrowed or self.everything):
            raise EmptySelection("Nothing is selected; give ids, a job or another condition, or ask for all")
        return self

    @property
    def is_narrowed(self) -> bool:
        """Whether any condition is given."""
        conditions = (self.job_id, self.search, self.persona, self.created_before)
        return bool(self.ids) or any(condition is not None for condition in conditions)

    def matcher(self) -> Callable[[Mapping[str, Any]], bool]:
        """Return what says whether a conversation in its native shape is selected, as the database would."""
        ids = frozenset(self.ids)
        before = to_text(self.created_before) if self.created_before is not None else None
        needle = self.search.casefold() if self.search is not None else None

        def holds(document: Mapping[str, Any]) -> bool:
            return (
                (not ids or document["id"] in ids)
                and (self.job_id is None or document["job_id"] == self.job_id)
                and (self.persona is None or document["persona"] == self.persona)
                and (before is None or document["created_at"] < before)
                and (needle is None or _is_found(document, needle))
            )

        return holds


def _is_found(document: Mapping[str, Any], needle: str) -> bool:
    texts = [document["topic"], document["persona"], *(turn["content"] for turn in document["conversation_turns"])]
    return any(contains(text, needle) for text in texts)


def contains(text: Any, needle: Any) -> bool:
    """Whether `needle`, already in folded case, is part of a text."""
    return isinstance(text, str) and needle in text.casefold()
