"""Ways to resume a job."""

import asyncio

import pytest

from backstay import Backstay, ColumnMapping, Fail, ItemCounts, JobState, Recipe, Retry
from backstay.batch.call_limits import CallLimits
from backstay.batch.lease import LeaseMonitor
from backstay.batch.liveness import LivenessLock
from backstay.batch.store import Claim
from backstay.errors import (
    InputNotFound,
    InvalidTransition,
    ItemNotFound,
    ItemsDiffer,
    JobDiffers,
    JobNameNeeded,
    JobNotFound,
    NothingToRun,
    ProcessorNotPortable,
    SettingsError,
)
from backstay.remedy import Remedy
from support.data.conversations import conversation, items
from support.fakes.processors import Writer


def _fail(*ids, code="no"):
    return Writer(lambda item, _: Fail("no", code=code) if item.id in ids else conversation(item.topic))


async def test_completed_items_are_never_processed_again(backstay):
    """Completed items are not processed again, however often a run is interrupted."""
    write = Writer()

    while (result := await backstay.batches.run("batch", items(25), write, limit=4)).state != JobState.COMPLETED:
        assert result.completed % 4 == 0

    assert sorted(write.calls) == sorted(item["id"] for item in items(25))


async def test_job_outlives_its_process(path):
    """A job is found in its last state when the library is opened again."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(10), Writer(), limit=4)
    write = Writer()

    async with Backstay.open(path) as backstay:
        result = await backstay.batches.resume("batch", write)

    assert result.counts == ItemCounts(completed=10)
    assert len(write.calls) == 6


async def test_job_that_was_only_created_is_resumed(backstay):
    """Any program can resume a created job that has a named processor."""
    created = await backstay.batches.create("batch", items(5), "scripted", max_attempts=2, timeout_seconds=9)

    result = await backstay.batches.resume("batch")

    assert (created.state, created.counts) == (JobState.PENDING, ItemCounts(pending=5))
    assert (created.settings.max_attempts, created.settings.timeout_seconds) == (2, 9)
    assert result.counts == ItemCounts(completed=5)


async def test_the_only_unfinished_job_needs_no_name(backstay):
    """A resume without a name continues the only unfinished job, regardless of finished ones."""
    await backstay.batches.run("done", items(1), Writer())
    await backstay.batches.create("batch", items(2), "scripted")

    assert (await backstay.batches.resume()).job_id == "batch"


async def test_one_of_several_must_be_named(backstay):
    """A resume without a name lists several unfinished jobs, and reports if there is none."""
    with pytest.raises(NothingToRun):
        await backstay.batches.resume()
    for name in "ab":
        await backstay.batches.create(name, items(1), "scripted")

    with pytest.raises(JobNameNeeded, match=r"name one of: b, a$") as caught:
        await backstay.batches.resume()

    assert caught.value.context == {"jobs": ["b", "a"]}


async def test_job_of_a_program_needs_that_program(backstay):
    """A job with a callable can be resumed only with a callable."""
    await backstay.batches.run("batch", items(4), Writer(), limit=1)

    with pytest.raises(ProcessorNotPortable, match="run that program again") as caught:
        await backstay.batches.resume("batch")
    assert caught.value.context == {"job_id": "batch"}

    assert (await backstay.batches.resume("batch", Writer())).counts == ItemCounts(completed=4)


async def test_unknown_job_is_not_found(backstay):
    """Every method with a job name raises JobNotFound for an unknown job."""
    batches = backstay.batches
    for call in (
        batches.resume("none"),
        batches.checkpoint("none"),
        batches.retry("none"),
        batches.pause("none"),
        batches.cancel("none"),
        batches.discard("none"),
    ):
        with pytest.raises(JobNotFound):
            await call
    with pytest.raises(JobNotFound):
        async for _ in batches.failed("none"):
            pass


async def test_finished_job_has_nothing_to_resume(backstay):
    """Resuming a finished job reports that and does nothing."""
    await backstay.batches.run("batch", items(2), Writer())
    write = Writer()

    result = await backstay.batches.resume("batch", write)

    assert (result.did_nothing, write.calls) == (True, [])


async def test_cancelled_job_is_not_resumed(backstay):
    """A cancelled job is neither resumed nor run again, and its name can be freed."""
    await backstay.batches.create("batch", items(2), "scripted")
    await backstay.batches.cancel("batch")

    with pytest.raises(InvalidTransition) as caught:
        await backstay.batches.resume("batch")
    assert caught.value.remedy is Remedy.DISCARD_JOB
    with pytest.raises(InvalidTransition):
        await backstay.batches.run("batch", items(2), "scripted")


async def test_resume_is_prepared_for_what_can_be_resumed(backstay):
    """A resume is prepared for a job that this program can resume or that is finished, and for no other."""
    await backstay.batches.run("done", items(1), Writer())
    await backstay.batches.run("caller", items(2), Writer(), limit=1)
    await backstay.batches.create("cancelled", items(1), "scripted")
    await backstay.batches.cancel("cancelled")
    await backstay.batches.create("named", items(1), "scripted")

    with pytest.raises(ProcessorNotPortable):
        await backstay.batches.prepare_resume("caller")
    with pytest.raises(InvalidTransition):
        await backstay.batches.prepare_resume("cancelled")

    assert (await backstay.batches.prepare_resume("done")).state is JobState.COMPLETED
    assert (await backstay.batches.prepare_resume("named")).state is JobState.PENDING


async def test_limits_of_a_prepared_resume_are_stored(backstay):
    """The limits of a prepared resume are the job's, and rate limits need a recipe here too."""
    await backstay.batches.create("batch", items(1), "scripted")

    job = await backstay.batches.prepare_resume("batch", CallLimits(concurrency=3))
    with pytest.raises(SettingsError):
        await backstay.batches.prepare_resume("batch", CallLimits(rpm=5))

    assert job.settings.limits == CallLimits(concurrency=3)
    assert (await backstay.batches.prepare_resume("batch", CallLimits())).settings.limits == job.settings.limits


async def test_suspect_has_its_worker_to_itself(backstay):
    """An item that was running in two dead workers runs alone, even if another becomes due meanwhile."""
    await backstay.batches.create("batch", items(3), "scripted")
    for _ in range(2):
        life = LivenessLock.open(backstay._store.locks_folder)
        entered = await backstay._store.batches.work.acquire_lease(
            "local", "batch", life.identity, after_lease_loss=False
        )
        await backstay._store.batches.work.commit(entered.lease, [], Claim(free_slots=3))
        life.close(remove=False)
        await LeaseMonitor(store=backstay._store.batches.work, owner="local", job_id="batch", lease_seconds=15).poll()
    at_once, seen = set(), []

    async def process(item, work):
        seen.append(item.id)
        at_once.add(item.id)
        try:
            assert len(at_once) == 1
            if (item.id, work.attempt) == ("item-4", 1):
                return Retry("not yet", after_seconds=0.1)
            await asyncio.sleep(0.15)  # the other item becomes due
            return conversation(item.topic)
        finally:
            at_once.remove(item.id)

    result = await backstay.batches.resume("batch", process, concurrency=4, accept_new_items=items(4))

    assert result.counts == ItemCounts(completed=4)
    assert (seen[0], len(seen)) == ("item-4", 5)


# -- failed items ----------------------------------------------------------------------------------


async def test_failed_items_stay_failed(backstay):
    """A resume does not retry failed items."""
    await backstay.batches.run("batch", items(4), _fail("item-2"))
    write = Writer()

    result = await backstay.batches.resume("batch", write)

    assert (result.did_nothing, result.state) == (True, JobState.COMPLETED_WITH_FAILURES)
    assert write.calls == []


async def test_failed_items_are_retried_on_request(backstay):
    """A resume with `retry_failed` retries only the failed items and completes the job."""
    await backstay.batches.run("batch", items(4), _fail("item-2", "item-4"))
    write = Writer()

    result = await backstay.batches.resume("batch", write, retry_failed=True)

    assert (result.state, result.counts) == (JobState.COMPLETED, ItemCounts(completed=4))
    assert sorted(write.calls) == ["item-2", "item-4"]


async def test_one_failed_item_is_retried(backstay):
    """A single failed item is retried by its id."""
    await backstay.batches.run("batch", items(4), _fail("item-2", "item-4"))
    write = Writer()

    assert await backstay.batches.retry("batch", ["item-4"]) == 1
    result = await backstay.batches.resume("batch", write)

    assert (result.counts, write.calls) == (ItemCounts(completed=3, failed=1), ["item-4"])


async def test_one_item_may_be_named_without_a_list(backstay):
    """An id that is passed alone names one item to retry or to skip, not one item per letter."""
    await backstay.batches.run("batch", items(3), _fail("item-1", "item-2"))

    assert await backstay.batches.retry("batch", "item-1") == 1
    assert await backstay.batches.skip("batch", "item-2") == 1
    assert await backstay.batches.skip("batch", ["item-1"]) == 1

    assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(completed=1, skipped=2)


async def test_only_failed_items_can_be_retried(backstay):
    """A retry with an item that has not failed retries no item."""
    await backstay.batches.run("batch", items(3), _fail("item-2"))

    with pytest.raises(ItemNotFound):
        await backstay.batches.retry("batch", ["item-2", "none"])
    with pytest.raises(InvalidTransition, match="Item 'item-1' of job 'batch' is completed; only failed items"):
        await backstay.batches.retry("batch", ["item-1"])

    assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(completed=2, failed=1)


async def test_retried_item_has_all_its_tries(backstay):
    """A retried item has all its tries and may fail again."""
    attempts = []

    def answer(item, work):
        attempts.append(work.attempt)
        raise TimeoutError

    for _ in range(2):
        await backstay.batches.run("batch", items(1), Writer(answer), max_attempts=1)
        await backstay.batches.retry("batch")

    assert attempts == [1, 2]


# -- changed input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (items(4), "1 new (new: item-4 in line 4)"),
        (items(2), "1 missing (missing: item-3)"),
        ([*items(2), {"id": "item-3", "topic": "other"}], "1 changed (changed: item-3 in line 3)"),
        ([*items(2), {"id": "item-3", "topic": "topic 3", "depth": 1}], "1 changed (changed: item-3 in line 3)"),
        (
            [*items(2), {"id": "renamed", "topic": "topic 3"}],
            "1 new, 1 missing (new: renamed in line 3; missing: item-3)",
        ),
        (
            [*items(2), {"id": "item-3", "topic": "other"}, *items(1, start=4)],
            "1 new, 1 changed (changed: item-3 in line 3; new: item-4 in line 4)",
        ),
        (
            [{"id": "z", "topic": "z"}, *items(1)],
            "1 new, 2 missing (new: z in line 1; missing: item-2; missing: item-3)",
        ),
    ],
    ids=["new", "missing", "topic", "parameter", "id", "both", "all"],
)
@pytest.mark.parametrize("is_finished", [False, True])
async def test_changed_input_is_refused(backstay, changed, difference, is_finished):
    """A changed input is refused with the differences, without a call or a change of the job."""
    await backstay.batches.run("batch", items(3), Writer(), limit=None if is_finished else 1)
    before, write = await backstay.batches.checkpoint("batch"), Writer()

    with pytest.raises(ItemsDiffer) as caught:
        await backstay.batches.run("batch", changed, write)

    is_growing = "new" in difference and "changed" not in difference
    assert caught.value.remedy is (Remedy.ACCEPT_NEW_ITEMS if is_growing else Remedy.CHOOSE_JOB_NAME)
    assert caught.value.message.startswith(f"Job 'batch' exists with other items: {difference}")
    assert write.calls == []
    assert await backstay.batches.checkpoint("batch") == before


@pytest.mark.parametrize(
    "rows", [lambda: list(reversed(items(5))), lambda: items(5) + items(2)], ids=["order", "twice"]
)
async def test_same_items_in_another_order_are_the_same(backstay, rows):
    """An input with another order or repetitions equals the job's items."""
    await backstay.batches.run("batch", items(5), Writer())

    assert (await backstay.batches.run("batch", rows(), Writer())).did_nothing


async def test_items_without_ids_are_recognised(backstay):
    """Items without ids are recognised by their content, including repetitions."""
    rows = [{"topic": "tea"}, {"topic": "milk"}, {"topic": "tea"}]
    await backstay.batches.run("batch", rows, Writer())

    assert (await backstay.batches.run("batch", rows, Writer())).did_nothing
    with pytest.raises(ItemsDiffer, match="1 new"):
        await backstay.batches.run("batch", [*rows, {"topic": "tea"}], Writer())


@pytest.mark.parametrize(
    "rows", [items(3), [{"topic": "tea"}, {"topic": "milk"}, {"topic": "tea"}]], ids=["ids", "contents"]
)
async def test_unchanged_input_is_compared_without_a_write(backstay, monkeypatch, rows):
    """An unchanged input is compared with the stored items by reading them, whether or not the items have ids."""
    await backstay.batches.create("batch", rows, "scripted")
    staged, intake = [], backstay._store.batches.intake
    monkeypatch.setattr(intake, "stage", staged.append)

    await backstay.batches.create("batch", rows, "scripted")

    assert staged == []


async def test_other_processor_is_refused(backstay):
    """A job with another processor refuses the run."""
    await backstay.batches.create("batch", items(2), "scripted")

    with pytest.raises(JobDiffers, match="exists with the processor 'scripted', not the processor 'caller'"):
        await backstay.batches.run("batch", items(2), Writer())
    with pytest.raises(JobDiffers):
        await backstay.batches.run("batch", items(2), "scripted:0.1")


async def test_model_called_like_the_processor_is_refused(backstay):
    """A recipe does not continue a job whose processor is called like the recipe's model, nor the other way round."""
    recipe = Recipe(model="scripted", base_url="http://127.0.0.1:9/")
    await backstay.batches.create("written", items(2), "scripted")
    await backstay.batches.create("generated", items(2), recipe)

    with pytest.raises(JobDiffers, match="exists with the processor 'scripted', not the model 'scripted'"):
        await backstay.batches.create("written", items(2), recipe)
    with pytest.raises(JobDiffers, match="exists with the model 'scripted', not the processor 'scripted'"):
        await backstay.batches.create("generated", items(2), "scripted")


async def test_other_recipe_is_refused(backstay):
    """A job with another recipe refuses the run with what differs, and a recipe is not taken for another processor."""
    recipe = Recipe(model="ollama:tiny", turns=2)
    await backstay.batches.create("batch", items(2), recipe)
    await backstay.batches.create("named", items(2), "scripted")

    assert (await backstay.batches.create("batch", items(2), recipe)).id == "batch"
    for other, field, remedy in (
        (Recipe(model="ollama:other", turns=2), "model", Remedy.USE_STORED_RECIPE),
        (Recipe(model="ollama:tiny", turns=2, base_url="http://10.0.0.1/"), "base_url", Remedy.CHANGE_BASE_URL),
    ):
        with pytest.raises(JobDiffers, match=f"exists with another recipe: {field}") as caught:
            await backstay.batches.create("batch", items(2), other)
        assert caught.value.remedy is remedy
    for job_id, processor in (("batch", "scripted"), ("named", recipe)):
        with pytest.raises(JobDiffers, match=r"exists with the (model|processor)"):
            await backstay.batches.create(job_id, items(2), processor)


async def test_new_items_are_added_when_accepted(backstay):
    """Accepted new items alone are processed, and items missing from the new input stay."""
    await backstay.batches.run("batch", items(3), Writer())
    write = Writer()

    result = await backstay.batches.run("batch", items(3, start=2), write, accept_new_items=True)

    assert (result.created.added, result.state, result.counts) == (1, JobState.COMPLETED, ItemCounts(completed=4))
    assert write.calls == ["item-4"]


async def test_changed_items_are_never_accepted(backstay):
    """Items with changed content are refused even if new items are accepted."""
    await backstay.batches.run("batch", items(3), Writer())

    with pytest.raises(ItemsDiffer, match="1 new, 2 missing, 1 changed"):
        await backstay.batches.run(
            "batch", [{"id": "item-1", "topic": "other"}, *items(1, start=9)], Writer(), accept_new_items=True
        )

    assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(completed=3)


async def test_resume_may_add_items(backstay, tmp_path):
    """A resume adds items from a list or a file to a half-done job."""
    await backstay.batches.create("batch", items(3), "scripted")
    await backstay.batches.resume("batch", limit=1)
    path = tmp_path / "more.csv"
    path.write_text("nr,topic\nitem-1,topic 1\nnew,more\n")

    result = await backstay.batches.resume("batch", accept_new_items=path, columns=ColumnMapping(id="nr"))
    of_list = await backstay.batches.resume("batch", accept_new_items=items(5))

    assert (result.created.added, result.counts) == (1, ItemCounts(completed=4))
    assert (of_list.created.added, of_list.counts) == (2, ItemCounts(completed=6))


async def test_file_that_is_missing_stops_a_resume(backstay):
    """A missing file of new items is reported before any call."""
    await backstay.batches.create("batch", items(3), "scripted")

    with pytest.raises(InputNotFound):
        await backstay.batches.resume("batch", accept_new_items="none.csv")

    assert (await backstay.batches.checkpoint("batch")).counts == ItemCounts(pending=3)


async def test_large_input_is_compared_whole(backstay):
    """A large input is compared across chunks, up to its last item."""
    await backstay.batches.run("batch", items(2_500), Writer(), limit=1)

    with pytest.raises(ItemsDiffer, match=r"1 changed \(changed: item-2500 in line 2500\)"):
        await backstay.batches.run("batch", [*items(2_499), {"id": "item-2500", "topic": "x"}], Writer())
    result = await backstay.batches.run("batch", items(2_500), Writer())

    assert result.counts == ItemCounts(completed=2_500)


async def test_a_job_keeps_its_concurrency(path):
    """A run without a concurrency uses the job's last one, in another process too."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(60), Writer(), concurrency=7, limit=8)
    first, anew, after = Writer(), Writer(), Writer()

    async with Backstay.open(path) as backstay:
        await backstay.batches.resume("batch", first, limit=20)
        await backstay.batches.run("batch", items(60), anew, concurrency=3, limit=9)
        await backstay.batches.run("batch", items(60), after)

    assert (first.most_at_once, anew.most_at_once, after.most_at_once) == (7, 3, 3)


async def test_a_job_that_exists_gets_new_limits(backstay):
    """A job that is created or run again gets the limits that are passed, and keeps them if none are."""
    rows, columns = [{"nr": "a", "subject": "tea"}], ColumnMapping(id="nr", topic="subject")
    write, limits = Writer(), []

    for concurrency in (2, 3, None):
        job = await backstay.batches.create("named", rows, "scripted", columns=columns, concurrency=concurrency)
        await backstay.batches.run("batch", rows, write, columns=columns, concurrency=concurrency)
        limits.append([each.settings.limits.concurrency for each in (job, await backstay.batches.checkpoint("batch"))])

    assert limits == [[2, 2], [3, 3], [3, 3]]
    assert write.calls == ["a"]


async def test_rate_limits_need_a_recipe(backstay):
    """A rate limit for a job without a recipe is refused in every call that accepts one."""
    for refused in (
        backstay.batches.run("batch", items(1), Writer(), rpm=5),
        backstay.batches.create("batch", items(1), "scripted", tpm=5),
    ):
        with pytest.raises(SettingsError, match=r"[rt]pm limits the requests of a recipe, and this job has no recipe"):
            await refused

    assert await backstay.batches.list() == []
