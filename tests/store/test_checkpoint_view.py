"""The view `batch_checkpoints`, for whoever knows the design with one JSON array a job."""

import json
from datetime import datetime
from uuid import UUID

from backstay.batch.job import JobAction
from support.clocks import NOON
from support.jobs import OWNER, claim, claim_one, commit, create, enter, stage
from support.verdicts import completed, failed, skipped

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
    """Every row of the view, by job."""
    rows = store.sql(f"SELECT {', '.join(_COLUMNS)} FROM batch_checkpoints")
    return {row[1]: dict(zip(_COLUMNS, row, strict=True)) for row in rows}


def _moment(shown):
    """Databases that know times show times, others text; likewise with arrays."""
    return datetime.fromisoformat(shown) if isinstance(shown, str) else shown


def _ids(shown):
    return json.loads(shown) if isinstance(shown, str) else shown


async def test_job_is_seen_in_the_old_columns(store):
    """Items are seen by id in the order of the input, with the share of those that are completed."""
    await create(store, 8)
    lease = await enter(store)
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
    """Empty arrays, not nothing."""
    await create(store, 2)

    row = _view(store)["job"]

    assert (_ids(row["completed_items"]), _ids(row["failed_items"]), row["progress_percentage"]) == ([], [], 0)


async def test_progress_is_the_same_whoever_holds_the_counts(store):
    """Before and after the workers have left."""
    await create(store, 4)
    one, two = await enter(store), await enter(store, name="b")
    await commit(store, one, completed(await claim_one(store, one)))
    await commit(store, two, skipped(await claim_one(store, two)), failed(await claim_one(store, two)))
    before = _view(store)["job"]["progress_percentage"]
    await store.batches.work.release(one)
    await store.batches.work.release(two)

    assert before == _view(store)["job"]["progress_percentage"] == 25


async def test_percentage_is_a_whole_number_that_does_not_promise_too_much(store):
    """A hundred means all."""
    await create(store, 300)
    lease = await enter(store)
    held = await claim(store, lease, 300)

    await commit(store, lease, *map(completed, held[:299]))
    assert _view(store)["job"]["progress_percentage"] == 99
    await commit(store, lease, completed(held[299]))
    assert _view(store)["job"]["progress_percentage"] == 100


async def test_only_jobs_with_a_checkpoint_are_seen(store):
    """Neither those being made or removed, nor those whose checkpoint was cleaned."""
    await stage(store, [{"topic": "staged"}])
    for name in ("cleaned", "failed", "cancelled", "discarded"):
        await create(store, 1, job_id=name)
    for name, ending in (("cleaned", completed), ("failed", failed)):
        lease = await enter(store, name)
        await commit(store, lease, ending(await claim_one(store, lease)))
        await store.batches.work.release(lease)
    while await store.batches.jobs.clean_step(OWNER, "cleaned"):
        pass
    await store.batches.jobs.apply_action(OWNER, "cancelled", JobAction.CANCEL)
    await store.batches.jobs.discard(OWNER, "discarded")

    assert set(_view(store)) == {"failed", "cancelled"}


async def test_every_row_says_whose_it_is(store):
    """The one column more: two owners may have jobs of the same name."""
    await create(store, 1, owner="me")
    await create(store, 1, owner="you")

    rows = store.sql("SELECT job_id, owner FROM batch_checkpoints ORDER BY owner")

    assert rows == [("job", "me"), ("job", "you")]
