"""Cleanup of finished jobs and of interrupted work."""

import asyncio
import time
from contextlib import contextmanager

import pytest

from backstay import Backstay, Fail, ItemCounts, JobState, Selection
from backstay.batch.job import JobSettings
from backstay.batch.liveness import LivenessLock
from backstay.errors import JobNotFound, StoreFull
from support.data.conversations import conversation, drafts_of, items
from support.fakes.processors import Writer
from support.fakes.workers import card
from support.stores.sql import ask


def _count(path, *tables):
    return tuple(ask(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def _fail_second(item, _):
    return Fail("no") if item.id == "item-2" else conversation(item.topic)


# -- completed jobs --------------------------------------------------------------------------------


async def test_checkpoint_of_a_completed_job_is_cleaned(backstay, path):
    """A completed job is cleaned automatically: one thin row per item stays, and the job leaves the view."""
    await backstay.batches.run("batch", items(20), Writer())

    assert (await backstay.batches.checkpoint("batch")).cleaned
    assert _count(path, "items", "item_inputs", "attempts", "batch_checkpoints") == (20, 0, 0, 0)


async def test_checkpoint_is_cleaned_once(backstay, caplog):
    """A job is cleaned by the run that completes it: not by one that is interrupted, nor again by a later one."""
    caplog.set_level("INFO")

    async def cleanings():
        await backstay.batches.run("batch", items(4), Writer(), limit=2)
        return caplog.messages.count("checkpoint_cleaned")

    assert [await cleanings() for _ in range(3)] == [0, 1, 1]


async def test_cleaned_job_is_free_to_run_again(backstay):
    """Running a cleaned job again makes no call, and still compares the whole input."""
    await backstay.batches.run("batch", items(20), Writer())
    write = Writer()

    result = await backstay.batches.run("batch", items(20), write)

    assert (result.did_nothing, write.calls) == (True, [])


async def test_cleaned_job_takes_new_items(backstay, path):
    """A cleaned job accepts new items, and is cleaned again after them."""
    await backstay.batches.run("batch", items(3), Writer())

    result = await backstay.batches.run("batch", items(5), Writer(), accept_new_items=True)

    assert result.counts == ItemCounts(completed=5)
    assert _count(path, "items", "item_inputs", "attempts") == (5, 0, 0)


async def test_job_with_failures_keeps_its_checkpoint(backstay, path):
    """A job with failures keeps its checkpoint until they are retried successfully."""
    await backstay.batches.run("batch", items(3), Writer(_fail_second))
    assert _count(path, "item_inputs", "attempts", "batch_checkpoints") == (3, 3, 1)

    await backstay.batches.resume("batch", Writer(), retry_failed=True)

    assert _count(path, "item_inputs", "attempts", "batch_checkpoints") == (0, 0, 0)


async def test_deleted_conversation_is_not_generated_again(path):
    """An item of a cleaned job stays completed when its conversation is deleted."""
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


async def test_interrupted_cleaning_is_finished_by_the_next_run(backstay, path):
    """The next run of any job finishes an interrupted cleaning."""
    with _full_disk(backstay._store.batches.jobs, "clean_step"), pytest.raises(StoreFull):
        await backstay.batches.run("batch", items(20), Writer())
    assert (await backstay.batches.checkpoint("batch")).state is JobState.COMPLETED
    assert _count(path, "item_inputs", "attempts") == (20, 20)

    await backstay.batches.run("other", items(1), Writer())

    assert (await backstay.batches.checkpoint("batch")).cleaned
    assert _count(path, "item_inputs", "attempts") == (0, 0)


async def test_duration_of_a_run_excludes_the_cleaning_of_other_jobs(backstay, monkeypatch):
    """The duration of a run does not include the removal of what other runs left behind."""

    async def clean_slowly(owner):
        await asyncio.sleep(1)  # the duration that must not be included
        return []

    monkeypatch.setattr(backstay._store.batches.jobs, "jobs_to_clean", clean_slowly)
    started = time.monotonic()

    result = await backstay.batches.run("batch", items(1), Writer())

    assert 0 < result.seconds <= time.monotonic() - started - 1


# -- discarding ------------------------------------------------------------------------------------


async def test_discarded_job_frees_its_name(path):
    """A discarded job leaves only its conversations, and frees its name."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(3), Writer(_fail_second))

        await backstay.batches.discard("batch")

        with pytest.raises(JobNotFound):
            await backstay.batches.checkpoint("batch")
        assert _count(path, "jobs", "items", "item_inputs", "attempts", "workers") == (0, 0, 0, 0, 0)
        assert await backstay.conversations.count(Selection(job_id="batch")) == 2
        assert (await backstay.batches.run("batch", items(2), Writer())).counts == ItemCounts(completed=2)


async def test_job_in_any_state_may_be_discarded(backstay, path):
    """A job in any state can be discarded if no worker is running it."""
    await backstay.batches.create("pending", items(2), "scripted")
    await backstay.batches.run("interrupted", items(2), Writer(), limit=1)
    await backstay.batches.create("cancelled", items(2), "scripted")
    await backstay.batches.cancel("cancelled")
    await backstay.batches.run("completed", items(2), Writer())

    for name in ("pending", "interrupted", "cancelled", "completed"):
        await backstay.batches.discard(name)

    assert _count(path, "jobs", "items") == (0, 0)


async def test_interrupted_discard_is_finished_by_the_next_run(backstay, path):
    """The next run finishes an interrupted discard, which has freed the job's name at once."""
    await backstay.batches.create("batch", items(5), "scripted")
    with _full_disk(backstay._store.batches.intake, "drop_step"), pytest.raises(StoreFull):
        await backstay.batches.discard("batch")
    assert _count(path, "items") == (5,)

    await backstay.batches.run("batch", items(2), "scripted")

    assert _count(path, "jobs", "items") == (1, 2)


async def test_dead_worker_does_not_keep_a_job(backstay, path):
    """A job with a dead worker can be discarded, after its lease is reclaimed."""
    await backstay.batches.create("batch", items(3), "scripted")
    life = LivenessLock.open(backstay._store.locks_folder)
    await backstay._store.batches.work.acquire_lease("local", "batch", life.identity, after_lease_loss=False)
    life.close(remove=False)

    await backstay.batches.discard("batch")

    assert _count(path, "jobs", "workers") == (0, 0)


# -- interrupted work ------------------------------------------------------------------------------


@contextmanager
def _full_disk(store, method):
    """Let one method of a store fail as on a full disk."""

    async def full(*_args, **_kwargs):
        raise StoreFull("No space is left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, method, full)
        yield


async def _leave_staged(backstay, card):
    intake = backstay._store.batches.intake
    staged = await intake.stage("local", card)
    await intake.stage_items(staged, await drafts_of(items(4)))


async def test_staged_job_of_a_dead_process_is_dropped(backstay, path):
    """The next run drops the staged job of a dead process, and removes its lock file."""
    life = LivenessLock.open(backstay._store.locks_folder)
    life.close(remove=False)
    await _leave_staged(backstay, life.identity)

    await backstay.batches.run("batch", items(1), Writer())

    assert _count(path, "jobs", "items", "workers") == (1, 1, 0)


async def test_staged_job_of_a_living_process_is_left_alone(backstay, path):
    """A staged job stays while its creator lives."""
    life = LivenessLock.open(backstay._store.locks_folder)
    await _leave_staged(backstay, life.identity)
    await _leave_staged(backstay, card())

    await backstay.batches.run("batch", items(1), Writer())

    assert _count(path, "jobs", "workers") == (3, 2)
    life.close()


async def test_full_disk_while_a_job_is_made_leaves_nothing_for_ever(backstay, path):
    """A full disk prevents both the creation and its cleanup; the next run with free space does both."""
    intake = backstay._store.batches.intake
    with _full_disk(intake, "publish"), _full_disk(intake, "drop_step"), pytest.raises(StoreFull):
        await backstay.batches.run("batch", items(5), Writer())
    assert _count(path, "jobs", "items") == (1, 5)

    result = await backstay.batches.run("batch", items(5), Writer())

    assert result.counts == ItemCounts(completed=5)
    assert _count(path, "jobs", "items", "workers") == (1, 5, 0)


async def test_full_disk_while_working_leaves_a_resumable_job(backstay, path):
    """After a full disk acknowledged results are stored, and items in flight are released once that can be written."""
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


async def test_full_disk_that_stays_full_leaves_a_resumable_job(backstay, caplog):
    """If a full disk prevents even the release, the worker's unlocked file proves that it is dead."""
    work = backstay._store.batches.work
    await backstay.batches.create("batch", items(10), "scripted")
    with _full_disk(work, "commit"), _full_disk(work, "release"), pytest.raises(StoreFull):
        await backstay.batches.resume("batch")
    assert [record.code for record in caplog.records if record.msg == "lease_release_failed"] == [StoreFull.code]
    assert (await backstay.batches.checkpoint("batch")).state is JobState.INTERRUPTED

    result = await backstay.batches.resume("batch")

    assert result.counts == ItemCounts(completed=10)


async def test_job_whose_worker_died_after_the_last_item_is_settled(backstay, path):
    """A run settles a job whose worker died after the last item."""
    await backstay.batches.run("batch", items(2), Writer())
    ask(path, "UPDATE jobs SET state = 'running', finished_at = NULL, cleaned_at = NULL")

    result = await backstay.batches.run("batch", items(2), Writer())

    assert result.state is JobState.COMPLETED
    assert (await backstay.batches.checkpoint("batch")).cleaned


async def test_settings_of_a_job_are_its_own(backstay):
    """A resumed job uses the settings that it was created with."""
    job = await backstay.batches.create("batch", items(1), "scripted", max_attempts=9, timeout_seconds=7)
    await backstay.batches.resume("batch")

    assert job.settings == (await backstay.batches.checkpoint("batch")).settings == JobSettings(9, 7)
