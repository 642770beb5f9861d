"""Fills and drops the index of conversations. Implements `library.conversation_index.IndexStore`.

`unindexed_conversations` has ranges of keys. A range is removed in the transaction that has indexed its conversations,
and only a range that this transaction has read before: a change that is committed meanwhile adds one of its own.
"""

from collections.abc import Sequence

import orjson

from backstay.library.conversation_index import IndexStatus
from backstay.storage.sql.database import Session, SqlStore

_MAX_RANGES = 500  # that one transaction reads; most have one conversation


class SqlConversationIndex(SqlStore):
    """The index of the conversations of a database."""

    async def owners(self) -> Sequence[str]:
        return await self._database.read(lambda session: [owner for (owner,) in session.rows("unindexed_owners")])

    async def status(self, owner: str) -> IndexStatus:
        def status(session: Session) -> IndexStatus:
            unindexed = int(session.value("count_unindexed", {"owner": owner}))
            entries = int(session.value("count_index_entries", {"owner": owner}))
            return IndexStatus(indexed=entries, unindexed=unindexed)

        return await self._database.read(status, owner=owner)

    async def fill(self, owner: str, *, limit: int) -> int:
        if not await self._database.read(lambda s: s.value("may_index", {"owner": owner}), owner=owner):
            return 0  # without a write transaction, which others would wait for
        return await self._database.write(lambda session: _fill(session, owner, limit))

    async def drop(self, owner: str) -> None:
        def drop(session: Session) -> None:
            session.lock("lock_index", {"owner": owner})
            session.execute("drop_index_entries", {"owner": owner})
            session.execute("drop_unindexed", {"owner": owner})
            session.execute("unindex_all", {"owner": owner})

        await self._database.write(drop)


def _fill(session: Session, owner: str, limit: int) -> int:
    # One at a time: of two that index a conversation, the one that has read it earlier could be the last to write.
    session.lock("lock_index", {"owner": owner})
    count = 0
    for first, last, *identity in session.rows("unindexed_ranges", {"owner": owner, "limit": _MAX_RANGES}):
        span = {"owner": owner, "first": first, "last": last}
        keys = [key for (key,) in session.rows("unindexed_keys", {**span, "limit": limit - count})]
        count += len(keys)
        is_finished = count < limit
        reached = last if is_finished else keys[-1]
        session.execute("drop_index_entries_between", {**span, "last": reached})
        if keys:
            session.execute("insert_index_entries", {"owner": owner, "keys": orjson.dumps(keys).decode()})
        session.execute("drop_unindexed_range", {**span, "identity": identity[0]})
        if not is_finished:
            if reached < last:
                session.execute("insert_unindexed", {**span, "first": reached + 1})
            break
    return count
