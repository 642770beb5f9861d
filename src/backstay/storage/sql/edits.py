"""Edits conversations and keeps their versions. Implements `library.edits.EditStore`."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import orjson

from backstay.clock import to_text
from backstay.errors import (
    AdoptedTableNotWritable,
    ConversationChanged,
    EditBlocked,
    OutcomeRefused,
    VersionNotFound,
)
from backstay.library.conversation import Conversation
from backstay.library.edit_plan import Edit, EditPlan, content_key, conversation_of, is_same, plan_turns
from backstay.library.edits import ReplacedVersion, VersionPair
from backstay.library.id_text import quoted_id
from backstay.library.record import TURNS, Document, metadata_from_line, value_from_line
from backstay.library.turn_matching import is_same_content
from backstay.limits import MAX_VERSION_BYTES
from backstay.storage.sql.cascade.foreign_key_rows import related_rows
from backstay.storage.sql.cascade.related_rows import RelatedRows
from backstay.storage.sql.conversation_records import StoredColumns, find_by_keys
from backstay.storage.sql.conversations import conversation_not_found_error, find_conversation
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.times import from_micros, now_micros


class SqlEdits(SqlStore):
    """The edits of a database's conversations."""

    async def edit(
        self, owner: str, conversation_id: str, edit: Edit, *, expected: str | None, editor: str | None
    ) -> Conversation:
        return await self._write(owner, conversation_id, lambda _: edit, expected=expected, editor=editor)

    async def revert(
        self, owner: str, conversation_id: str, *, to: int | None, expected: str | None, editor: str | None
    ) -> Conversation:
        def edit(session: Session) -> Edit:
            current = len(_versions(session, owner, conversation_id)) + 1
            number = _before(conversation_id, current) if to is None else to
            if number == current:
                return Edit()
            document = _version(session, owner, conversation_id, number)
            conversation = conversation_of(document)
            return Edit(
                turns=conversation.turns,
                topic=conversation.topic,
                persona=conversation.persona,
                rows=document[TURNS],
            )

        return await self._write(owner, conversation_id, edit, expected=expected, editor=editor)

    async def versions(self, owner: str, conversation_id: str) -> Sequence[ReplacedVersion]:
        return await self._database.read(lambda s: _versions(s, owner, conversation_id), owner=owner)

    async def repeated_versions(self, owner: str, conversation_id: str) -> Mapping[int, int]:
        def repeated(session: Session) -> Mapping[int, int]:
            current = len(_versions(session, owner, conversation_id)) + 1
            firsts: dict[Hashable, int] = {}
            repeats: dict[int, int] = {}
            for number in range(1, current + 1):
                content = content_key(_content(session, owner, conversation_id, number, current))
                if (first := firsts.setdefault(content, number)) != number:
                    repeats[number] = first
            return repeats

        return await self._database.read(repeated, owner=owner)

    async def version(self, owner: str, conversation_id: str, number: int) -> Conversation:
        def version(session: Session) -> Conversation:
            current = len(_versions(session, owner, conversation_id)) + 1
            return _content(session, owner, conversation_id, number, current)

        return await self._database.read(version, owner=owner)

    async def pair(self, owner: str, conversation_id: str, *, before: int | None, after: int | None) -> VersionPair:
        def pair(session: Session) -> VersionPair:
            current = len(_versions(session, owner, conversation_id)) + 1
            last = current if after is None else after
            first = _before(conversation_id, last) if before is None else before
            contents = (_content(session, owner, conversation_id, number, current) for number in (first, last))
            return VersionPair(first, last, *contents)

        return await self._database.read(pair, owner=owner)

    async def first_versions(self, owner: str, ids: Sequence[str]) -> Mapping[str, Conversation]:
        rows: list[Row] = [(conversation_id,) for conversation_id in ids]
        lines = await self._database.read(lambda s: s.select_many("first_versions", rows, owner), owner=owner)
        return {conversation_id: conversation_of(orjson.loads(line)) for conversation_id, line in lines}

    async def _write(
        self,
        owner: str,
        conversation_id: str,
        edit: Callable[[Session], Edit],
        *,
        expected: str | None,
        editor: str | None,
    ) -> Conversation:
        def write(session: Session) -> Conversation:
            work = EditSession(session, owner, conversation_id)
            return work.run(edit(session), expected, editor, to_text(from_micros(now_micros(self._clock))))

        return await self._database.write(write)


class EditSession:
    """One edit, in one transaction. The conversation and its turns are locked from the start."""

    def __init__(self, session: Session, owner: str, conversation_id: str) -> None:
        """Lock the conversation. Raises ConversationNotFound."""
        self._session = session
        self._owner = owner
        self._id = conversation_id
        self._columns = StoredColumns.from_session(session)
        rows: list[Row] = [(conversation_id,)]
        keys = [key for (key,) in session.select_many("locked_conversation_keys", rows, owner)]
        if not keys:
            raise conversation_not_found_error(session, owner, conversation_id)
        session.lock_many("lock_turns", rows, owner)
        (self._key,) = keys

    def run(self, edit: Edit, expected: str | None, editor: str | None, now: str) -> Conversation:
        """Write the edit, and keep the version before it. An edit that changes nothing writes nothing.

        Raises ConversationChanged, InvalidConversation, EditBlocked, AdoptedTableNotWritable, OutcomeRefused.
        """
        line = self._line()
        document = orjson.loads(line)
        before = conversation_of(document)
        # Compared first, so that an edit whose reply was lost may be repeated.
        after = edit.apply(before)
        if is_same(before, after):
            return before
        if expected is not None and expected != before.digest():
            raise ConversationChanged(
                f"Conversation {quoted_id(self._id)} was changed since it was read; the edit was not stored",
                conversation_id=self._id,
                expected=expected,
                found=before.digest(),
            )
        kept = self._session.value("version_bytes", {"key": self._key, "owner": self._owner})
        if kept + len(line) > MAX_VERSION_BYTES:
            raise EditBlocked(
                f"The versions of conversation {quoted_id(self._id)} would have {kept + len(line):,} bytes together, "
                f"and a backup holds {MAX_VERSION_BYTES:,}; the edit was not stored",
                conversation_id=self._id,
            )
        version = {"line": line.decode(), "editor": editor, "replaced_at": now}
        self._session.execute("insert_version", {"key": self._key, "owner": self._owner, **version})
        self._write_turns(document[TURNS], plan_turns(document[TURNS], after.turns, edit.rows))
        fields = {"topic": after.topic, "persona": after.persona, "updated_at": now}
        self._session.execute("update_conversation", {"key": self._key, "owner": self._owner, **fields})
        stored = conversation_of(orjson.loads(self._line()))
        self._compare(after, stored)
        return stored

    def _line(self) -> bytes:
        """Return the conversation as a backup holds it, without related rows."""
        columns = replace(self._columns, related=RelatedRows())
        (record,) = find_by_keys(self._session, self._owner, [self._key], columns)
        return record.line

    def _write_turns(self, before: Sequence[Document], plan: EditPlan) -> None:
        related = self._count_related(plan)
        updated = [(turn.sequence, turn.role, turn.content, metadata_from_line(turn.metadata)) for turn in plan.updated]
        self._execute_many("update_turns", updated)
        self._execute_many("delete_turns", [(sequence,) for sequence in plan.removed])
        sorted_by = self._session.value("turn_order")
        if sorted_by is None:
            self._move(plan)
        self._insert(plan.added)
        if sorted_by is not None:
            self._reorder(before, plan, sorted_by)
        if self._count_related(plan) != related:
            raise EditBlocked(
                f"Rows of other tables refer to turns that the edit of conversation {quoted_id(self._id)} removes, and "
                "would be deleted or changed with them; nothing was stored",
                conversation_id=self._id,
            )

    def _execute_many(self, name: str, rows: Sequence[Row]) -> None:
        self._session.execute_many(name, rows, self._key, self._owner)

    def _move(self, plan: EditPlan) -> None:
        """Renumber turns: past all numbers first, because each number may be in use only once."""
        past = range(plan.highest + 1, plan.highest + 1 + len(plan.moved))
        numbers = list(zip(plan.moved, past, strict=True))
        self._execute_many("move_turns", [(before, between) for (before, _), between in numbers])
        self._execute_many("move_turns", [(between, after) for (_, after), between in numbers])

    def _insert(self, added: Sequence[Document]) -> None:
        late = self._columns.related.late_columns("turns")
        for turn in added:
            row: Row = (
                self._key, turn["sequence"], self._owner, turn["id"], turn["role"], turn["content"],
                metadata_from_line(turn["metadata"]),
            )  # fmt: skip
            # A new turn leaves the user's own columns to their defaults.
            own = {name: kind for name, kind in self._columns.turns.items() if name in turn and name not in late}
            row = (*row, *(value_from_line(turn[name]) for name in own))
            self._session.execute_many("put_turns", [row], columns=own)

    def _reorder(self, before: Sequence[Document], plan: EditPlan, sorted_by: str) -> None:
        """Move turns that have no numbers, by exchanging their values in the column that sorts them."""
        former = {turn["sequence"]: turn["id"] for turn in before}
        current = [turn["id"] for turn in orjson.loads(self._line())[TURNS]]
        known = set(former.values()) | {turn["id"] for turn in plan.added}
        new = iter([turn_id for turn_id in current if turn_id not in known])
        added = iter(plan.added)
        wanted = [
            former[source] if source is not None else next(added)["id"] or next(new, None) for source in plan.sources
        ]
        places = {turn_id: place for place, turn_id in enumerate(current, start=1)}
        moved = [
            (places[turn_id], place)
            for place, turn_id in enumerate(wanted, start=1)
            if turn_id in places and places[turn_id] != place
        ]
        if moved and sorted_by == "id":
            raise AdoptedTableNotWritable(
                "The adopted tables sort turns by their id: a turn can be added only at the end, and none can be "
                "moved; nothing was stored",
                conversation_id=self._id,
            )
        self._session.execute_many("reorder_turns", moved, self._key, self._owner, columns={sorted_by: "text"})

    def _count_related(self, plan: EditPlan) -> Sequence[object]:
        """Return how many rows of each table a delete of the conversation would delete or change."""
        if not (self._columns.related.may_exist and (plan.removed or plan.moved)):
            return ()
        related = related_rows(self._session)
        related.count([self._key])
        return related.counts()

    def _compare(self, wanted: Conversation, stored: Conversation) -> None:
        """Check that the database holds what it was given: a trigger of the user's may have changed it.

        Raises AdoptedTableNotWritable, OutcomeRefused.
        """
        if is_same(wanted, stored):
            return
        subject = _differing(wanted, stored)
        if self._session.row("storing_obstacle", {"owner": self._owner}) is not None:
            raise AdoptedTableNotWritable(
                f"The adopted tables do not take this edit: afterwards {subject}; nothing was stored",
                conversation_id=self._id,
            )
        raise OutcomeRefused(
            f"The database does not take this edit: afterwards {subject}, perhaps because of a trigger of your own; "
            "nothing was stored",
            conversation_id=self._id,
        )


def _differing(wanted: Conversation, stored: Conversation) -> str:
    if len(wanted.turns) != len(stored.turns):
        return f"it has {len(stored.turns)} turns instead of {len(wanted.turns)}"
    for name in ("topic", "persona"):
        if getattr(wanted, name) != getattr(stored, name):
            return f"the {name} differs"
    pairs = enumerate(zip(wanted.turns, stored.turns, strict=True), start=1)
    number = next(number for number, turns in pairs if not is_same_content(*turns))
    return f"turn {number} differs"


def _versions(session: Session, owner: str, conversation_id: str) -> Sequence[ReplacedVersion]:
    values = {"owner": owner, "id": conversation_id}
    if not session.rows("conversation", values):
        raise conversation_not_found_error(session, owner, conversation_id)
    return [ReplacedVersion(*row) for row in session.rows("conversation_versions", values)]


def _before(conversation_id: str, number: int) -> int:
    """Return the number of the version before. Raises VersionNotFound."""
    if number == 1:
        raise VersionNotFound(
            f"Conversation {quoted_id(conversation_id)} has no version before its first",
            conversation_id=conversation_id,
        )
    return number - 1


def _content(session: Session, owner: str, conversation_id: str, number: int, current: int) -> Conversation:
    if number == current:
        return find_conversation(session, owner, conversation_id)
    return conversation_of(_version(session, owner, conversation_id, number))


def _version(session: Session, owner: str, conversation_id: str, number: int) -> Document:
    line = session.value("conversation_version", {"owner": owner, "id": conversation_id, "number": number})
    if line is None:
        raise VersionNotFound(
            f"Conversation {quoted_id(conversation_id)} has no version {number}",
            conversation_id=conversation_id,
            number=number,
        )
    document: Document = orjson.loads(line)
    return document
