"""Jobs brought to where a test of a store begins, through the store's own methods."""

from collections.abc import Sequence
from typing import Any

from backstay.batch.item import ClaimedItem
from backstay.batch.job import Job, JobSettings
from backstay.batch.outcome import Verdict
from backstay.batch.store import Claim, CommitReport, Lease, StagedJob
from backstay.library.conversation import Conversation
from support.data.conversations import drafts_of, items
from support.data.verdicts import completed
from support.fakes.workers import card
from support.stores.kinds import OpenStore

OWNER = "local"


async def stage(store: OpenStore, source: Sequence[Any] = (), *, owner: str = OWNER) -> StagedJob:
    """Stage a job with these items."""
    staged = await store.batches.intake.stage(owner, card("creator"))
    if source:
        await store.batches.intake.stage_items(staged, await drafts_of(source))
    return staged


async def create(
    store: OpenStore,
    source: Sequence[Any] | int = 3,
    *,
    job_id: str = "job",
    owner: str = OWNER,
    processor: str = "caller",
) -> Job:
    """Create a job with these items, or with that many."""
    staged = await stage(store, items(source) if isinstance(source, int) else source, owner=owner)
    assert await store.batches.intake.publish(staged, job_id, processor, JobSettings())
    return await job(store, job_id, owner=owner)


async def job(store: OpenStore, job_id: str = "job", *, owner: str = OWNER) -> Job:
    return await store.batches.jobs.job(owner, job_id)


async def acquire_lease(store: OpenStore, job_id: str = "job", *, owner: str = OWNER, name: str = "a") -> Lease:
    """Take a lease on a job that has work left."""
    entered = await store.batches.work.acquire_lease(owner, job_id, card(name), after_lease_loss=False)
    assert entered.lease is not None
    return entered.lease


async def commit(
    store: OpenStore, lease: Lease, *verdicts: Verdict, room: int = 0, alone: bool = False
) -> CommitReport:
    return await store.batches.work.commit(lease, verdicts, Claim(free_slots=room, may_claim_suspect=alone))


async def claim(store: OpenStore, lease: Lease, room: int = 1, *, alone: bool = False) -> Sequence[ClaimedItem]:
    """Claim items and commit nothing else."""
    return (await commit(store, lease, room=room, alone=alone)).claimed


async def claim_one(store: OpenStore, lease: Lease, *, alone: bool = False) -> ClaimedItem:
    (only,) = await claim(store, lease, 1, alone=alone)
    return only


async def die(store: OpenStore, lease: Lease, *, crash_limit: int = 3) -> bool:
    """Have another worker find this one dead, and reclaim its lease."""
    rows = await store.batches.work.workers(lease.owner, lease.job_id)
    (row,) = [row for row in rows if row.token == lease.token]
    return await store.batches.work.reclaim(lease.owner, row, crash_limit=crash_limit)


async def keep(store: OpenStore, *conversations: Conversation, job_id: str = "job") -> None:
    """Store conversations as the results of a job, in their order."""
    await create(store, len(conversations), job_id=job_id)
    lease = await acquire_lease(store, job_id)
    held = await claim(store, lease, len(conversations))
    await commit(store, lease, *map(completed, held, conversations))
    await store.batches.work.release(lease)
