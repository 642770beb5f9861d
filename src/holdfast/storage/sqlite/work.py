"""Items while workers work on them, on SQLite. Implements `batch.store.WorkStore`."""

from collections.abc import Sequence
from dataclasses import asdict

import apsw
import orjson

from holdfast.batch.checkpoint import Counts, Tokens
from holdfast.batch.item import ClaimedItem, Item, ItemState
from holdfast.batch.job import JobState, Move, Pause, check_move
from holdfast.batch.outcome import Verdict
from holdfast.batch.store import Claim, CommitReport, Entered, Lease, WorkerCard, WorkerRow
from holdfast.clock import Clock
from holdfast.errors import LeaseLost
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.jobs import find_job, set_state
from holdfast.storage.sqlite.queries import Row, execute_rows, query, select_rows
from holdfast.storage.sqlite.results import Moved, write_verdicts
from holdfast.storage.sqlite.times import from_micros, now_micros

_LONGEST_WAIT = 900 * 1_000_000  # microseconds; no back-off is longer, so what lies further ahead is a clock set back


class SqliteWork:
    """Moves items while workers work."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def enter(self, owner: str, job_id: str, card: WorkerCard, *, again: bool) -> Entered:
        def do(connection: apsw.Connection) -> Entered:
            key, job = find_job(connection, owner, job_id)
            now = now_micros(self._clock)
            if job.counts.all_settled:
                # Nothing to do, or a worker died between the last item and this line: settle it here.
                settle_if_done(connection, owner, key, job.state, job.counts, now)
                return Entered(None, find_job(connection, owner, job_id)[1])
            if again and job.state in (JobState.PAUSED, JobState.CANCELLED):
                return Entered(None, job)
            state = check_move(job_id, job.state, Move.WORK)
            if job.state is not JobState.RUNNING:
                set_state(connection, owner, key, state, now)
            values = {"owner": owner, "job_key": key, "now": now, **asdict(card)}
            token = connection.execute(query("insert_worker"), values).get
            return Entered(Lease(owner, key, job_id, token), find_job(connection, owner, job_id)[1])

        return await self._database.write(do)

    async def commit(self, lease: Lease, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        return await self._database.write(lambda connection: self._commit(connection, lease, verdicts, claim))

    def _commit(
        self, connection: apsw.Connection, lease: Lease, verdicts: Sequence[Verdict], claim: Claim
    ) -> CommitReport:
        fence(connection, lease.owner, lease.job_key, lease.token)
        now = now_micros(self._clock)
        moved = Moved()
        if verdicts:
            write_verdicts(connection, lease, verdicts, now, moved)
        state, _, _ = standing(connection, lease)
        if state is JobState.PENDING:
            # Items were put into a job that was about to end under this worker: it goes on.
            state = JobState.RUNNING
            set_state(connection, lease.owner, lease.job_key, state, now)
        claimed: list[ClaimedItem] = []
        if claim.room > 0 and state is JobState.RUNNING and not any(v.result == "doomed" for v in verdicts):
            claimed = self._claim(connection, lease, claim, now)
            moved.pending -= len(claimed)
            moved.running += len(claimed)
        if verdicts or claimed:
            values = {"token": lease.token, "owner": lease.owner, "now": now, **asdict(moved)}
            connection.execute(query("move_counts"), values)
        state, counts, tokens = standing(connection, lease)
        if doomed := next((v for v in verdicts if v.result == "doomed"), None):
            if state is JobState.RUNNING:
                state = JobState.PAUSED
                pause = Pause(doomed.code or "doom", doomed.message or "")
                set_state(connection, lease.owner, lease.job_key, state, now, pause)
        else:
            state = settle_if_done(connection, lease.owner, lease.job_key, state, counts, now)
        due, suspects = (None, False)
        if claim.room > 0 and not claimed:
            due, suspects = self._next_due(connection, lease, claim, now)
        return CommitReport(claimed, state, counts, tokens, suspects, due)

    def _claim(self, connection: apsw.Connection, lease: Lease, claim: Claim, now: int) -> list[ClaimedItem]:
        values = {
            "token": lease.token,
            "owner": lease.owner,
            "job_key": lease.job_key,
            "now": now,
            "latest": now + _LONGEST_WAIT,
            "max_interruptions": claim.max_interruptions,
            "alone": False,
            "room": claim.room,
        }
        rows: list[Row] = connection.execute(query("claim_items"), values).fetchall()
        alone = not rows and claim.alone
        if alone:
            rows = connection.execute(query("claim_items"), {**values, "alone": True, "room": 1}).fetchall()
        found = select_rows(connection, "inputs_at", [(row[0],) for row in rows], lease.job_key)
        inputs = {position: (topic, persona, parameters) for position, topic, persona, parameters in found}
        claimed, started_at = [], from_micros(now)
        for position, item_id, attempt, tries in sorted(rows):
            topic, persona, parameters = inputs[position]
            given = orjson.loads(parameters) if parameters != "{}" else {}
            item = Item(topic, item_id, persona, given)
            claimed.append(ClaimedItem(item, position, attempt, tries, alone, started_at))
        return claimed

    def _next_due(self, connection: apsw.Connection, lease: Lease, claim: Claim, now: int) -> tuple[float | None, bool]:
        values = {"job_key": lease.job_key, "owner": lease.owner, "max_interruptions": claim.max_interruptions}
        due, suspects = connection.execute(query("next_due"), values).fetchone() or (None, 0)
        return (None if due is None else max(0.0, (due - now) / 1e6)), bool(suspects)

    async def put_back(self, lease: Lease, positions: Sequence[int], pause: Pause) -> None:
        def do(connection: apsw.Connection) -> None:
            fence(connection, lease.owner, lease.job_key, lease.token)
            now = now_micros(self._clock)
            count = execute_rows(
                connection, "failed_to_pending_by_position", [(position,) for position in positions], lease.job_key
            )
            values = {"token": lease.token, "owner": lease.owner, "now": now, **asdict(Moved())}
            connection.execute(query("move_counts"), {**values, "pending": count, "failed": -count})
            state, _, _ = standing(connection, lease)
            if state is not JobState.CANCELLED:
                set_state(connection, lease.owner, lease.job_key, JobState.PAUSED, now, pause)

        await self._database.write(do)

    async def leave(self, lease: Lease) -> None:
        def do(connection: apsw.Connection) -> None:
            if is_current(connection, lease.owner, lease.job_key, lease.token):
                _end_lease(
                    connection, lease.owner, lease.job_key, lease.token, now_micros(self._clock), crash_limit=None
                )

        await self._database.write(do)

    async def workers(self, owner: str, job_id: str) -> Sequence[WorkerRow]:
        values = {"owner": owner, "job_id": job_id}
        return await self._database.read(
            lambda c: [
                WorkerRow(token, beat, WorkerCard(*card)) for token, beat, *card in c.execute(query("workers"), values)
            ]
        )

    async def take_over(self, owner: str, worker: WorkerRow, *, crash_limit: int) -> bool:
        def do(connection: apsw.Connection) -> bool:
            same = {"token": worker.token, "owner": owner, "beat": worker.beat}
            row = connection.execute(query("worker_at_beat"), same).fetchone()
            if row is None:
                return False
            key, stopping = row
            limit = None if stopping else crash_limit
            _end_lease(connection, owner, key, worker.token, now_micros(self._clock), crash_limit=limit)
            return True

        return await self._database.write(do)

    def beat(self, lease: Lease) -> None:
        self._mark(lease, "beat")

    def mark_stopping(self, lease: Lease) -> None:
        self._mark(lease, "mark_stopping")

    def _mark(self, lease: Lease, name: str) -> None:
        def do(connection: apsw.Connection) -> None:
            connection.execute(query(name), {"token": lease.token, "owner": lease.owner})
            if not connection.changes():
                raise _lost(lease.token)

        self._database.write_blocking(do)


def is_current(connection: apsw.Connection, owner: str, job_key: int, token: int) -> bool:
    """Whether a token is current. In a write transaction the answer holds until its end: SQLite has one writer."""
    values = {"token": token, "owner": owner, "job_key": job_key}
    return connection.execute(query("fence"), values).fetchone() is not None


def fence(connection: apsw.Connection, owner: str, job_key: int, token: int) -> None:
    """Refuse to go on with an outdated token. Raises LeaseLost."""
    if not is_current(connection, owner, job_key, token):
        raise _lost(token)


def _end_lease(
    connection: apsw.Connection,
    owner: str,
    job_key: int,
    token: int,
    now: int,
    *,
    crash_limit: int | None,
) -> None:
    """Return what a worker holds to pending, fold its counts into the job, and remove its row.

    Without a crash limit the worker was told to stop, so that nothing it holds was interrupted.
    """
    held = {
        "job_key": job_key,
        "token": token,
        "stopping": crash_limit is None,
        "crash_limit": crash_limit or 0,
        "now": now,
    }
    connection.execute(query("interrupt_attempts"), held)
    states = [state for (state,) in connection.execute(query("interrupt_items"), held)]
    moved = Moved(running=-len(states))
    for state in states:
        moved.add(ItemState(state), +1)
    values = {"token": token, "owner": owner, "now": now}
    connection.execute(query("move_counts"), {**values, **asdict(moved)})
    connection.execute(query("fold_counts"), values)
    connection.execute(query("delete_worker"), values)


def standing(connection: apsw.Connection, lease: Lease) -> tuple[JobState, Counts, Tokens]:
    """Return a job's state and the sums over its workers, within the transaction."""
    values = {"job_key": lease.job_key, "owner": lease.owner}
    state, *numbers = connection.execute(query("job_standing"), values).fetchone()  # type: ignore[misc]
    return JobState(state), Counts(*numbers[:5]), Tokens(*numbers[5:])


def settle_if_done(
    connection: apsw.Connection, owner: str, key: int, state: JobState, counts: Counts, now: int
) -> JobState:
    """running, pending or paused → completed or completed_with_failures, once the counts say that nothing is left."""
    if state not in (JobState.RUNNING, JobState.PENDING, JobState.PAUSED) or not counts.all_settled:
        return state
    settled = JobState.COMPLETED_WITH_FAILURES if counts.failed else JobState.COMPLETED
    set_state(connection, owner, key, settled, now)
    return settled


def _lost(token: int) -> LeaseLost:
    return LeaseLost("This worker was taken over by another; what it held is theirs now", token=token)
