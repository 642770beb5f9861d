"""The rules of a restore: what conflicts with the library, what is restored, and what the errors say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import orjson

from backstay.backup.item_links import ItemKeySet, SourceItem, SourceItems
from backstay.backup.restore_plan import ConflictingConversation, ConflictKind
from backstay.backup.store import ArchivedConversation
from backstay.errors import ColumnsDiffer, RestoreConflict, RestoreDiffers
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.id_text import quoted_id
from backstay.library.record import RELATED, TURNS, Document, Record
from backstay.remedy import Remedy


@dataclass(frozen=True, slots=True)
class ClassifiedChunk:
    """A chunk of a backup, compared with the library: what is new, and what is in conflict."""

    new: Sequence[ArchivedConversation]
    conflicts: Sequence[tuple[ArchivedConversation, ConflictingConversation]]
    identical: int
    items: SourceItems
    """The items that the new and the conflicting conversations name."""

    @property
    def replacing(self) -> set[str]:
        """The ids of the conversations that replace the result of their item."""
        return {conflict.id for _, conflict in self.conflicts if conflict.kind is ConflictKind.ITEM}

    @property
    def in_the_way(self) -> list[str]:
        """The ids of the conversations that would be replaced."""
        return [conflict.other_id for _, conflict in self.conflicts if conflict.other_id is not None]


def classify(
    differing: Sequence[ArchivedConversation],
    identical: int,
    live: Mapping[str, Record],
    items: SourceItems,
    linked: ItemKeySet,
) -> ClassifiedChunk:
    """Return which conversations are new, and which conflict with the library.

    Args:
        differing: The conversations of a chunk that are not in the library as they are in the backup.
        identical: The number of the others.
        live: The conversations of the library with the same ids.
        items: The items that the conversations name.
        linked: The items that this restore has given a result.
    """
    if not live and not items:  # the usual restore, after a delete
        return ClassifiedChunk(differing, (), identical, items)
    new, conflicts = [], []
    for conversation in differing:
        conflict = _conflict(conversation, live.get(conversation.id), items.get(conversation.item), linked)
        if conflict is None:
            new.append(conversation)
        else:
            conflicts.append((conversation, conflict))
    return ClassifiedChunk(new, conflicts, identical, items)


def _conflict(
    conversation: ArchivedConversation, live: Record | None, item: SourceItem | None, linked: ItemKeySet
) -> ConflictingConversation | None:
    if item is not None and item.is_running:
        return ConflictingConversation(conversation.id, ConflictKind.BUSY, None)
    if live is not None:
        is_same = _without_times(conversation.document) == _without_times(orjson.loads(live.line))
        kind = ConflictKind.TIMES if is_same else ConflictKind.CONTENT
        return ConflictingConversation(conversation.id, kind, conversation.id)
    if item is None or item.is_deleted or item.conversation_id in (None, conversation.id) or item.key in linked:
        return None
    if not item.may_have_made(conversation):  # but a discarded job of the same id
        return None
    return ConflictingConversation(conversation.id, ConflictKind.ITEM, item.conversation_id)


def _without_times(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in ("created_at", "updated_at")}


def choose(chunk: ClassifiedChunk, on_conflict: RestoreConflictPolicy, backup_id: str) -> list[ArchivedConversation]:
    """Return the conversations to restore, in order: all, or those that do not conflict. Raises RestoreConflict."""
    if not chunk.conflicts or on_conflict is RestoreConflictPolicy.SKIP:
        return list(chunk.new)
    is_busy = any(conflict.kind is ConflictKind.BUSY for _, conflict in chunk.conflicts)
    if on_conflict is RestoreConflictPolicy.FAIL or is_busy:
        raise _restore_conflict_error(backup_id, chunk.conflicts)
    conversations = [*chunk.new, *(conversation for conversation, _ in chunk.conflicts)]
    return sorted(conversations, key=attrgetter("position"))


def _restore_conflict_error(
    backup_id: str, conflicts: Sequence[tuple[ArchivedConversation, ConflictingConversation]]
) -> RestoreConflict:
    """Return the error that describes one conflict, a busy item if there is one, and counts the others."""
    conversation, first = next((pair for pair in conflicts if pair[1].kind is ConflictKind.BUSY), conflicts[0])
    remedy, context = Remedy.SKIP_OR_REPLACE, {}
    match first.kind:
        case ConflictKind.CONTENT:
            description = f"conversation {quoted_id(first.id)} exists with other content"
        case ConflictKind.TIMES:
            description = f"conversation {quoted_id(first.id)} exists with the same content and other times"
        case ConflictKind.ITEM:
            description = (
                f"the item of conversation {quoted_id(first.id)} has conversation {quoted_id(str(first.other_id))} now"
            )
        case ConflictKind.BUSY:
            description = f"the item of conversation {quoted_id(first.id)} is being worked on"
            remedy, context = Remedy.PAUSE_JOB, {"job_id": conversation.item[0]}
    others = len(conflicts) - 1
    more = f", and {others:,} more {'is' if others == 1 else 'are'} in conflict" if others else ""
    return RestoreConflict(
        f"Nothing was restored from {backup_id}: {description}{more}",
        remedy=remedy,
        backup_id=backup_id,
        conflicts=[{"id": item.id, "kind": str(item.kind), "other": item.other_id} for _, item in conflicts[:100]],
        **context,
    )


def changed_meanwhile_error(conversation_id: str) -> RestoreConflict:
    """Return the error for a conversation that was changed between its backup and its replacement."""
    return RestoreConflict(
        f"Conversation {quoted_id(conversation_id)} was changed while it was being backed up; try again",
        remedy=None,
        conversation_id=conversation_id,
    )


def columns_differ_error(table: str, column: str | None) -> ColumnsDiffer:
    """Return the error for a column of the backup or, without `column`, a foreign key that the database lacks."""
    missing = f"a column {column!r} of {table}" if column is not None else f"rows of {table}, by a foreign key"
    return ColumnsDiffer(
        f"The backup has {missing} that this database lacks; add it, then try again", table=table, column=column
    )


def restore_differs_error(backup_id: str, before: Document, now: Document | None) -> RestoreDiffers:
    """Return the error that names the first part of a conversation that differs from the backup."""
    column = _first_difference(before, now) if now is not None else "id"
    return _differs_error(backup_id, before["id"], column)


def curation_differs_error(backup_id: str, conversation_id: str) -> RestoreDiffers:
    """Return the error for a conversation whose review or earlier versions differ from the backup."""
    return _differs_error(backup_id, conversation_id, "review or earlier versions")


def _differs_error(backup_id: str, conversation_id: str, column: str) -> RestoreDiffers:
    return RestoreDiffers(
        f"Conversation {quoted_id(conversation_id)} would differ from its backup in its {column}, "
        "perhaps because of a trigger; nothing was restored",
        backup_id=backup_id,
        conversation_id=conversation_id,
        column=column,
    )


def _first_difference(before: Document, now: Document) -> str:
    if len(before[TURNS]) != len(now[TURNS]):
        return "number of turns"
    for number, (turn, other) in enumerate(zip(before[TURNS], now[TURNS], strict=True), start=1):
        for name in turn:
            if turn[name] != other.get(name):
                return f"{name} of turn {number}"
    if before.get(RELATED) != now.get(RELATED):
        return f"rows in {_first_table(before, now)}"
    return next((name for name in before if before[name] != now.get(name)), "columns")


def _first_table(before: Document, now: Document) -> str:
    for kind in ("deleted", "changed"):
        tables, tables_now = (document.get(RELATED, {}).get(kind, {}) for document in (before, now))
        for name in sorted({*tables, *tables_now}):
            if tables.get(name) != tables_now.get(name):
                return str(name)
    return "other tables"
