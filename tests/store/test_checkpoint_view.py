"""The view `batch_checkpoints`, which has the original's shape: one row a job with a JSON array of items."""

import json
from datetime import datetime
from uuid import UUID

from backstay.batch.job import JobAction
from support.data.verdicts import completed, failed, skipped
from support.fakes.clock import NOON
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, stage

_COLUMNS = (
    "id",
    "job_id",
    "completed_items",
    "failed_items",
    "progress_percentage",
    "last_checkpoint_at",
    "created_at",
    "updated_at",
)


def _view(store):
    """Return every row of the view by job."""
    rows = store.sql(f"SELECT {', '.join(_COLUMNS)} FROM batch_checkpoints")
    return {row[1]: dict(zip(_COLUMNS, row, strict=True)) for row in rows}


def _moment(value):
    """Return a time, which some databases give as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _ids(value):
    """Return an array of ids, which some databases give as text."""
    return json.loads(value) if isinstance(value, str) else value


async def test_job_is_seen_in_the_old_columns(store):
    """The view lists item ids in the order of the input, and the percentage of completed items."""
    await create(store, 8)
    lease = await acquire_lease(store)
    first, second, third, _ = await claim(store, lease, 4)
    store.clock.move(60)
    await commit(store, lease, completed(third), failed(second), completed(first))

    row = _view(store)["job"]

    assert str(UUID(str(row["id"]))) == str(row["id"])
    assert _ids(row["completed_items"]) == ["item-1", "item-3"]
    assert _ids(row["failed_items"]) == ["item-2"]
    assert row["progress_percentage"] == 25
    assert (_moment(row["last_checkpoint_at"]) - _moment(row["created_at"])).total_seconds() == 60
    assert abs((_moment(row["created_at"]) - NOON).total_seconds()) < 0.001
    assert _moment(row["updated_at"]) >= _moment(row["created_at"])


async def test_new_job_has_done_nothing(store):
    """A new job has empty arrays in the view, not NULL."""
    await create(store, 2)

    row = _view(store)["job"]

    assert (_ids(row["completed_items"]), _ids(row["failed_items"]), row["progress_percentage"]) == ([], [], 0)


async def test_progress_is_the_same_after_workers_left(store):
    """The view shows the same progress while workers hold the counts and after they have left."""
    await create(store, 4)
    lease_a, lease_b = await acquire_lease(store), await acquire_lease(store, name="b")
    await commit(store, lease_a, completed(await claim_one(store, lease_a)))
    await commit(store, lease_b, skipped(await claim_one(store, lease_b)), failed(await claim_one(store, lease_b)))
    before = _view(store)["job"]["progress_percentage"]
    await store.batches.work.release(lease_a)
    await store.batches.work.release(lease_b)

    assert before == _view(store)["job"]["progress_percentage"] == 25


async def test_percentage_is_rounded_down(store):
    """The percentage is rounded down, so that 100 means all items."""
    await create(store, 300)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 300)

    await commit(store, lease, *map(completed, held[:299]))
    assert _view(store)["job"]["progress_percentage"] == 99
    await commit(store, lease, completed(held[299]))
    assert _view(store)["job"]["progress_percentage"] == 100


async def test_only_jobs_with_a_checkpoint_are_seen(store):
    """The view omits jobs that are being created or removed, and those whose checkpoint was cleaned."""
    await stage(store, [{"topic": "staged"}])
    for name in ("cleaned", "failed", "cancelled", "discarded"):
        await create(store, 1, job_id=name)
    for name, ending in (("cleaned", completed), ("failed", failed)):
        lease = await acquire_lease(store, name)
        await commit(store, lease, ending(await claim_one(store, lease)))
        await store.batches.work.release(lease)
    while await store.batches.jobs.clean_step(OWNER, "cleaned"):
        pass
    await store.batches.jobs.apply_action(OWNER, "cancelled", JobAction.CANCEL)
    await store.batches.jobs.discard(OWNER, "discarded")

    assert set(_view(store)) == {"failed", "cancelled"}


async def test_every_row_has_its_owner(store):
    """Each row of the view names the owner, since two owners may have jobs of the same name."""
    await create(store, 1, owner="me")
    await create(store, 1, owner="you")

    rows = store.sql("SELECT job_id, owner FROM batch_checkpoints ORDER BY owner")

    assert rows == [("job", "me"), ("job", "you")]
