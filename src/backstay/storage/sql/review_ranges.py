"""Finds the newest conversations whose reviews meet conditions, range by range of their keys.

A list goes from the newest to the oldest, and SQLite looks up a review three times faster if the keys ascend. So each
range is searched in ascending order. The first is small, because most lists are full after it; each one after it is
larger, so that a million conversations without a match take ten ranges at most.
"""

from backstay.library.selection import Selection
from backstay.storage.sql.database import Row, Session, Values

_FIRST_RANGE = 20_000
_GROWTH = 4


def find_newest_by_review(session: Session, values: Values, selection: Selection) -> list[Row]:
    """Return the rows of `conversation_summaries`, up to `limit` before the key `before`, newest first."""
    rows: list[Row] = []
    before = min(values["before"], int(session.value("last_conversation_key")) + 1)
    size = _FIRST_RANGE
    while before > 0 and len(rows) < values["limit"]:
        after = max(0, before - size)
        found = {**values, "after": after - 1, "before": before, "limit": values["limit"] - len(rows)}
        rows += session.rows("conversation_summaries_between", found, selection=selection)
        before, size = after, size * _GROWTH
    return rows
