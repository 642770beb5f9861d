"""The work on items under leases. Implements `batch.store.WorkStore`."""

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from backstay.batch.item import ClaimedItem, Item
from backstay.batch.job import JobAction, JobState, Pause, check_action
from backstay.batch.outcome import Verdict
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.batch.recipe_revision import recipe_revised_error
from backstay.batch.store import AcquireResult, Claim, CommitReport, Lease, WorkerIdentity, WorkerRow
from backstay.storage.sql.adoption_guard import refuse_unwritable
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.jobs import find_job, lock_job, set_state, settled_state, waiting_text
from backstay.storage.sql.leases import end_lease, fence, mark_worker, try_fence
from backstay.storage.sql.times import from_micros, now_micros
from backstay.storage.sql.verdicts import CountChanges, write_verdicts

_MAX_WAIT_MICROS = 900 * 1_000_000  # no backoff is longer, so a later due time means that the clock was set back


class SqlWork(SqlStore):
    """The leases of workers, and the items that they claim and settle."""

    async def acquire_lease(
        self,
        owner: str,
        job_id: str,
        identity: WorkerIdentity,
        *,
        after_lease_loss: bool,
        revision: int | None = None,
    ) -> AcquireResult:
        def acquire_lease(session: Session) -> AcquireResult:
            job = lock_job(session, owner, job_id)
            now = now_micros(self._clock)
            if job.counts.all_settled:
                # All items are settled, but a worker may have died before it settled the job.
                settle_if_done(session, owner, job.key, job.state, job.counts, now)
                return AcquireResult(None, find_job(session, owner, job_id))
            if after_lease_loss and job.state in (JobState.PAUSED, JobState.CANCELLED):
                # That happened while this run had no lease; a new lease would set the job to running again.
                return AcquireResult(None, job)
            state = check_action(job_id, job.state, JobAction.RESUME)
            if revision is not None and revision != job.revision:
                raise recipe_revised_error(job, revision)
            refuse_unwritable(session, owner)
            if job.state is not JobState.RUNNING:
                set_state(session, owner, job.key, state, now)
            values = {"owner": owner, "job_key": job.key, "now": now, **asdict(identity)}
            token = session.value("insert_worker", values)
            lease = Lease(owner, job.key, job_id, token, revision, is_replacing=job.regenerates is not None)
            return AcquireResult(lease, find_job(session, owner, job_id))

        return await self._database.write(acquire_lease)

    async def commit(self, lease: Lease, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        # If the outcome stayed unknown, the worker would commit again and claim other items; those of the first claim
        # would be running without anyone working on them.
        return await self._database.write(lambda s: self._commit(s, lease, verdicts, claim), wait_for_outcome=True)

    def _commit(self, session: Session, lease: Lease, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        fence(session, lease.owner, lease.job_key, lease.token)
        now, changes = now_micros(self._clock), CountChanges()
        write_verdicts(session, lease, verdicts, now, changes)
        state, counts, tokens = job_progress(session, lease)
        if state is JobState.PENDING:
            state = _resume_running(session, lease, now)
        halting = next((verdict for verdict in verdicts if verdict.halts_job), None)
        claimed: list[ClaimedItem] = []
        if state is JobState.RUNNING and halting is None and claim.free_slots > 0:
            claimed = _claim_items(session, lease, claim, now)
            changes.pending -= len(claimed)
            changes.running += len(claimed)
        if verdicts or claimed:
            values = {"token": lease.token, "owner": lease.owner, "now": now, **asdict(changes)}
            session.execute("move_counts", values)
        if claimed:
            # The job is not done, so the counts are not read again. The next commit reads what others change meanwhile.
            counts, tokens = changes.apply_to_counts(counts), changes.apply_to_tokens(tokens)
            return CommitReport(claimed, state, counts, tokens, next_due_seconds=None)
        state, counts, tokens = _settle_or_pause(session, lease, halting, now)
        due = _next_due(session, lease, claim, now) if claim.free_slots > 0 else None
        return CommitReport(claimed, state, counts, tokens, due)

    async def requeue(self, lease: Lease, positions: Sequence[int], pause: Pause) -> None:
        def requeue(session: Session) -> None:
            fence(session, lease.owner, lease.job_key, lease.token)
            now = now_micros(self._clock)
            rows = [(position,) for position in positions]
            session.execute_many("forget_tries_by_position", rows, lease.job_key)
            count = session.execute_many("failed_to_pending_by_position", rows, lease.job_key)
            values = {"token": lease.token, "owner": lease.owner, "now": now, **asdict(CountChanges())}
            session.execute("move_counts", {**values, "pending": count, "failed": -count})
            state, _, _ = _lock_job_progress(session, lease)
            if state is not JobState.CANCELLED:
                set_state(session, lease.owner, lease.job_key, JobState.PAUSED, now, pause)

        await self._database.write(requeue)

    async def note_waiting(self, lease: Lease, waiting: ProviderWait | None) -> None:
        text = waiting_text(waiting) if waiting is not None else None
        await self._database.write(lambda s: mark_worker(s, lease, "set_waiting", waiting=text))

    async def release(self, lease: Lease) -> None:
        def release(session: Session) -> None:
            if try_fence(session, lease.owner, lease.job_key, lease.token):
                end_lease(session, lease.owner, lease.job_key, lease.token, now_micros(self._clock), is_stopping=True)

        await self._database.write(release)

    async def workers(self, owner: str, job_id: str) -> Sequence[WorkerRow]:
        values = {"owner": owner, "job_id": job_id}
        return await self._database.read(
            lambda s: [
                WorkerRow(token, beat, WorkerIdentity(*identity))
                for token, beat, *identity in s.rows("workers", values)
            ],
            owner=owner,
        )

    async def reclaim(self, owner: str, worker: WorkerRow, *, crash_limit: int) -> bool:
        def reclaim(session: Session) -> bool:
            seen = {"token": worker.token, "owner": owner, "beat": worker.beat}
            session.end_frozen_session(seen)
            row = session.row("worker_at_beat", seen)
            if row is None:
                return False
            key, stopping = row
            now = now_micros(self._clock)
            end_lease(session, owner, key, worker.token, now, is_stopping=bool(stopping), crash_limit=crash_limit)
            return True

        return await self._database.write(reclaim)

    # These block, because they are called from threads: the event loop may be blocked by a processor.

    def beat(self, lease: Lease) -> None:
        self._database.write_blocking(lambda s: mark_worker(s, lease, "beat"))

    def mark_stopping(self, lease: Lease) -> None:
        self._database.write_blocking(lambda s: mark_worker(s, lease, "mark_stopping"))


def _claim_items(session: Session, lease: Lease, claim: Claim, now: int) -> list[ClaimedItem]:
    """Claim items that are due; if there are none, one suspect: an item interrupted so often that it must run alone."""
    values = {
        "token": lease.token,
        "owner": lease.owner,
        "job_key": lease.job_key,
        "now": now,
        "latest": now + _MAX_WAIT_MICROS,
        "suspect_interruptions": claim.suspect_interruptions,
        "alone": False,
        "max_items": claim.free_slots,
    }
    rows: list[Row] = session.rows("claim_items", values)
    is_alone = not rows and claim.may_claim_suspect
    if is_alone:
        rows = session.rows("claim_items", {**values, "alone": True, "max_items": 1})
    input_rows = session.select_many("inputs_at", [(row[0],) for row in rows], lease.job_key)
    inputs = {row[0]: row for row in input_rows}
    claimed, started_at = [], from_micros(now)
    for position, item_id, attempt, tries in sorted(rows):
        _, topic, persona, parameters, _ = inputs[position]
        item = Item(topic, item_id, persona, orjson.loads(parameters) if parameters != "{}" else {})
        claimed.append(ClaimedItem(item, position, attempt, tries, is_alone, started_at, parameters))
    return claimed


def _settle_or_pause(
    session: Session, lease: Lease, halting: Verdict | None, now: int
) -> tuple[JobState, ItemCounts, TokenCounts]:
    """Pause a job that a verdict halts, or settle one with nothing left; return its progress."""
    state, counts, tokens = job_progress(session, lease)
    if halting is None and not counts.all_settled:
        return state, counts, tokens
    state, counts, tokens = _lock_job_progress(session, lease)
    if halting is None:
        state = settle_if_done(session, lease.owner, lease.job_key, state, counts, now)
    elif state is JobState.RUNNING:
        state = JobState.PAUSED
        attempt = (halting.claimed.position, halting.claimed.attempt)
        pause = Pause(halting.code or "doom", halting.message or "", (attempt, *halting.evidence))
        set_state(session, lease.owner, lease.job_key, state, now, pause)
    return state, counts, tokens


def _next_due(session: Session, lease: Lease, claim: Claim, now: int) -> float | None:
    """Return in how many seconds the next item is due that may run with others; None if there is none."""
    values = {"job_key": lease.job_key, "owner": lease.owner, "suspect_interruptions": claim.suspect_interruptions}
    due = session.value("next_due", values)
    return None if due is None else max(0.0, (due - now) / 1e6)


def job_progress(session: Session, lease: Lease) -> tuple[JobState, ItemCounts, TokenCounts]:
    """Return a job's state, and its counts summed over its workers."""
    values = {"job_key": lease.job_key, "owner": lease.owner}
    state, *numbers = session.row("job_progress", values)  # type: ignore[misc]  # a leased job has a row
    return JobState(state), ItemCounts(*numbers[:5]), TokenCounts(*numbers[5:])


def _lock_job_progress(session: Session, lease: Lease) -> tuple[JobState, ItemCounts, TokenCounts]:
    """Lock a job, then return the same as `job_progress`. Until this transaction ends, no other changes it."""
    session.lock("lock_job", {"job_key": lease.job_key, "owner": lease.owner})
    return job_progress(session, lease)


def _resume_running(session: Session, lease: Lease, now: int) -> JobState:
    """Move a job from pending back to running: this worker had settled it, and then items were added."""
    state, _, _ = _lock_job_progress(session, lease)
    if state is JobState.PENDING:
        state = JobState.RUNNING
        set_state(session, lease.owner, lease.job_key, state, now)
    return state


def settle_if_done(session: Session, owner: str, key: int, state: JobState, counts: ItemCounts, now: int) -> JobState:
    """Complete a running, pending or paused job if all its items are settled; return its state."""
    settled = settled_state(counts)
    if settled is None or state not in (JobState.RUNNING, JobState.PENDING, JobState.PAUSED):
        return state
    set_state(session, owner, key, settled, now)
    return settled
