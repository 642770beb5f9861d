"""Reads jobs, and acts on whole jobs. Implements `batch.store.JobStore`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import orjson

from backstay.batch.call_limits import CallLimits
from backstay.batch.item import FailedItem, FailureEvent, ItemState, ItemSummary
from backstay.batch.job import (
    FINISHED,
    MAX_EVIDENCE_ATTEMPTS,
    Job,
    JobAction,
    JobSettings,
    JobState,
    Pause,
    RegeneratedJob,
    check_action,
    has_workers_error,
)
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.clock import to_text
from backstay.errors import JobNotFound
from backstay.library.id_text import quoted_id
from backstay.storage.sql.database import MAX_KEY, Row, Session, SqlStore
from backstay.storage.sql.input_blocks import StoredInput, pack_inputs, packed_inputs
from backstay.storage.sql.item_actions import retry_item, skip_items
from backstay.storage.sql.times import from_micros, now_micros, to_micros
from backstay.storage.sql.waiting_imports import drop_waiting_import, refuse_waiting_import

T = TypeVar("T")

_CLEANUP_STATEMENTS = ("drop_attempts", "drop_failures")


class SqlJobs(SqlStore):
    """The jobs of a database."""

    async def job(self, owner: str, job_id: str) -> Job:
        return await self._database.read(lambda s: find_job(s, owner, job_id), owner=owner)

    async def jobs(self, owner: str, *, incomplete: bool, limit: int, before: int | None = None) -> Sequence[Job]:
        end = MAX_KEY if before is None else before
        values = {"owner": owner, "incomplete": incomplete, "before": end, "limit": limit}
        return await self._database.read(lambda s: [_job(row) for row in s.rows("jobs", values)], owner=owner)

    async def apply_action(self, owner: str, job_id: str, action: JobAction, pause: Pause | None = None) -> Job:
        def apply_action(session: Session) -> Job:
            job = lock_job(session, owner, job_id)
            state = check_action(job_id, job.state, action)
            set_state(session, owner, job.key, state, now_micros(self._clock), pause)
            return find_job(session, owner, job_id)

        return await self._database.write(apply_action)

    async def set_limits(self, owner: str, job_id: str, limits: CallLimits) -> None:
        def set_limits(session: Session) -> None:
            job = lock_job(session, owner, job_id)
            settings = replace(job.settings, limits=job.settings.limits.with_changes(limits))
            if settings != job.settings:
                session.execute(
                    "set_settings", {"job_key": job.key, "owner": owner, "settings": settings_text(settings)}
                )

        await self._database.write(set_limits)

    async def retry(self, owner: str, job_id: str, item_ids: Sequence[str] | None) -> int:
        def retry(session: Session) -> int:
            job = lock_job(session, owner, job_id)
            return retry_items(session, job, item_ids, now_micros(self._clock))

        return await self._database.write(retry)

    async def skip(self, owner: str, job_id: str, item_ids: Sequence[str]) -> int:
        def skip(session: Session) -> int:
            job = lock_job(session, owner, job_id)
            state, now = check_action(job_id, job.state, JobAction.SKIP), now_micros(self._clock)
            moved = skip_items(session, owner, job.key, job_id, item_ids, now)
            if moved.total():
                counts = {str(former): moved[former] for former in (ItemState.PENDING, ItemState.FAILED)}
                session.execute("record_skipped_items", {"job_key": job.key, "owner": owner, **counts})
                job = find_job(session, owner, job_id)
                set_state(session, owner, job.key, settled_state(job.counts) or state, now, job.pause)
            return moved.total()

        return await self._database.write(skip)

    async def items(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[ItemSummary]:
        def items(session: Session) -> list[ItemSummary]:
            job = find_job(session, owner, job_id)
            values = {"job_key": job.key, "owner": owner, "after": after, "limit": limit}
            rows = session.rows("items_after", values)
            packed = packed_inputs(session, owner, job.key, [row[0] for row in rows if row[3] is None])
            return [_item_summary(row, packed.get(row[0])) for row in rows]

        return await self._database.read(items, owner=owner)

    async def failures(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailedItem]:
        return await self._read_rows("failures", _failed_item, owner, job_id, after=after, limit=limit)

    async def failure_codes(self, owner: str, job_id: str) -> Mapping[str, bool]:
        return dict(await self._read_rows("failure_codes", lambda row: (row[0], bool(row[1])), owner, job_id))

    async def pause_evidence(self, owner: str, job_id: str) -> Sequence[FailedItem]:
        return await self._read_rows("pause_evidence", _failed_item, owner, job_id)

    async def last_failure(self, owner: str, job_id: str) -> int:
        return (await self._read_rows("last_failure", lambda row: int(row[0]), owner, job_id))[0]

    async def failures_since(self, owner: str, job_id: str, *, after: int, limit: int) -> Sequence[FailureEvent]:
        return await self._read_rows("failures_since", _failure_event, owner, job_id, after=after, limit=limit)

    async def _read_rows(
        self, name: str, convert: Callable[[Row], T], owner: str, job_id: str, **values: int
    ) -> list[T]:
        """Return the converted rows of a query about a job. Raises JobNotFound."""

        def read_rows(session: Session) -> list[T]:
            job = find_job(session, owner, job_id)
            rows = session.rows(name, {"job_key": job.key, "owner": owner, **values})
            return [convert(row) for row in rows]

        return await self._database.read(read_rows, owner=owner)

    async def clean_step(self, owner: str, job_id: str, *, limit: int = 5_000) -> bool:
        def clean_step(session: Session) -> bool:
            job = lock_job(session, owner, job_id)
            if job.state is not JobState.COMPLETED or job.counts.failed:
                return False
            if drop_rows(session, _CLEANUP_STATEMENTS, owner, job.key, limit):
                return True
            if pack_inputs(session, owner, job.key, limit):
                return True
            session.execute("mark_cleaned", {"job_key": job.key, "owner": owner, "now": now_micros(self._clock)})
            return False

        return await self._database.write(clean_step)

    async def finished_jobs_with_leases(self, owner: str) -> Sequence[str]:
        return await self._job_ids("ended_jobs_with_workers", owner)

    async def jobs_to_clean(self, owner: str) -> Sequence[str]:
        return await self._job_ids("uncleaned_jobs", owner)

    async def _job_ids(self, statement: str, owner: str) -> Sequence[str]:
        return await self._database.read(
            lambda s: [job_id for (job_id,) in s.rows(statement, {"owner": owner})], owner=owner
        )

    async def discard(self, owner: str, job_id: str) -> int | None:
        def discard(session: Session) -> int | None:
            if drop_waiting_import(session, owner, job_id):
                return None
            job = lock_job(session, owner, job_id)
            if job.workers:
                raise has_workers_error(job_id)
            session.execute("hide_job", {"job_key": job.key, "owner": owner, "now": now_micros(self._clock)})
            return job.key

        return await self._database.write(discard)


def find_job(session: Session, owner: str, job_id: str) -> Job:
    """Return a job. Raises JobNotFound."""
    row = session.row("job", {"owner": owner, "job_id": job_id})
    if row is None:
        refuse_waiting_import(session, owner, job_id)
        raise JobNotFound(f"Job {quoted_id(job_id)} not found", job_id=job_id)
    return _job(row)


def lock_job(session: Session, owner: str, job_id: str) -> Job:
    """Lock a job, then return it like `find_job`. Until this transaction ends, no other changes it or adds to it."""
    session.lock("lock_job_by_id", {"owner": owner, "job_id": job_id})
    return find_job(session, owner, job_id)


def set_state(session: Session, owner: str, key: int, state: JobState, now: int, pause: Pause | None = None) -> None:
    """Store a job's state, and the reason of its pause if it is paused now."""
    reason = pause if state is JobState.PAUSED else None
    session.execute(
        "set_state",
        {
            "job_key": key,
            "owner": owner,
            "state": str(state),
            "now": now,
            "pause_code": reason.code if reason else None,
            "pause_message": reason.message if reason else None,
            "pause_evidence": _evidence_json(reason) if reason else None,
            "finished_at": now if state in (*FINISHED, JobState.CANCELLED) else None,
        },
    )


def retry_items(session: Session, job: Job, item_ids: Sequence[str] | None, now: int) -> int:
    """Requeue failed items of a locked job (all, or those named); return how many. Raises like `JobStore.retry`."""
    state, values = check_action(job.id, job.state, JobAction.RETRY), {"job_key": job.key, "owner": job.owner}
    if item_ids is None:
        count, deleted = session.execute("failed_to_pending", values), 0
    else:
        moved = [retry_item(session, job.owner, job.key, job.id, item_id) for item_id in set(item_ids)]
        count, deleted = moved.count(ItemState.FAILED), moved.count(ItemState.COMPLETED)
    if count or deleted:
        session.execute("record_retried_items", {**values, "count": count})
        session.execute("record_regenerated_items", {**values, "count": deleted})
        set_state(session, job.owner, job.key, state, now, job.pause)
    return count + deleted


def settled_state(counts: ItemCounts) -> JobState | None:
    """Return the state of a job with these counts if all its items are settled, else None."""
    if not counts.all_settled:
        return None
    return JobState.COMPLETED_WITH_FAILURES if counts.failed else JobState.COMPLETED


def drop_rows(session: Session, names: Sequence[str], owner: str, key: int, limit: int) -> bool:
    """Execute these bounded deletes until one finds rows; return whether one did."""
    return any(session.execute(name, {"job_key": key, "owner": owner, "limit": limit}) for name in names)


def _item_summary(row: Row, packed: StoredInput | None) -> ItemSummary:
    (
        position,
        item_id,
        state,
        topic,
        persona,
        conversation_topic,
        conversation_persona,
        attempts,
        result,
        code,
        message,
        edited,
    ) = row
    if packed is not None:
        topic, persona = packed.topic, packed.persona
    topic = conversation_topic if topic is None else topic
    persona = conversation_persona if persona is None else persona
    return ItemSummary(
        position, item_id, ItemState(state), topic, persona, attempts, result, code, message, bool(edited)
    )


def _failed_item(row: Row) -> FailedItem:
    position, item_id, topic, attempts, code, message, raw, ended_at, state, traceback, *edited = row
    failed_at = to_text(from_micros(ended_at))
    return FailedItem(
        position, item_id, topic, attempts, code, message, raw, failed_at, ItemState(state), traceback, any(edited)
    )


def _failure_event(row: Row) -> FailureEvent:
    sequence, position, item_id, topic, attempt, code, message, ended_at = row
    return FailureEvent(sequence, position, item_id, topic, attempt, code, message, to_text(from_micros(ended_at)))


def settings_text(settings: JobSettings) -> str:
    """Return the settings of a job as the text that is stored."""
    return orjson.dumps(settings.to_dict()).decode()


def waiting_text(waiting: ProviderWait) -> str:
    """Return what a worker waits for as the text that is stored."""
    return orjson.dumps([waiting.reason, waiting.detail, to_micros(waiting.until)]).decode()


def _waiting(text: str) -> ProviderWait:
    reason, detail, until = orjson.loads(text)
    return ProviderWait(reason, detail, from_micros(until))


def _evidence_json(pause: Pause) -> str | None:
    attempts = list(dict.fromkeys(pause.evidence))[:MAX_EVIDENCE_ATTEMPTS]
    return orjson.dumps(attempts).decode() if attempts else None


def _pause(code: str | None, message: str, evidence: str | None) -> Pause | None:
    if code is None:
        return None
    attempts = orjson.loads(evidence) if evidence is not None else []
    return Pause(code, message, tuple((position, number) for position, number in attempts))


def _job(row: Row) -> Job:
    (key, job_id, owner, state, processor, settings, recipe, revision, pending, running, completed, failed, skipped,
     tokens_in, tokens_out, workers, waiting, pause_code, pause_message, pause_evidence, cleaned_at, created_at,
     updated_at, finished_at, regenerated_id, backup_id) = row  # fmt: skip
    return Job(
        key=key,
        id=job_id,
        owner=owner,
        state=JobState(state),
        processor=processor,
        recipe=orjson.loads(recipe) if recipe is not None else None,
        revision=revision,
        settings=JobSettings.from_dict(orjson.loads(settings)),
        counts=ItemCounts(pending, running, completed, failed, skipped),
        tokens=TokenCounts(tokens_in, tokens_out),
        workers=workers,
        provider_wait=_waiting(waiting) if waiting is not None else None,
        pause=_pause(pause_code, pause_message, pause_evidence),
        cleaned=cleaned_at is not None,
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
        finished_at=from_micros(finished_at) if finished_at is not None else None,
        regenerates=RegeneratedJob(regenerated_id, backup_id) if regenerated_id is not None else None,
    )
