"""Counts what a delete would delete and update, without doing it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from backstay.backup.store import SelectionMeasure
from backstay.library.deletion import DeleteSample, FiringTrigger, Obstacle, ObstacleKind, RelatedRowCount, plan_line
from backstay.library.selection import Selection
from backstay.storage.sql.batched import batched
from backstay.storage.sql.cascade.closure import CascadeTables, CascadeWalk
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, ForeignKey, OnDelete, UserTrigger
from backstay.storage.sql.selection_conditions import values_of
from backstay.storage.sql.session import Session

_BATCH_SIZE = 256  # conversations


def measure(session: Session, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
    """Count the selected conversations and their related rows, and find what would prevent the delete."""
    digest, conversations, turns, size, samples = hashlib.sha256(), 0, 0, 0, []
    cascade = CascadeTables.from_session(session)
    related = _CascadeCounter(session, cascade)
    selected = session.stream("measure_selection", values_of(owner, selection), selection=selection)
    for conversation_id, topic, its_turns, its_size, its_rows in related.counted(selected):
        if conversations < sample:
            samples.append(DeleteSample(conversation_id, topic, its_turns))
        conversations += 1
        turns += its_turns
        size += its_size
        digest.update(plan_line(conversation_id, its_turns, its_rows))
    triggers = [FiringTrigger(trigger.name, trigger.table) for trigger in _triggers(session, cascade)]
    return SelectionMeasure(
        conversations, turns, size, digest.hexdigest(), samples, related.counts(), triggers, related.obstacles()
    )


def _triggers(session: Session, cascade: CascadeTables) -> Sequence[UserTrigger]:
    return session.tables.triggers([*BUILT_IN_TABLES, *cascade.deleted_by_cascade], cascade.updated_by_cascade)


class _CascadeCounter:
    """The number of related rows, each counted once even if it is related to several of the conversations."""

    def __init__(self, session: Session, cascade: CascadeTables) -> None:
        self._session = session
        self._cascade = cascade
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._shared: set[tuple[str, Any, bool]] = set()
        self._blocking: dict[ForeignKey, set[Any]] = defaultdict(set)
        self._unidentifiable: Counter[ForeignKey] = Counter()
        # A row with a NO ACTION key does not block the delete if it is deleted too, with any of the conversations.
        self._may_resolve = {key.table for key in cascade.foreign_keys if key.on_delete is OnDelete.NO_ACTION}
        self._deleted: dict[str, set[Any]] = defaultdict(set)

    def counted(self, selected: Iterator[Any]) -> Iterator[tuple[str, str | None, int, int, int]]:
        """Yield each conversation with the number of its related rows."""
        if not self._cascade.foreign_keys:
            yield from ((name, topic, turns, size, 0) for _, name, topic, turns, size in selected)
            return
        for rows in batched(selected, _BATCH_SIZE):
            related = self._count_related([row[0] for row in rows])
            yield from ((name, topic, turns, size, related[key]) for key, name, topic, turns, size in rows)

    def _count_related(self, conversation_keys: list[int]) -> Counter[int]:
        walk = CascadeWalk(self._session, self._cascade, conversation_keys)
        may_be_shared = walk.reaches_other_conversations
        for related in walk.related_rows():
            if related not in self._shared:
                table, _, is_deleted = related
                self._counts[table, is_deleted] += 1
                if may_be_shared:
                    self._shared.add(related)
        for key, identities in walk.blocking.items():
            self._blocking[key] |= identities
        for table in self._may_resolve:
            self._deleted[table] |= walk.deleted_identities(table)
        self._unidentifiable.update(walk.unidentifiable())
        return walk.count()

    def counts(self) -> list[RelatedRowCount]:
        """Return the number of related rows that are deleted, and of those that are updated, by table."""
        return [RelatedRowCount(table, rows, is_deleted) for (table, is_deleted), rows in sorted(self._counts.items())]

    def obstacles(self) -> list[Obstacle]:
        """Return what prevents the delete of the conversations."""
        obstacles = [
            Obstacle(key.table, key.name, rows, ObstacleKind.UNFIT) for key, rows in self._unidentifiable.items()
        ]
        grants = self._session.tables.unwritable(self._cascade.deleted_by_cascade, self._cascade.updated_by_cascade)
        denied = [(table, rows) for (table, _), rows in sorted(self._counts.items()) if table in grants]
        obstacles += [Obstacle(table, "", rows, ObstacleKind.DENIED, grants[table]) for table, rows in denied]
        for key, identities in self._blocking.items():
            is_resolvable = key.on_delete is OnDelete.NO_ACTION
            remaining = identities - self._deleted[key.table] if is_resolvable else identities
            kind = ObstacleKind.FORBIDS if key.on_delete.blocks else ObstacleKind.CARRIES
            if remaining:
                obstacles.append(Obstacle(key.table, key.name, len(remaining), kind))
        return obstacles
