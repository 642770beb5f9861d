"""Jobs as a whole, on SQLite. Implements `batch.store.JobStore`."""

from collections.abc import Sequence

import apsw
import orjson

from holdfast.batch.checkpoint import Counts, Tokens
from holdfast.batch.item import Failure, ItemState
from holdfast.batch.job import FINISHED, Job, JobSettings, JobState, Move, Pause, check_move
from holdfast.clock import Clock, to_text
from holdfast.errors import IllegalMove, ItemNotFound, JobIsWorked, JobNotFound
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.queries import Row, query
from holdfast.storage.sqlite.times import from_micros, now_micros

_CLEANED = ("drop_attempts", "drop_item_inputs")


class SqliteJobs:
    """Jobs as a whole."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def job(self, owner: str, job_id: str) -> Job:
        return await self._database.read(lambda c: find_job(c, owner, job_id)[1])

    async def jobs(self, owner: str, *, incomplete: bool, limit: int) -> Sequence[Job]:
        values = {"owner": owner, "incomplete": incomplete, "limit": limit}
        return await self._database.read(lambda c: [_job(row) for row in c.execute(query("jobs"), values)])

    async def move(self, owner: str, job_id: str, move: Move, pause: Pause | None = None) -> Job:
        def do(connection: apsw.Connection) -> Job:
            key, job = find_job(connection, owner, job_id)
            state = check_move(job_id, job.state, move)
            set_state(connection, owner, key, state, now_micros(self._clock), pause)
            return find_job(connection, owner, job_id)[1]

        return await self._database.write(do)

    async def retry(self, owner: str, job_id: str, item_ids: Sequence[str] | None) -> int:
        def do(connection: apsw.Connection) -> int:
            key, job = find_job(connection, owner, job_id)
            state = check_move(job_id, job.state, Move.RETRY)
            if item_ids is None:
                connection.execute(query("failed_to_pending"), {"job_key": key, "owner": owner})
                count = connection.changes()
                deleted = 0
            else:
                moved = [_retry_one(connection, owner, key, job_id, item_id) for item_id in set(item_ids)]
                count, deleted = moved.count(ItemState.FAILED), moved.count(ItemState.COMPLETED)
            if count or deleted:
                now = now_micros(self._clock)
                connection.execute(query("job_retried"), {"job_key": key, "owner": owner, "count": count})
                connection.execute(query("job_regenerates"), {"job_key": key, "owner": owner, "count": deleted})
                set_state(connection, owner, key, state, now, job.pause)
            return count + deleted

        return await self._database.write(do)

    async def failures(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[Failure]:
        values = {"owner": owner, "job_id": job_id, "after": after, "limit": limit}

        def do(connection: apsw.Connection) -> list[Failure]:
            find_job(connection, owner, job_id)
            return [_failure(row) for row in connection.execute(query("failures"), values)]

        return await self._database.read(do)

    async def clean_step(self, owner: str, job_id: str, *, limit: int = 5_000) -> bool:
        def do(connection: apsw.Connection) -> bool:
            key, job = find_job(connection, owner, job_id)
            if job.state is not JobState.COMPLETED or job.counts.failed:
                return False
            if drop_rows(connection, _CLEANED, owner, key, limit):
                return True
            connection.execute(query("mark_cleaned"), {"job_key": key, "owner": owner, "now": now_micros(self._clock)})
            return False

        return await self._database.write(do)

    async def ended_under_workers(self, owner: str) -> Sequence[str]:
        return await self._names("jobs_ended_under_workers", owner)

    async def uncleaned(self, owner: str) -> Sequence[str]:
        return await self._names("uncleaned_jobs", owner)

    async def _names(self, name: str, owner: str) -> Sequence[str]:
        return await self._database.read(lambda c: [job_id for (job_id,) in c.execute(query(name), {"owner": owner})])

    async def discard(self, owner: str, job_id: str) -> int:
        def do(connection: apsw.Connection) -> int:
            key, job = find_job(connection, owner, job_id)
            if job.workers:
                raise JobIsWorked(f"A worker is on job {job_id!r}; cancel it first", job_id=job_id)
            connection.execute(query("hide_job"), {"job_key": key, "owner": owner, "now": now_micros(self._clock)})
            return key

        return await self._database.write(do)


def find_job(connection: apsw.Connection, owner: str, job_id: str) -> tuple[int, Job]:
    """Return a job with its key. Raises JobNotFound."""
    row = connection.execute(query("job"), {"owner": owner, "job_id": job_id}).fetchone()
    if row is None:
        raise JobNotFound(f"There is no job {job_id!r}; `holdfast jobs` lists those there are", job_id=job_id)
    return row[0], _job(row)


def set_state(
    connection: apsw.Connection, owner: str, key: int, state: JobState, now: int, pause: Pause | None = None
) -> None:
    """Store a job's state; the reason of a pause is kept only while it is paused."""
    shown = pause if state is JobState.PAUSED else None
    connection.execute(
        query("set_state"),
        {
            "job_key": key,
            "owner": owner,
            "state": str(state),
            "now": now,
            "pause_code": shown.code if shown else None,
            "pause_message": shown.message if shown else None,
            "finished_at": now if state in (*FINISHED, JobState.CANCELLED) else None,
        },
    )


def drop_rows(connection: apsw.Connection, names: Sequence[str], owner: str, key: int, limit: int) -> bool:
    """Execute the first of these deletes that finds rows; False when none did."""
    for name in names:
        connection.execute(query(name), {"job_key": key, "owner": owner, "limit": limit})
        if connection.changes():
            return True
    return False


def _retry_one(connection: apsw.Connection, owner: str, key: int, job_id: str, item_id: str) -> ItemState:
    """Put an item back, and return the state that it was in."""
    values = {"job_key": key, "owner": owner, "id": item_id}
    for name, state in (
        ("failed_to_pending_by_id", ItemState.FAILED),
        ("deleted_to_pending_by_id", ItemState.COMPLETED),
    ):
        connection.execute(query(name), values)
        if connection.changes():
            return state
    row = connection.execute(query("item_state"), values).fetchone()
    if row is None:
        raise ItemNotFound(f"Job {job_id!r} has no item {item_id!r}", job_id=job_id, item_id=item_id)
    told = "only failed items can be retried, and those whose conversation was deleted"
    if row[1] is not None:
        told = "what it was given was cleaned with its job. Restore its conversation, or run it in a new job"
    raise IllegalMove(
        f"Item {item_id!r} of job {job_id!r} is {row[0]}; {told}",
        job_id=job_id,
        item_id=item_id,
        state=row[0],
    )


def _failure(row: Row) -> Failure:
    position, item_id, topic, attempts, code, message, raw, ended_at = row
    return Failure(position, item_id, topic, attempts, code, message, raw, to_text(from_micros(ended_at)))


def _job(row: Row) -> Job:
    (_, job_id, owner, state, processor, settings, recipe, pending, running, completed, failed, skipped, tokens_in,
     tokens_out, workers, pause_code, pause_message, cleaned_at, created_at, updated_at, finished_at) = row  # fmt: skip
    return Job(
        id=job_id,
        owner=owner,
        state=JobState(state),
        processor=processor,
        recipe=orjson.loads(recipe) if recipe is not None else None,
        settings=JobSettings(**orjson.loads(settings)),
        counts=Counts(pending, running, completed, failed, skipped),
        tokens=Tokens(tokens_in, tokens_out),
        workers=workers,
        pause=Pause(pause_code, pause_message) if pause_code else None,
        cleaned=cleaned_at is not None,
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
        finished_at=from_micros(finished_at) if finished_at is not None else None,
    )
