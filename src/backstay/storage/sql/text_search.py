"""Searches by the text index, which narrows down the conversations that may contain a text.

Each of them is still checked, by the same condition as without the index. On SQLite the index knows which sequences of
three characters a conversation has, on PostgreSQL it is one of pg_trgm.
"""

from dataclasses import dataclass, fields
from typing import Self

from backstay.library.selection import Selection
from backstay.storage.sql.database import MAX_KEY, Session, Value, Values

MIN_CHARACTERS = 3
"""The length of the shortest text that the index can look up."""
_SAMPLE = 2_000  # the newest keys, by which it is judged how common a text is
_MAX_SEQUENCES = 64  # that are looked up; a longer text is unlikely to be narrowed down further by more


@dataclass(frozen=True, slots=True)
class IndexedSearch(Selection):
    """A selection whose `search` is looked up in the text index."""

    @classmethod
    def from_selection(cls, selection: Selection) -> Self:
        return cls(**{field.name: getattr(selection, field.name) for field in fields(selection)})


def by_text_index(session: Session, values: Values, selection: Selection, *, least: float) -> Selection:
    """Return the selection as one that uses the text index, if that is the faster way to search.

    Where a large part of the conversations contains the text, a list or a count is full sooner if they are scanned in
    their order. Which part does is judged by the newest ones.

    Args:
        session: The transaction that is to search.
        values: The values of the selection's conditions.
        selection: What is to be searched.
        least: The smallest part, between 0 and 1, for which scanning is faster.
    """
    if selection.search is None or len(fold(selection.search)) < MIN_CHARACTERS or not session.value("has_text_index"):
        return selection
    after = max(int(session.value("last_conversation_key")) - _SAMPLE, 0)
    sample = {**values, "after": after, "before": MAX_KEY, "limit": _SAMPLE}
    matches = int(session.value("count_conversations_up_to", sample, selection=Selection(search=selection.search)))
    return selection if matches >= least * _SAMPLE else IndexedSearch.from_selection(selection)


def text_values(selection: Selection, *, after: int = -1, before: int = MAX_KEY) -> dict[str, Value]:
    """Return the values that look up the search of a selection among the conversations with keys in a range."""
    folded = fold(selection.search or "")
    return {
        "text_terms": _terms(folded),
        "text_pattern": _pattern(folded),
        "text_after": after,
        "text_before": before,
    }


def fold(text: str) -> str:
    """Return a text as the index has it: case-folded, and without NULs, where SQLite's tokenizers end."""
    return text.casefold().replace("\0", " ")


def _terms(folded: str) -> str:
    """Return an FTS5 query for the conversations that have all sequences of three characters of a text."""
    found = dict.fromkeys(folded[start : start + MIN_CHARACTERS] for start in range(len(folded) - MIN_CHARACTERS + 1))
    sequences = list(found)[:: len(found) // _MAX_SEQUENCES + 1]
    return " AND ".join('"' + sequence.replace('"', '""') + '"' for sequence in sequences)


def _pattern(folded: str) -> str:
    """Return a LIKE pattern for the texts that contain a text."""
    escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
