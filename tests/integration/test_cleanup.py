"""What stays of a job, what goes, and who sweeps up after whom."""

from contextlib import contextmanager

import pytest

from backstay import Backstay, Fail, ItemCounts, JobState, Selection
from backstay.batch.job import JobSettings
from backstay.batch.liveness import LivenessLock
from backstay.errors import JobNotFound, StoreFull
from support.conversations import conversation, drafts_of, items
from support.processors import Writer
from support.sql import ask
from support.workers import card


def _count(path, *tables):
    return tuple(ask(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def _fail_second(item, _):
    return Fail("no") if item.id == "item-2" else conversation(item.topic)


# -- a job that is completed -----------------------------------------------------------------------


async def test_checkpoint_of_a_completed_job_is_cleaned(backstay, path):
    """By itself: one thin row an item stays, and the job leaves the view."""
    await backstay.batches.run("batch", items(20), Writer())

    assert (await backstay.batches.checkpoint("batch")).cleaned
    assert _count(path, "items", "item_inputs", "attempts", "batch_checkpoints") == (20, 0, 0, 0)


async def test_cleaned_job_is_free_to_run_again(backstay):
    """And its input is still compared whole."""
    await backstay.batches.run("batch", items(20), Writer())
    write = Writer()

    result = await backstay.batches.run("batch", items(20), write)

    assert (result.did_nothing, write.calls) == (True, [])


async def test_cleaned_job_takes_new_items(backstay, path):
    """And is cleaned again."""
    await backstay.batches.run("batch", items(3), Writer())

    result = await backstay.batches.run("batch", items(5), Writer(), accept_new_items=True)

    assert result.counts == ItemCounts(completed=5)
    assert _count(path, "items", "item_inputs", "attempts") == (5, 0, 0)


async def test_job_with_failures_keeps_its_checkpoint(backstay, path):
    """Until they are retried; then it is cleaned."""
    await backstay.batches.run("batch", items(3), Writer(_fail_second))
    assert _count(path, "item_inputs", "attempts", "batch_checkpoints") == (3, 3, 1)

    await backstay.batches.resume("batch", Writer(), retry_failed=True)

    assert _count(path, "item_inputs", "attempts", "batch_checkpoints") == (0, 0, 0)


async def test_deleted_conversation_is_not_generated_again(path):
    """Its item is completed all the same."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(3), Writer())
        ask(
            path, "DELETE FROM turns WHERE conversation_key IN (SELECT key FROM conversations WHERE item_id = 'item-2')"
        )
        ask(path, "DELETE FROM conversations WHERE item_id = 'item-2'")
        write = Writer()

        again = await backstay.batches.run("batch", items(3), write)
        more = await backstay.batches.run("batch", items(4), write, accept_new_items=True)

        assert (again.did_nothing, more.counts) == (True, ItemCounts(completed=4))
        assert write.calls == ["item-4"]
        assert await backstay.conversations.count(Selection(job_id="batch")) == 3


async def test_cleaning_that_was_cut_off_is_finished_by_the_next_run(backstay, path):
    """Of whatever job that is."""
    with _out_of_order(backstay._store.batches.jobs, "clean_step"), pytest.raises(StoreFull):
        await backstay.batches.run("batch", items(20), Writer())
    assert (await backstay.batches.checkpoint("batch")).state is JobState.COMPLETED
    assert _count(path, "item_inputs", "attempts") == (20, 20)

    await backstay.batches.run("other", items(1), Writer())

    assert (await backstay.batches.checkpoint("batch")).cleaned
    assert _count(path, "item_inputs", "attempts") == (0, 0)


# -- discarding ------------------------------------------------------------------------------------


async def test_discarded_job_frees_its_name(path):
    """All of it goes but its conversations."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(3), Writer(_fail_second))

        await backstay.batches.discard("batch")

        with pytest.raises(JobNotFound):
            await backstay.batches.checkpoint("batch")
        assert _count(path, "jobs", "items", "item_inputs", "attempts", "workers") == (0, 0, 0, 0, 0)
        assert await backstay.conversations.count(Selection(job_id="batch")) == 2
        assert (await backstay.batches.run("batch", items(2), Writer())).counts == ItemCounts(completed=2)


async def test_job_in_any_state_may_be_discarded(backstay, path):
    """As long as nobody works on it."""
    await backstay.batches.create("pending", items(2), "scripted")
    await backstay.batches.run("interrupted", items(2), Writer(), limit=1)
    await backstay.batches.create("cancelled", items(2), "scripted")
    await backstay.batches.cancel("cancelled")
    await backstay.batches.run("completed", items(2), Writer())

    for name in ("pending", "interrupted", "cancelled", "completed"):
        await backstay.batches.discard(name)

    assert _count(path, "jobs", "items") == (0, 0)


async def test_discard_that_was_cut_off_is_finished_by_the_next_run(backstay, path):
    """Its name is free from the first moment on."""
    await backstay.batches.create("batch", items(5), "scripted")
    with _out_of_order(backstay._store.batches.intake, "drop_step"), pytest.raises(StoreFull):
        await backstay.batches.discard("batch")
    assert _count(path, "items") == (5,)

    await backstay.batches.run("batch", items(2), "scripted")

    assert _count(path, "jobs", "items") == (1, 2)


async def test_dead_worker_does_not_keep_a_job(backstay, path):
    """It is taken over first."""
    await backstay.batches.create("batch", items(3), "scripted")
    life = LivenessLock.open(backstay._store.locks)
    await backstay._store.batches.work.acquire_lease("local", "batch", life.identity, after_lease_loss=False)
    life.close(remove=False)

    await backstay.batches.discard("batch")

    assert _count(path, "jobs", "workers") == (0, 0)


# -- what was cut off ------------------------------------------------------------------------------


@contextmanager
def _out_of_order(store, method):
    """Have one method of a store fail as on a full disk."""

    async def full(*_args, **_kwargs):
        raise StoreFull("No space is left")

    setattr(store, method, full)
    try:
        yield
    finally:
        delattr(store, method)


async def _leave_staged(backstay, card):
    intake = backstay._store.batches.intake
    staged = await intake.stage("local", card)
    await intake.stage_items(staged, await drafts_of(items(4)))


async def test_staged_job_of_a_dead_process_is_dropped(backstay, path):
    """By the next run, with the file that proved it dead."""
    life = LivenessLock.open(backstay._store.locks)
    life.close(remove=False)
    await _leave_staged(backstay, life.identity)

    await backstay.batches.run("batch", items(1), Writer())

    assert _count(path, "jobs", "items", "workers") == (1, 1, 0)


async def test_staged_job_of_a_living_process_is_left_alone(backstay, path):
    """It is still being made."""
    life = LivenessLock.open(backstay._store.locks)
    await _leave_staged(backstay, life.identity)
    await _leave_staged(backstay, card())

    await backstay.batches.run("batch", items(1), Writer())

    assert _count(path, "jobs", "workers") == (3, 2)
    life.close()


async def test_full_disk_while_a_job_is_made_leaves_nothing_for_ever(backstay, path):
    """Neither can it be made nor swept up then; the next run, with room again, does both."""
    intake = backstay._store.batches.intake
    with _out_of_order(intake, "publish"), _out_of_order(intake, "drop_step"), pytest.raises(StoreFull):
        await backstay.batches.run("batch", items(5), Writer())
    assert _count(path, "jobs", "items") == (1, 5)

    result = await backstay.batches.run("batch", items(5), Writer())

    assert result.counts == ItemCounts(completed=5)
    assert _count(path, "jobs", "items", "workers") == (1, 5, 0)


async def test_full_disk_while_working_leaves_a_resumable_job(backstay, path):
    """What was acknowledged is there, what was in flight is given back as soon as that can be written."""
    work, commit, commits = backstay._store.batches.work, backstay._store.batches.work.commit, []

    async def full_later(*arguments):
        commits.append(1)
        if len(commits) > 3:
            raise StoreFull("No space is left")
        return await commit(*arguments)

    work.commit = full_later
    with pytest.raises(StoreFull):
        await backstay.batches.run("batch", items(50), Writer(), concurrency=5)
    del work.commit
    job = await backstay.batches.checkpoint("batch")
    assert (job.state, job.workers, job.counts.running) == (JobState.INTERRUPTED, 0, 0)

    result = await backstay.batches.run("batch", items(50), Writer())

    assert result.counts == ItemCounts(completed=50)


async def test_full_disk_that_stays_full_leaves_a_resumable_job(backstay):
    """Not even giving back can be written: the file of the worker proves it gone."""
    work = backstay._store.batches.work
    await backstay.batches.create("batch", items(10), "scripted")
    with _out_of_order(work, "commit"), _out_of_order(work, "leave"), pytest.raises(StoreFull):
        await backstay.batches.resume("batch")
    assert (await backstay.batches.checkpoint("batch")).state is JobState.INTERRUPTED

    result = await backstay.batches.resume("batch")

    assert result.counts == ItemCounts(completed=10)


async def test_job_whose_worker_died_after_the_last_item_is_settled(backstay, path):
    """Its items are all there; nobody was left to say so."""
    await backstay.batches.run("batch", items(2), Writer())
    ask(path, "UPDATE jobs SET state = 'running', finished_at = NULL, cleaned_at = NULL")

    result = await backstay.batches.run("batch", items(2), Writer())

    assert result.state is JobState.COMPLETED
    assert (await backstay.batches.checkpoint("batch")).cleaned


async def test_settings_of_a_job_are_its_own(backstay):
    """What it was made with holds, whoever resumes it."""
    job = await backstay.batches.create("batch", items(1), "scripted", max_attempts=9, timeout=7)
    await backstay.batches.resume("batch")

    assert job.settings == (await backstay.batches.checkpoint("batch")).settings == JobSettings(9, 7)
