"""Splits lists of conversations whose reviews, edits or texts meet conditions into ranges of their keys.

In a range, conversations with a status, a rating or a tag are found by the indexes of the reviews, and those that may
contain a text by the text index, whether few or nearly all do. The first range is small, because most lists are full
after it. Each one after it is larger, so that a million conversations without a match take four.
"""

from collections.abc import Iterator

from backstay.library.selection import Selection
from backstay.storage.sql.database import MAX_KEY, Session
from backstay.storage.sql.text_search import IndexedSearch

_FIRST_RANGE = 20_000
_GROWTH = 4


def key_ranges(
    session: Session, selection: Selection, *, after: int = -1, before: int = MAX_KEY, descending: bool
) -> Iterator[tuple[int, int]]:
    """Yield the ranges in which to look for selected conversations, each as the key before it and the one behind it.

    A selection without conditions on reviews or edits, or a search by the text index, has one.
    """
    if not (selection.has_curation_conditions or isinstance(selection, IndexedSearch)):
        yield after, before
        return
    after, before = max(after, 0), min(before, int(session.value("last_conversation_key")) + 1)
    size = _FIRST_RANGE
    while before - after > 1:
        if descending:
            start = max(after, before - size - 1)
            yield start, before
            before = start + 1
        else:
            end = min(before, after + size + 1)
            yield after, end
            after = end - 1
        size *= _GROWTH
