"""Lists the newest conversations whose reviews meet conditions, range by range of their keys.

In a range, conversations with a status, a rating or a tag are found by the indexes of the reviews, whether few or
nearly all have it. The first range is small, because most lists are full after it. Each one after it is larger, so that
a million conversations without a match take four.
"""

from backstay.library.selection import Selection
from backstay.storage.sql.database import Row, Session, Values

_FIRST_RANGE = 20_000
_GROWTH = 4


def find_newest(session: Session, values: Values, selection: Selection) -> list[Row]:
    """Return the rows of `conversation_summaries`, up to `limit` before the key `before`, newest first."""
    if not selection.has_curation_conditions:
        return session.rows("conversation_summaries", {**values, "after": 0}, selection=selection)
    rows: list[Row] = []
    before = min(values["before"], int(session.value("last_conversation_key")) + 1)
    size = _FIRST_RANGE
    while before > 1 and len(rows) < values["limit"]:
        after = max(0, before - size - 1)
        found = {**values, "after": after, "before": before, "limit": values["limit"] - len(rows)}
        rows += session.rows("conversation_summaries", found, selection=selection)
        before, size = after + 1, size * _GROWTH
    return rows
