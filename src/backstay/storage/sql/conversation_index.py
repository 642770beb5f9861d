"""Fills and drops the index of conversations. Implements `library.conversation_index.IndexStore`.

`unindexed_conversations` has ranges of keys. A range is removed in the transaction that has indexed its conversations,
and only a range that this transaction has read before: a change that is committed meanwhile adds one of its own.

The text index has the texts of those entries that say so. A change of a conversation deletes its entry, or on
PostgreSQL outdates it, and so the text counts as missing until it is indexed again.
"""

from collections.abc import Sequence

import orjson

from backstay.errors import SettingsError
from backstay.library.conversation_index import IndexStatus
from backstay.storage.sql.database import Session, SqlStore

_MAX_RANGES = 500  # that one transaction reads; most have one conversation
_MAX_BATCH_CHARACTERS = 2_000_000  # of texts that one transaction indexes, but for the first conversation
_MAX_TEXT_CHARACTERS = 50_000_000  # a longer conversation is scanned by each search
_PURGE_PAGES = 500  # that one transaction writes: some 15 ms


class SqlConversationIndex(SqlStore):
    """The index of the conversations of a database."""

    async def owners(self) -> Sequence[str]:
        def owners(session: Session) -> Sequence[str]:
            found = {owner for (owner,) in session.rows("unindexed_owners")}
            if session.value("has_text_index"):
                lacking = session.rows("owners_without_texts", {"max_characters": _MAX_TEXT_CHARACTERS})
                found |= {owner for (owner,) in lacking}
            return sorted(found)

        return await self._database.read(owners)

    async def status(self, owner: str) -> IndexStatus:
        def status(session: Session) -> IndexStatus:
            has_texts = session.value("has_text_index")
            return IndexStatus(
                indexed=int(session.value("count_index_entries", {"owner": owner})),
                unindexed=int(session.value("count_unindexed", {"owner": owner})),
                texts=int(session.value("count_texts", {"owner": owner})) if has_texts else None,
            )

        return await self._database.read(status, owner=owner)

    async def fill(self, owner: str, *, limit: int) -> int:
        def missing(session: Session) -> tuple[bool, bool]:
            values = {"owner": owner, "max_characters": _MAX_TEXT_CHARACTERS, "limit": 1}
            return (
                bool(session.value("may_index", {"owner": owner})),
                bool(session.value("has_text_index") and session.rows("entries_without_text", values)),
            )

        # Without a write transaction, which others would wait for, if there is nothing to index.
        lacks_entries, lacks_texts = await self._database.read(missing, owner=owner)
        count = await self._database.write(lambda session: _fill(session, owner, limit)) if lacks_entries else 0
        if not count and lacks_texts:
            count = await self._database.write(lambda session: _fill_texts(session, owner, limit))
        return count

    async def drop(self, owner: str) -> None:
        def drop(session: Session) -> None:
            session.lock("lock_index", {"owner": owner})
            session.execute("drop_index_entries", {"owner": owner})
            session.execute("drop_unindexed", {"owner": owner})
            session.execute("unindex_all", {"owner": owner})

        await self._database.write(drop)

    async def create_text_index(self) -> None:
        def create(session: Session) -> None:
            if session.value("has_text_index"):
                return
            if obstacle := session.value("text_index_obstacle"):
                raise SettingsError(f"Texts cannot be indexed: {obstacle}", setting="text")
            session.execute("create_text_index", {})

        await self._database.write(create)

    async def drop_text_index(self) -> None:
        def drop(session: Session) -> None:
            if session.value("has_text_index"):
                session.execute("drop_text_index", {})

        await self._database.write(drop)

    async def has_removed_texts(self) -> bool:
        def has_removed(session: Session) -> bool:
            return bool(session.value("has_text_index")) and any(*session.rows("removed_texts"))

        return await self._database.read(has_removed)

    async def purge(self, *, is_first: bool) -> bool:
        def purge(session: Session) -> bool:
            if not session.value("has_text_index") or not any(*session.rows("removed_texts")):
                return False
            if is_first:
                _remove_texts(session)
                session.execute("begin_purge", {})
            before = session.value("count_changes")
            session.execute("purge_texts", {"pages": -_PURGE_PAGES if is_first else _PURGE_PAGES})
            # The statement itself counts as one.
            is_finished: bool = session.value("count_changes") - before <= 1
            if is_finished:
                session.execute("end_purge", {})
            return not is_finished

        return await self._database.write(purge)


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


def _fill_texts(session: Session, owner: str, limit: int) -> int:
    session.lock("lock_index", {"owner": owner})
    if not session.value("has_text_index"):
        return 0
    keys: list[int] = []
    size = 0
    values = {"owner": owner, "max_characters": _MAX_TEXT_CHARACTERS, "limit": limit}
    for key, characters in session.rows("entries_without_text", values):
        size += characters
        if keys and size > _MAX_BATCH_CHARACTERS:
            break
        keys.append(key)
    if keys:
        if any(*session.rows("removed_texts")):
            # First, as these texts may be former ones of the same conversations.
            _remove_texts(session)
        chosen = {"owner": owner, "keys": orjson.dumps(keys).decode()}
        session.execute("index_texts", chosen)
        session.execute("mark_texts", chosen)
    return len(keys)


def _remove_texts(session: Session) -> None:
    session.execute("remove_texts", {})
    session.execute("mark_removed_texts", {})
