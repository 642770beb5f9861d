"""Reads and imports conversations. Implements `library.store.ConversationStore`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from backstay.clock import from_text
from backstay.coordination.expiring_value import ExpiringValue
from backstay.errors import ConversationNotFound, OutcomeRefused
from backstay.library.batches import MAX_BATCH_BYTES
from backstay.library.choices import ImportConflictPolicy
from backstay.library.conversation import Conversation
from backstay.library.id_text import quoted_id
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.imports.source import ImportSource
from backstay.library.record import metadata_as_dict
from backstay.library.review import Review
from backstay.library.selection import Selection
from backstay.library.store import ConversationPage
from backstay.library.turn import Turn, bare_turn
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.expiring_values import to_values
from backstay.storage.sql.import_session import ImportSession
from backstay.storage.sql.regenerations import history_of
from backstay.storage.sql.reviews import find_reviews
from backstay.storage.sql.selection_conditions import selection_values
from backstay.storage.sql.times import now_micros


class SqlConversations(SqlStore):
    """The conversations of a database."""

    async def conversation(self, owner: str, conversation_id: str) -> Conversation:
        def conversation(session: Session) -> Conversation:
            return find_conversation(session, owner, conversation_id)

        return await self._database.read(conversation, owner=owner)

    async def page(self, owner: str, selection: Selection, *, after: int, limit: int) -> ConversationPage:
        values = {**selection_values(owner, selection), "after": after, "limit": limit}

        def page(session: Session) -> ConversationPage:
            rows = session.rows("conversations_after", values, selection=selection)
            conversations, size = _with_turns(session, owner, rows)
            is_last = len(conversations) == len(rows) < limit
            return ConversationPage(conversations, None if is_last else rows[len(conversations) - 1][0], size)

        return await self._database.read(page, owner=owner)

    async def count(self, owner: str, selection: Selection) -> int:
        def count(session: Session) -> int:
            return int(session.value("count_conversations", selection_values(owner, selection), selection=selection))

        return await self._database.read(count, owner=owner)

    async def may_have_turn_fields(self, owner: str, selection: Selection) -> bool:
        def may_have_turn_fields(session: Session) -> bool:
            values = selection_values(owner, selection)
            return bool(session.value("may_have_turn_fields", values, selection=selection))

        return await self._database.read(may_have_turn_fields, owner=owner)

    async def missing(self, owner: str, ids: Sequence[str], *, limit: int) -> Sequence[str]:
        rows = [(conversation_id,) for conversation_id in ids]
        missing = await self._database.read(lambda s: s.select_many("missing_conversations", rows, owner), owner=owner)
        return [conversation_id for (conversation_id,) in missing[:limit]]

    async def import_conversations(
        self,
        owner: str,
        source: ImportSource,
        on_conflict: ImportConflictPolicy,
        on_progress: Callable[[int], None],
        receipt: Callable[[ImportResult], ExpiringValue | None] | None = None,
        *,
        strict: bool = False,
    ) -> ImportResult:
        now = now_micros(self._clock)
        latest: list[ImportSession] = []

        def import_conversations(session: Session, *, one_by_one: bool = False) -> ImportResult:
            latest[:] = [ImportSession(session, owner, source, on_conflict, now, strict=strict)]
            result = latest[0].run(on_progress if not one_by_one else lambda _: None, one_by_one=one_by_one)
            value = receipt(result) if receipt is not None else None
            if value is not None:
                session.execute("put_value", to_values(value, now_micros(self._clock)))
            return result

        with suppress(OutcomeRefused):
            return await self._database.write(import_conversations)
        try:
            # Import again, row by row, to find the one that is refused; this is rolled back too.
            return await self._database.write(partial(import_conversations, one_by_one=True))
        except OutcomeRefused as error:
            raise latest[0].refused_error(error) from error


def find_conversation(session: Session, owner: str, conversation_id: str) -> Conversation:
    """Return a conversation with its turns. Raises ConversationNotFound."""
    rows = session.rows("conversation", {"owner": owner, "id": conversation_id})
    if not rows:
        raise conversation_not_found_error(session, owner, conversation_id)
    return _with_turns(session, owner, rows)[0][0]


def conversation_not_found_error(session: Session, owner: str, conversation_id: str) -> ConversationNotFound:
    """Return the error for an id that no conversation has, with the one that replaced it if it was made again."""
    message = f"Conversation {quoted_id(conversation_id)} not found"
    replaced = history_of(session, owner, conversation_id).replaced_by
    if replaced is None or replaced.backup_id is None:
        return ConversationNotFound(message, conversation_id=conversation_id)
    return ConversationNotFound(
        f"{message}: it was made again as {quoted_id(replaced.new_id)}, and {replaced.backup_id} holds it",
        remedy=None,
        conversation_id=conversation_id,
        replaced_by=replaced.new_id,
        backup_id=replaced.backup_id,
    )


def _with_turns(session: Session, owner: str, rows: Sequence[Row]) -> tuple[list[Conversation], int]:
    """Return the conversations of the first of these rows, at least one, and their size; see `ConversationPage`."""
    turns: dict[int, list[Turn]] = {row[0]: [] for row in rows}
    size = sum(len(row[4] or "") + len(row[5] or "") for row in rows)  # content and metadata
    last = None
    for key, turn_id, role, content, metadata in session.turns(owner, list(turns)):
        if size > MAX_BATCH_BYTES and last is not None and key != last:
            break
        last = key
        size += len(content)
        if metadata is None:
            turns[key].append(bare_turn(role, content, turn_id))
        else:
            size += len(metadata)
            turns[key].append(Turn(role, content, id=turn_id, metadata=metadata_as_dict(metadata) or None))
    # What follows the last one with turns may have turns that were not read.
    read = rows if last is None else [row for row in rows if row[0] <= last]
    reviews = find_reviews(session, owner, [row[0] for row in read])
    return [_conversation(row, turns[row[0]], reviews.get(row[0])) for row in read], size


def _conversation(row: Row, turns: list[Turn], review: Review | None) -> Conversation:
    _, conversation_id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at = row
    return Conversation(
        turns,
        id=conversation_id,
        topic=topic,
        persona=persona,
        content=content,
        metadata=metadata_as_dict(metadata),
        job_id=job_id,
        item_id=item_id,
        created_at=from_text(created_at),
        updated_at=from_text(updated_at),
        review=review,
    )
