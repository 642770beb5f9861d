"""Stages and publishes jobs, and adds items to them. Implements `batch.store.IntakeStore`."""

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from backstay.batch.item import NewItem
from backstay.batch.items_difference import ItemsDifference
from backstay.batch.job import JobAction, JobSettings, check_action
from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.store import ItemIdentity, StagedJob, WorkerIdentity, WorkerRow
from backstay.clock import Clock
from backstay.errors import DuplicateItem, OutcomeRefused
from backstay.library.id_text import quoted_id
from backstay.storage.sql.adoption_guard import refuse_unwritable
from backstay.storage.sql.database import Database, Row, Session, SqlStore, Values
from backstay.storage.sql.jobs import drop_rows, find_job, lock_job, settings_text
from backstay.storage.sql.leases import check_current, fence
from backstay.storage.sql.revisions import FIRST_REVISION, insert_revision, recipe_text
from backstay.storage.sql.times import now_micros
from backstay.storage.sql.waiting_imports import settle_imported_items

_DROP_STATEMENTS = (
    *("drop_attempts", "drop_item_inputs", "drop_input_blocks", "drop_failures", "drop_items", "drop_replacements"),
)
_MAX_EXAMPLES = 3
_COPY_BATCH_ITEMS = 20_000


class SqlIntake(SqlStore):
    """The intake of items. One instance can stage several jobs at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self._positions: dict[tuple[str, int], _StagingPosition] = {}

    async def stage(self, owner: str, identity: WorkerIdentity) -> StagedJob:
        now = now_micros(self._clock)

        def stage(session: Session) -> StagedJob:
            refuse_unwritable(session, owner)
            key = session.value("stage_job", {"owner": owner, "now": now})
            values = {"owner": owner, "job_key": key, "now": now, **asdict(identity)}
            return StagedJob(owner, key, session.value("insert_worker", values))

        staged = await self._database.write(stage)
        self._positions[staged.owner, staged.job_key] = _StagingPosition()
        return staged

    async def stage_items(self, staged: StagedJob, items: Sequence[NewItem]) -> int:
        # A dropped job has no position; for such a job the fence raises LeaseLost.
        position = self._positions.get((staged.owner, staged.job_key), _StagingPosition())
        try:
            return await self._stage_items(staged, items, position)
        except OutcomeRefused:
            if position.looks_up:
                raise
        # An id exists already, which is rare: look up each id before storing it from now on.
        position.looks_up = True
        return await self._stage_items(staged, items, position)

    async def _stage_items(self, staged: StagedJob, items: Sequence[NewItem], position: "_StagingPosition") -> int:
        def stage_items(session: Session) -> tuple[int, _StagingPosition]:
            fence(session, staged.owner, staged.job_key, staged.token)
            after = replace(position, occurrences=dict(position.occurrences))
            named_items = _ItemNaming(session, staged, after).name(items)
            first = after.next_position
            key, owner = staged.job_key, staged.owner
            session.execute_many(
                "insert_items",
                [(key, first + n, owner, item_id, item.digest) for n, (item_id, item) in enumerate(named_items)],
            )
            session.execute_many(
                "insert_inputs",
                [
                    (key, first + n, owner, item.topic, item.persona, item.parameters_json, item.line)
                    for n, (_, item) in enumerate(named_items)
                ],
            )
            after.next_position += len(named_items)
            return len(items) - len(named_items), after

        repeated, self._positions[staged.owner, staged.job_key] = await self._database.write(stage_items)
        return repeated

    async def stage_copies(self, staged: StagedJob, job_id: str, upto: int) -> None:
        def stage_copies(session: Session, first: int) -> None:
            fence(session, staged.owner, staged.job_key, staged.token)
            batch = {"first": first, "upto": min(first + _COPY_BATCH_ITEMS, upto)}
            session.execute("copy_items", {"staged": staged.job_key, "owner": staged.owner, "job_id": job_id, **batch})

        for first in range(0, upto, _COPY_BATCH_ITEMS):
            await self._database.write(partial(stage_copies, first=first))
        self._positions[staged.owner, staged.job_key].next_position = upto

    async def publish(
        self,
        staged: StagedJob,
        job_id: str,
        processor: str,
        settings: JobSettings,
        recipe: FrozenRecipe | None = None,
        *,
        accept_missing: bool = False,
    ) -> bool:
        now = now_micros(self._clock)
        values: Values = {
            "owner": staged.owner,
            "job_key": staged.job_key,
            "job_id": job_id,
            "processor": processor,
            "settings": settings_text(settings),
            "recipe": recipe_text(recipe) if recipe is not None else None,
            "revision": FIRST_REVISION if recipe is not None else None,
            "now": now,
        }

        def publish(session: Session) -> bool:
            fence(session, staged.owner, staged.job_key, staged.token)
            session.lock("lock_job_name", {"owner": staged.owner, "job_id": job_id})
            if not session.execute("publish_job", values):
                return False
            if recipe is not None:
                insert_revision(session, staged.owner, staged.job_key, FIRST_REVISION, recipe, now)
            settle_imported_items(session, staged, job_id, now, accept_missing=accept_missing)
            session.execute("delete_worker", {"token": staged.token, "owner": staged.owner})
            return True

        return await self._database.write(publish)

    async def difference(self, staged: StagedJob, job_id: str) -> ItemsDifference:
        def difference(session: Session) -> ItemsDifference:
            check_current(session, staged.owner, staged.job_key, staged.token)
            values = {"staged": staged.job_key, "job_key": find_job(session, staged.owner, job_id).key}
            counts = {"new": 0, "missing": 0, "changed": 0}
            examples: list[str] = []
            for item_id, line, is_changed in session.stream("difference_new", values):
                kind = "changed" if is_changed else "new"
                counts[kind] += 1
                if len(examples) < _MAX_EXAMPLES:
                    examples.append(f"{kind}: {item_id}" + (f" in line {line}" if line is not None else ""))
            for (item_id,) in session.stream("difference_missing", values):
                counts["missing"] += 1
                if counts["missing"] == 1:
                    examples = examples[: _MAX_EXAMPLES - 1]  # so that there is an example of a missing item
                if len(examples) < _MAX_EXAMPLES:
                    examples.append(f"missing: {item_id}")
            return ItemsDifference(**counts, examples=tuple(examples))

        return await self._database.read(difference, owner=staged.owner)

    async def accept_new(self, staged: StagedJob, job_id: str) -> int:
        owner = staged.owner

        def accept_new(session: Session) -> int:
            fence(session, owner, staged.job_key, staged.token)
            job = lock_job(session, owner, job_id)
            state = check_action(job_id, job.state, JobAction.ADD)
            base = session.value("last_position", {"job_key": job.key, "owner": owner}) + 1
            values = {"staged": staged.job_key, "job_key": job.key, "base": base}
            if added := session.execute("append_items", values):
                session.execute("append_inputs", values)
                counted = {"state": str(state), "added": added, "now": now_micros(self._clock)}
                session.execute("record_added_items", {"job_key": job.key, "owner": owner, **counted})
            return added

        return await self._database.write(accept_new)

    async def drop_step(self, owner: str, job_key: int, *, limit: int = 5_000) -> bool:
        def drop_step(session: Session) -> bool:
            values = {"job_key": job_key, "owner": owner}
            if session.row("is_creating", values) is None:
                return False
            if drop_rows(session, _DROP_STATEMENTS, owner, job_key, limit):
                return True
            session.execute("drop_job_workers", values)
            session.execute("drop_revisions", values)
            session.execute("drop_job", values)
            return False

        self._positions.pop((owner, job_key), None)
        return await self._database.write(drop_step)

    async def identities(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemIdentity]:
        values = {"owner": owner, "job_id": job_id, "after": after, "limit": limit}
        return await self._database.read(
            lambda s: [ItemIdentity(*row) for row in s.rows("identities", values)], owner=owner
        )

    async def orphaned_staging(self, owner: str) -> Sequence[tuple[int, WorkerRow | None]]:
        def orphaned_staging(session: Session) -> list[tuple[int, WorkerRow | None]]:
            rows = session.rows("orphaned_staging", {"owner": owner})
            return [
                (key, None if token is None else WorkerRow(token, beat, WorkerIdentity(*identity)))
                for key, token, beat, *identity in rows
            ]

        return await self._database.read(orphaned_staging, owner=owner)


@dataclass(slots=True)
class _StagingPosition:
    """The progress of staging a job."""

    next_position: int = 0
    occurrences: dict[str, int] = field(default_factory=dict)
    """By base id: how often the content of items without an id of their own has occurred, if more than once."""
    looks_up: bool = False
    """Whether ids are looked up before they are stored. Otherwise the database refuses existing ones."""


class _ItemNaming:
    """The assignment of ids to the new items of a chunk, unique in the job and the chunk."""

    def __init__(self, session: Session, staged: StagedJob, position: _StagingPosition) -> None:
        self._session = session
        self._staged = staged
        self._position = position

    def name(self, items: Sequence[NewItem]) -> list[tuple[str, NewItem]]:
        """Return the items to store, with their ids. An item that repeats an id and its content is left out.

        Raises DuplicateItem if two items have the same id and different content.
        """
        base_ids = {item.base_id for item in items} if self._position.looks_up else ()
        id_rows: list[Row] = [(base_id,) for base_id in base_ids]
        existing: dict[str, tuple[bytes, int | None]] = {
            item_id: (digest, line)
            for item_id, digest, line in self._session.select_many("items_with_ids", id_rows, self._staged.job_key)
        }
        named_items = []
        for item in items:
            if item.base_id not in existing:
                item_id = item.base_id
            elif item.id is None:
                item_id = self._next_occurrence(item.base_id, existing)
            elif existing[item.base_id][0] == item.digest:
                continue
            else:
                raise _duplicate_error(item, existing[item.base_id][1])
            existing[item_id] = (item.digest, item.line)
            named_items.append((item_id, item))
        return named_items

    def _next_occurrence(self, base_id: str, existing: Container[str]) -> str:
        # The id may exist already: of a copied item, or as another item's own id.
        number = self._position.occurrences.get(base_id, 1) + 1
        while (item_id := f"{base_id}-{number}") in existing or self._has(item_id):
            number += 1
        self._position.occurrences[base_id] = number
        return item_id

    def _has(self, item_id: str) -> bool:
        values = {"job_key": self._staged.job_key, "owner": self._staged.owner, "id": item_id}
        return self._session.row("item_state", values) is not None


def _duplicate_error(item: NewItem, other_line: int | None) -> DuplicateItem:
    lines = f"lines {other_line} and {item.line}" if other_line is not None else f"line {item.line} and the job"
    if item.file is not None:
        lines = f"one is in {item.file} line {item.line}"
    return DuplicateItem(
        f"Two different items have the id {quoted_id(item.base_id)} ({lines}); give each its own id",
        item_id=item.base_id,
        line=item.line,
        other_line=other_line,
    )
