"""Items on their way in, on SQLite. Implements `batch.store.IntakeStore`."""

from collections.abc import Container, Sequence
from dataclasses import asdict

import apsw
import orjson

from holdfast.batch.item import Draft
from holdfast.batch.job import Difference, JobSettings, Move, check_move
from holdfast.batch.recipe import FrozenRecipe
from holdfast.batch.store import ItemIdentity, Staged, WorkerCard, WorkerRow
from holdfast.clock import Clock
from holdfast.errors import DuplicateItem
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.jobs import drop_rows, find_job
from holdfast.storage.sqlite.queries import Row, Value, execute_rows, query, select_rows
from holdfast.storage.sqlite.times import now_micros
from holdfast.storage.sqlite.work import fence

_DROPPED = ("drop_attempts", "drop_item_inputs", "drop_items")
_EXAMPLES = 3
_COPIED_AT_ONCE = 20_000


class SqliteIntake:
    """Brings items in. One instance stages any number of jobs."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._places: dict[tuple[str, int], _Place] = {}

    async def stage(self, owner: str, card: WorkerCard) -> Staged:
        now = now_micros(self._clock)

        def do(connection: apsw.Connection) -> Staged:
            key = connection.execute(query("stage_job"), {"owner": owner, "now": now}).get
            values = {"owner": owner, "job_key": key, "now": now, **asdict(card)}
            token = connection.execute(query("insert_worker"), values).get
            return Staged(owner, key, token)

        staged = await self._database.write(do)
        self._places[staged.owner, staged.job_key] = _Place()
        return staged

    async def stage_items(self, staged: Staged, drafts: Sequence[Draft]) -> int:
        at = (staged.owner, staged.job_key)
        place = self._places.get(at, _Place())  # none when it was dropped, which the fence finds out

        def do(connection: apsw.Connection) -> tuple[int, _Place]:
            fence(connection, staged.owner, staged.job_key, staged.token)
            after = place.copy()
            named = _Naming(connection, staged, after).name(drafts)
            first = after.next_position
            key, owner = staged.job_key, staged.owner
            execute_rows(
                connection,
                "insert_items",
                [(key, first + n, owner, item_id, draft.digest) for n, (item_id, draft) in enumerate(named)],
            )
            execute_rows(
                connection,
                "insert_inputs",
                [
                    (key, first + n, owner, draft.topic, draft.persona, draft.parameters_json, draft.line)
                    for n, (_, draft) in enumerate(named)
                ],
            )
            after.next_position += len(named)
            return len(drafts) - len(named), after

        repeated, self._places[at] = await self._database.write(do)
        return repeated

    async def stage_copies(self, staged: Staged, job_id: str, upto: int) -> None:
        for first in range(0, upto, _COPIED_AT_ONCE):
            values: dict[str, Value] = {
                "staged": staged.job_key,
                "owner": staged.owner,
                "job_id": job_id,
                "first": first,
                "upto": min(first + _COPIED_AT_ONCE, upto),
            }

            def do(connection: apsw.Connection, values: dict[str, Value] = values) -> None:
                fence(connection, staged.owner, staged.job_key, staged.token)
                connection.execute(query("copy_items"), values)

            await self._database.write(do)
        self._places[staged.owner, staged.job_key].next_position = upto

    async def publish(
        self,
        staged: Staged,
        job_id: str,
        processor: str,
        settings: JobSettings,
        recipe: FrozenRecipe | None = None,
    ) -> bool:
        values = {
            "owner": staged.owner,
            "job_key": staged.job_key,
            "job_id": job_id,
            "processor": processor,
            "settings": orjson.dumps(settings.to_dict()).decode(),
            "recipe": orjson.dumps(dict(recipe)).decode() if recipe is not None else None,
            "now": now_micros(self._clock),
        }

        def do(connection: apsw.Connection) -> bool:
            fence(connection, staged.owner, staged.job_key, staged.token)
            connection.execute(query("publish_job"), values)
            if not connection.changes():
                return False
            connection.execute(query("delete_worker"), {"token": staged.token, "owner": staged.owner})
            return True

        return await self._database.write(do)

    async def difference(self, staged: Staged, job_id: str) -> Difference:
        def do(connection: apsw.Connection) -> Difference:
            fence(connection, staged.owner, staged.job_key, staged.token)
            key, _ = find_job(connection, staged.owner, job_id)
            values = {"staged": staged.job_key, "job_key": key}
            counts = {"new": 0, "missing": 0, "changed": 0}
            examples: list[str] = []
            for item_id, line, is_changed in connection.execute(query("difference_new"), values):
                what = "changed" if is_changed else "new"
                counts[what] += 1
                if len(examples) < _EXAMPLES:
                    examples.append(f"{what}: {item_id}" + (f" in line {line}" if line is not None else ""))
            for (item_id,) in connection.execute(query("difference_missing"), values):
                counts["missing"] += 1
                if len(examples) < _EXAMPLES:
                    examples.append(f"missing: {item_id}")
            return Difference(**counts, examples=tuple(examples))

        return await self._database.read(do)

    async def adopt_new(self, staged: Staged, job_id: str) -> int:
        def do(connection: apsw.Connection) -> int:
            fence(connection, staged.owner, staged.job_key, staged.token)
            key, job = find_job(connection, staged.owner, job_id)
            state = check_move(job_id, job.state, Move.ADD)
            values = {"job_key": key, "owner": staged.owner}
            base = connection.execute(query("last_position"), values).get + 1
            values = {"staged": staged.job_key, "job_key": key, "base": base}
            connection.execute(query("adopt_items"), values)
            added = connection.changes()
            if added:
                connection.execute(query("adopt_inputs"), values)
                connection.execute(
                    query("job_added"),
                    {"job_key": key, "owner": staged.owner, "state": str(state), "added": added,
                     "now": now_micros(self._clock)},
                )  # fmt: skip
            return added

        return await self._database.write(do)

    async def drop_step(self, owner: str, job_key: int, *, limit: int = 5_000) -> bool:
        def do(connection: apsw.Connection) -> bool:
            values = {"job_key": job_key, "owner": owner}
            if connection.execute(query("is_creating"), values).fetchone() is None:
                return False
            if drop_rows(connection, _DROPPED, owner, job_key, limit):
                return True
            connection.execute(query("drop_creators"), values)
            connection.execute(query("drop_job"), values)
            return False

        self._places.pop((owner, job_key), None)
        return await self._database.write(do)

    async def identities(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemIdentity]:
        values = {"owner": owner, "job_id": job_id, "after": after, "limit": limit}
        return await self._database.read(
            lambda c: [ItemIdentity(*row) for row in c.execute(query("identities"), values)]
        )

    async def unowned(self, owner: str) -> Sequence[tuple[int, WorkerRow | None]]:
        def do(connection: apsw.Connection) -> list[tuple[int, WorkerRow | None]]:
            rows = connection.execute(query("unowned"), {"owner": owner})
            return [
                (key, None if token is None else WorkerRow(token, beat, WorkerCard(*card)))
                for key, token, beat, *card in rows
            ]

        return await self._database.read(do)


class _Place:
    """How far a staging has come."""

    def __init__(self, next_position: int = 0, occurrences: dict[str, int] | None = None) -> None:
        self.next_position = next_position
        # How often a content without an id of its own was seen, for those seen more than once.
        self.occurrences = occurrences or {}

    def copy(self) -> "_Place":
        return _Place(self.next_position, dict(self.occurrences))


class _Naming:
    """Gives each draft of a chunk its id, against the database and the rest of the chunk."""

    def __init__(self, connection: apsw.Connection, staged: Staged, place: _Place) -> None:
        self._connection = connection
        self._staged = staged
        self._place = place

    def name(self, drafts: Sequence[Draft]) -> list[tuple[str, Draft]]:
        """Return the drafts to store with their ids; repetitions of an id with the same content are left out.

        Raises DuplicateItem: an id stands for two contents.
        """
        asked: list[Row] = [(base_id,) for base_id in {draft.base_id for draft in drafts}]
        taken: dict[str, tuple[bytes, int | None]] = {
            item_id: (digest, line)
            for item_id, digest, line in select_rows(self._connection, "items_with_ids", asked, self._staged.job_key)
        }
        named = []
        for draft in drafts:
            if draft.base_id not in taken:
                item_id = draft.base_id
            elif draft.id is None:
                item_id = self._next_occurrence(draft.base_id, taken)
            elif taken[draft.base_id][0] == draft.digest:
                continue
            else:
                raise _clash(draft, taken[draft.base_id][1])
            taken[item_id] = (draft.digest, draft.line)
            named.append((item_id, draft))
        return named

    def _next_occurrence(self, base_id: str, taken: Container[str]) -> str:
        # The name may be there: from items that were copied in, or because some item's own id looks like it.
        number = self._place.occurrences.get(base_id, 1) + 1
        while (name := f"{base_id}-{number}") in taken or self._has(name):
            number += 1
        self._place.occurrences[base_id] = number
        return name

    def _has(self, item_id: str) -> bool:
        values = {"job_key": self._staged.job_key, "owner": self._staged.owner, "id": item_id}
        return self._connection.execute(query("item_state"), values).fetchone() is not None


def _clash(draft: Draft, other_line: int | None) -> DuplicateItem:
    places = f"lines {other_line} and {draft.line}" if other_line is not None else f"line {draft.line} and the job"
    return DuplicateItem(
        f"The id {draft.base_id!r} stands for two different items ({places}); give each its own id",
        item_id=draft.base_id,
        line=draft.line,
        other_line=other_line,
    )
