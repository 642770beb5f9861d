"""Related rows as the foreign keys of a database define them. Implements `cascade.related_rows`."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from backstay.backup.error_messages import delete_blocked_error
from backstay.backup.store import UserColumns
from backstay.library.deletion import Obstacle, ObstacleKind, RelatedRowCount
from backstay.storage.sql.cascade.closure import CascadeTables, CascadeWalk
from backstay.storage.sql.cascade.related_rows import RelatedRows, RowsByTable
from backstay.storage.sql.cascade.restore import CascadeRestore
from backstay.storage.sql.cascade.tables import ForeignKey, OnDelete
from backstay.storage.sql.database import Session


def related_rows(session: Session) -> RelatedRows:
    """Return the related rows in the database of a session."""
    return _related_rows(session, CascadeTables.from_session(session))


def _related_rows(session: Session, cascade: CascadeTables) -> RelatedRows:
    return ForeignKeyRows(session, cascade) if cascade.foreign_keys or cascade.unrestorable else RelatedRows()


class ForeignKeyRows(RelatedRows):
    """The rows that a database deletes or updates with conversations."""

    may_exist = True

    def __init__(self, session: Session, cascade: CascadeTables) -> None:
        self._session = session
        self._cascade = cascade
        self.columns = cascade.as_mapping()
        self.deleted_tables = cascade.deleted_by_cascade
        self.updated_tables = cascade.updated_by_cascade
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._shared: set[tuple[str, Any, bool]] = set()
        self._blocking: dict[ForeignKey, set[Any]] = defaultdict(set)
        self._unidentifiable: Counter[ForeignKey] = Counter()
        # A row with a NO ACTION key does not block the delete if it is deleted too, with any of the conversations.
        self._may_resolve = {key.table for key in cascade.foreign_keys if key.on_delete is OnDelete.NO_ACTION}
        self._deleted: dict[str, set[Any]] = defaultdict(set)

    def late_columns(self, table: str) -> set[str]:
        return self._cascade.late_columns(table)

    def snapshot(self, keys: Sequence[int]) -> Mapping[int, Mapping[str, RowsByTable]]:
        return CascadeWalk(self._session, self._cascade, keys).by_conversation()

    def lock(self, keys: Sequence[int]) -> bool:
        if obstacles := self._generated_obstacles():
            raise delete_blocked_error(obstacles)
        return CascadeWalk(self._session, self._cascade, keys, locked=True).reaches_other_conversations

    def count(self, keys: Sequence[int]) -> Counter[int]:
        walk = CascadeWalk(self._session, self._cascade, keys)
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
        return [RelatedRowCount(table, rows, is_deleted) for (table, is_deleted), rows in sorted(self._counts.items())]

    def obstacles(self) -> list[Obstacle]:
        obstacles = self._generated_obstacles()
        obstacles += [
            Obstacle(key.table, key.name, rows, ObstacleKind.UNFIT) for key, rows in self._unidentifiable.items()
        ]
        grants = self._session.tables.unwritable(self.deleted_tables, self.updated_tables)
        denied = [(table, rows) for (table, _), rows in sorted(self._counts.items()) if table in grants]
        obstacles += [Obstacle(table, "", rows, ObstacleKind.DENIED, grants[table]) for table, rows in denied]
        for key, identities in self._blocking.items():
            is_resolvable = key.on_delete is OnDelete.NO_ACTION
            remaining = identities - self._deleted[key.table] if is_resolvable else identities
            kind = ObstacleKind.FORBIDS if key.on_delete.blocks else ObstacleKind.CARRIES
            if remaining:
                obstacles.append(Obstacle(key.table, key.name, len(remaining), kind))
        return obstacles

    def _generated_obstacles(self) -> list[Obstacle]:
        return [
            Obstacle(key.table, key.name, 0, ObstacleKind.GENERATED, column=column)
            for key, column in self._cascade.unrestorable
        ]

    def restricted_to(self, columns: UserColumns) -> RelatedRows:
        return _related_rows(self._session, self._cascade.restricted_to(columns))

    def restore(self, owner: str) -> CascadeRestore:
        return CascadeRestore(self._session.tables, self._cascade, owner)
