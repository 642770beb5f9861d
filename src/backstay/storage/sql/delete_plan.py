"""What a delete would remove, counted without removing it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from backstay.backup.store import SelectionMeasure
from backstay.library.deletion import DeleteSample, FiringTrigger, Obstacle, ObstacleKind, RelatedRowCount, plan_line
from backstay.library.selection import Selection
from backstay.storage.sql.batched import batched
from backstay.storage.sql.cascade.closure import CascadeTables, CascadeWalk
from backstay.storage.sql.cascade.tables import OURS, ForeignKey, OnDelete
from backstay.storage.sql.selection_conditions import values_of
from backstay.storage.sql.session import Session

_TOGETHER = 256


def measure(session: Session, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
    """Count what is selected, and what hangs on it."""
    digest, conversations, turns, size, shown = hashlib.sha256(), 0, 0, 0, []
    closure = CascadeTables.from_session(session)
    hanging = _CascadeCounter(session, closure)
    found = session.stream("measure_selection", values_of(owner, selection), selection=selection)
    for conversation_id, topic, its_turns, its_size, related in hanging.counted(found):
        if conversations < sample:
            shown.append(DeleteSample(conversation_id, topic, its_turns))
        conversations += 1
        turns += its_turns
        size += its_size
        digest.update(plan_line(conversation_id, its_turns, related))
    triggers = [FiringTrigger(one.name, one.table) for one in _triggers(session, closure)]
    return SelectionMeasure(
        conversations, turns, size, digest.hexdigest(), shown, hanging.related(), triggers, hanging.obstacles()
    )


def _triggers(session: Session, closure: CascadeTables) -> Iterator[Any]:
    yield from session.tables.triggers([*OURS, *closure.going], closure.changing)


class _CascadeCounter:
    """Rows that hang on what is counted, each counted once however many conversations it hangs on."""

    def __init__(self, session: Session, closure: CascadeTables) -> None:
        self._session = session
        self._closure = closure
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._shared: set[tuple[str, Any, bool]] = set()
        self._blocking: dict[ForeignKey, set[Any]] = defaultdict(set)
        self._unfit: Counter[ForeignKey] = Counter()
        # A row that only refers to another one stands in nobody's way when it goes itself, with whomever.
        self._watched = {key.table for key in closure.keys if key.on_delete is OnDelete.NO_ACTION}
        self._going: dict[str, set[Any]] = defaultdict(set)

    def counted(self, found: Iterator[Any]) -> Iterator[tuple[str, str | None, int, int, int]]:
        """Yield each conversation with the number of rows that hang on it."""
        if not self._closure.keys:
            yield from ((name, topic, turns, size, 0) for _, name, topic, turns, size in found)
            return
        for rows in batched(found, _TOGETHER):
            hanging = self._count_related([row[0] for row in rows])
            yield from ((name, topic, turns, size, hanging[key]) for key, name, topic, turns, size in rows)

    def _count_related(self, keys: list[int]) -> Counter[int]:
        reach = CascadeWalk(self._session, self._closure, keys)
        is_shared = reach.spills
        for one in reach.lost():
            if one not in self._shared:
                self._counts[one[0], one[2]] += 1
                if is_shared:
                    self._shared.add(one)
        for key, identities in reach.blocking.items():
            self._blocking[key] |= identities
        for table in self._watched:
            self._going[table] |= reach.identities(table)
        self._unfit.update(reach.unfit())
        return reach.count()

    def related(self) -> list[RelatedRowCount]:
        """Return how many rows of which tables."""
        return [RelatedRowCount(table, rows, goes) for (table, goes), rows in sorted(self._counts.items())]

    def obstacles(self) -> list[Obstacle]:
        """Return what keeps the conversations from being deleted."""
        found = [Obstacle(key.table, key.name, rows, ObstacleKind.UNFIT) for key, rows in self._unfit.items()]
        grants = self._session.tables.unwritable(self._closure.going, self._closure.changing)
        denied = [(table, rows) for (table, _), rows in sorted(self._counts.items()) if table in grants]
        found += [Obstacle(table, "", rows, ObstacleKind.DENIED, grants[table]) for table, rows in denied]
        for key, identities in self._blocking.items():
            left = identities - self._going[key.table] if key.on_delete is OnDelete.NO_ACTION else identities
            kind = ObstacleKind.FORBIDS if key.on_delete.forbids else ObstacleKind.CARRIES
            if left:
                found.append(Obstacle(key.table, key.name, len(left), kind))
        return found
