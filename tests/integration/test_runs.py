"""Batches run by a program."""

import asyncio
import io
import json
import threading
from collections.abc import Mapping

import pytest

from backstay import ColumnMapping, Item, ItemCounts, JobProgress, JobState, Selection, TokenCounts
from backstay.batch.committer import Committer
from backstay.batch.worker import EndReason
from backstay.errors import (
    DuplicateItem,
    InputEmpty,
    InputNotFound,
    InvalidRow,
    ProcessorNotFound,
    ProcessorUnusable,
    SettingsError,
    UnknownColumn,
)
from support.data.conversations import conversation, items
from support.fakes.processors import Writer
from support.harness.waiting import PATIENCE_SECONDS
from support.stores.sql import ask


async def _stored(backstay, job_id="batch"):
    """Return the conversations of the job by item."""
    return {entry.item_id: entry async for entry in backstay.conversations.export(Selection(job_id=job_id))}


# -- results ---------------------------------------------------------------------------------------


async def test_every_item_has_its_conversation(backstay):
    """When a run returns, the conversations of all items are on disk."""
    write = Writer()

    result = await backstay.batches.run("batch", items(50), write)

    assert (result.job_id, result.state, result.ending) == ("batch", JobState.COMPLETED, EndReason.FINISHED)
    assert (result.completed, result.failed, result.skipped) == (50, 0, 0)
    assert result.counts == ItemCounts(completed=50)
    assert (result.created.is_new, result.did_nothing, result.pause) == (True, False, None)
    assert result.seconds > 0
    stored = await _stored(backstay)
    assert sorted(stored) == sorted(item["id"] for item in items(50))
    assert stored["item-7"].turns == conversation("topic 7").turns
    assert sorted(write.calls) == sorted(stored)


async def test_running_it_again_does_nothing(backstay):
    """Running a finished job again makes no call and reports that."""
    await backstay.batches.run("batch", items(5), Writer())
    again = Writer()

    result = await backstay.batches.run("batch", items(5), again)

    assert (result.did_nothing, result.created.is_new, result.state) == (True, False, JobState.COMPLETED)
    assert result.counts == ItemCounts(completed=5)
    assert again.calls == []


async def test_concurrency_is_used_and_never_exceeded(backstay):
    """A run has as many calls in flight as its concurrency, and never more."""
    write = Writer()

    await backstay.batches.run("batch", items(60), write, concurrency=7)

    assert write.most_at_once == 7


async def test_no_commit_is_made_for_nothing(backstay, monkeypatch):
    """Each commit of a busy worker writes results or claims items."""
    commits = []
    commit = Committer.commit

    async def noted(self, claim):
        written, report = len(self), await commit(self, claim)
        commits.append((written, len(report.claimed)))
        return report

    monkeypatch.setattr(Committer, "commit", noted)

    await backstay.batches.run("batch", items(200), Writer(), concurrency=16)

    assert sum(written for written, _ in commits) == 200
    assert (0, 0) not in commits


async def test_blocking_processor_runs_in_threads(backstay):
    """A blocking processor runs in as many threads as there are calls, without blocking the event loop."""
    barrier, threads = threading.Barrier(5), set()

    def process(item):
        threads.add(threading.get_ident())
        barrier.wait(PATIENCE_SECONDS)
        return conversation(item.topic)

    result = await backstay.batches.run("batch", items(20), process, concurrency=5)

    assert result.completed == 20
    assert threading.get_ident() not in threads


async def test_item_reaches_the_processor_whole(backstay):
    """The processor gets topic, persona and parameters of any shape, and the attempt number."""
    seen = []

    async def process(item, work):
        seen.append((item, work.attempt))

    await backstay.batches.run(
        "batch", [{"id": 7, "topic": "tea", "persona": "a monk", "deep": {"a": [1, None]}}], process
    )

    assert seen == [(Item("tea", id="7", persona="a monk", parameters={"deep": {"a": [1, None]}}), 1)]


async def test_tokens_are_summed(backstay):
    """Tokens are summed over all attempts."""

    async def process(item, work):
        work.usage(tokens_in=10, tokens_out=1)
        work.usage(tokens_out=2)

    result = await backstay.batches.run("batch", items(5), process)

    assert result.tokens == TokenCounts(50, 15)


async def test_named_processor_is_found(backstay, tmp_path):
    """A processor in the current folder is found by name, so that any program can resume the job."""
    (tmp_path / "my_writers.py").write_text(
        "from backstay import Conversation, Turn\n"
        "def write(item):\n"
        "    return Conversation([Turn('user', item.topic)])\n"
    )

    result = await backstay.batches.run("batch", items(3), "my_writers:write")

    assert result.completed == 3
    assert (await backstay.batches.checkpoint("batch")).processor == "my_writers:write"


async def test_scripted_writer_needs_no_model(backstay):
    """The built-in scripted writer generates conversations without a model."""
    result = await backstay.batches.run("batch", items(3), "scripted")

    assert result.completed == 3
    assert all(
        entry.metadata == {"writer": "scripted", "generation": {"processor": "scripted", "attempt": 1}}
        for entry in (await _stored(backstay)).values()
    )


# -- shapes of items -------------------------------------------------------------------------------


def _generated():
    yield from items(3)


async def _asynchronous():
    for item in items(3):
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize(
    "input_items",
    [
        lambda: items(3),
        lambda: tuple(items(3)),
        _generated,
        _asynchronous,
        lambda: [Item(item["topic"], id=item["id"]) for item in items(3)],
        {item["id"]: item for item in items(3)}.values,
    ],
    ids=["list", "tuple", "generator", "async generator", "Items", "view"],
)
async def test_items_may_have_any_shape(backstay, input_items):
    """The same items in any accepted shape give the same job."""
    first = await backstay.batches.run("batch", input_items(), Writer())
    second = await backstay.batches.run("batch", items(3), Writer())

    assert (first.completed, second.did_nothing) == (3, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("topics.csv", "id,topic\nitem-1,topic 1\nitem-2,topic 2\n"),
        ("topics.tsv", "id\ttopic\nitem-1\ttopic 1\nitem-2\ttopic 2\n"),
        ("topics.jsonl", "\n".join(json.dumps(item) for item in items(2))),
        ("topics.json", json.dumps(items(2))),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
async def test_items_may_be_in_a_file(backstay, tmp_path, name, text, as_text):
    """Items are read from a file of any supported format, by Path or text."""
    path = tmp_path / name
    path.write_text(text)

    result = await backstay.batches.run("batch", str(path) if as_text else path, Writer())

    assert result.completed == 2
    assert sorted(await _stored(backstay)) == ["item-1", "item-2"]


async def test_items_may_come_through_a_pipe(backstay):
    """The path `-` reads items from standard input."""
    result = await backstay.batches.run("batch", "-", Writer(), stdin=io.BytesIO(b"topic\na\nb\n"))

    assert result.completed == 2


async def test_columns_may_be_named(backstay, tmp_path):
    """Columns with other names are read by naming them."""
    path = tmp_path / "topics.csv"
    path.write_text("nr,subject\n1,tea\n2,milk\n")

    await backstay.batches.run("batch", path, Writer(), columns=ColumnMapping(id="nr", topic="subject"))

    assert {name: entry.topic for name, entry in (await _stored(backstay)).items()} == {"1": "tea", "2": "milk"}


async def test_repetitions_are_counted(backstay):
    """Rows repeated with one id are one item and are counted; those without ids are separate items."""
    with_ids = await backstay.batches.run("a", items(3) + items(2), Writer())
    without = await backstay.batches.run("b", [{"topic": "tea"}, {"topic": "tea"}], Writer())

    assert (with_ids.completed, with_ids.created.repeated) == (3, 2)
    assert (without.completed, without.created.repeated) == (2, 0)


# -- refusals before any call ----------------------------------------------------------------------


def _bad_later():
    yield from items(2_500)
    yield {"id": "bad", "topic": ""}


@pytest.mark.parametrize(
    ("input_items", "error"),
    [
        ([], InputEmpty),
        ([{"subject": "tea"}], InvalidRow),
        ([{"topic": "tea"}, 5], InvalidRow),
        ([{"id": "a", "topic": "x"}, {"id": "a", "topic": "y"}], DuplicateItem),
        ("none.csv", InputNotFound),
        (_bad_later, InvalidRow),
    ],
    ids=["none", "no topic", "no item", "clash", "no file", "late"],
)
async def test_bad_input_makes_no_job(backstay, path, input_items, error):
    """An invalid item anywhere in the input prevents all calls and leaves nothing behind."""
    write = Writer()

    with pytest.raises(error):
        await backstay.batches.run("batch", input_items() if callable(input_items) else input_items, write)

    assert write.calls == []
    assert await backstay.batches.list() == []
    assert _rows(path) == 0


def _rows(path):
    return sum(ask(path, f"SELECT count(*) FROM {name}")[0][0] for name in ("jobs", "items", "workers"))


async def test_missing_column_makes_no_job(backstay, tmp_path):
    """A missing column is reported with the existing ones, and no job is created."""
    path = tmp_path / "topics.csv"
    path.write_text("subject\ntea\n")

    with pytest.raises(UnknownColumn):
        await backstay.batches.run("batch", path, Writer())

    assert await backstay.batches.list() == []


async def test_processor_is_checked_first(backstay):
    """An unusable processor is reported before any item is read."""

    def never():
        pytest.fail("the items were read")
        yield

    with pytest.raises(ProcessorUnusable):
        await backstay.batches.run("batch", never(), lambda: None)
    with pytest.raises(ProcessorNotFound):
        await backstay.batches.run("batch", never(), "no_such_module:f")
    with pytest.raises(ProcessorUnusable):
        await backstay.batches.run("batch", never(), None)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("concurrency", 1.5, "a whole number"),
        ("concurrency", "4", "a whole number"),
        ("max_attempts", True, "a whole number"),
        ("timeout_seconds", None, "a number of seconds"),
    ],
)
async def test_settings_of_another_kind_are_refused(backstay, name, value, expected):
    """A setting of another type is refused before a job is created."""
    with pytest.raises(SettingsError, match=f"^{name} must be {expected}, not "):
        await backstay.batches.run("batch", items(1), Writer(), **{name: value})

    assert await backstay.batches.list() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 10_001),
        ("concurrency", 10**400),
        ("max_attempts", 0),
        ("timeout_seconds", 0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", 1e9),
        ("limit", 0),
        ("limit", -1),
    ],
)
async def test_out_of_range_settings_are_refused(backstay, name, value):
    """A setting out of range is refused with the valid range."""
    with pytest.raises(SettingsError, match=f"^{name} must be from ") as caught:
        await backstay.batches.run("batch", items(1), Writer(), **{name: value})

    assert caught.value.context == {"setting": name}


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 513])
async def test_invalid_name_is_refused(backstay, name):
    """A job name that does not fit in messages, commands and URLs is refused."""
    with pytest.raises(InvalidRow, match=r"^the job's name "):
        await backstay.batches.run(name, items(1), Writer())


# -- limits and listeners --------------------------------------------------------------------------


async def test_limit_bounds_a_run_and_runs_add_up(backstay):
    """Each of several limited runs claims at most its limit, until all items are done."""
    write, endings = Writer(), []

    for _ in range(4):
        result = await backstay.batches.run("batch", items(10), write, limit=3, concurrency=2)
        endings.append((result.ending, result.completed, result.state))

    assert endings == [
        (EndReason.LIMIT, 3, JobState.INTERRUPTED),
        (EndReason.LIMIT, 6, JobState.INTERRUPTED),
        (EndReason.LIMIT, 9, JobState.INTERRUPTED),
        (EndReason.FINISHED, 10, JobState.COMPLETED),
    ]
    assert sorted(write.calls) == sorted(item["id"] for item in items(10))


async def test_listener_gets_all_progress(backstay):
    """A listener gets the progress from the start to the final report, which comes after the last result."""
    heard: list[JobProgress] = []

    await backstay.batches.run("batch", items(30), Writer(), concurrency=4, on_progress=heard.append)

    assert heard[0].planned == heard[-1].planned == 30
    assert [progress.completed for progress in heard] == sorted(progress.completed for progress in heard)
    assert (heard[-1].completed, heard[-1].percentage, heard[-1].eta_seconds) == (30, 100, 0)
    assert all(progress.job_id == "batch" for progress in heard)


async def test_asynchronous_listener_is_awaited(backstay):
    """An asynchronous listener is awaited by the run."""
    heard = []

    async def listen(progress):
        await asyncio.sleep(0)
        heard.append(progress.completed)

    await backstay.batches.run("batch", items(3), Writer(), on_progress=listen)

    assert heard[-1] == 3


async def test_listener_that_raises_costs_nothing(backstay):
    """A listener that raises is not called again, and the batch continues."""
    heard = []

    def breaks(progress):
        heard.append(progress)
        raise ValueError("broken bar")

    result = await backstay.batches.run("batch", items(10), Writer(), on_progress=breaks)

    assert result.completed == 10
    assert len(heard) == 1


async def test_rate_of_a_resumed_run_is_its_own(backstay):
    """The rate of a resumed run ignores items that were finished before."""
    await backstay.batches.run("batch", items(100), Writer(), limit=90)
    heard: list[JobProgress] = []

    async def slow(item):
        await asyncio.sleep(0.05)
        return conversation(item.topic)

    await backstay.batches.run("batch", items(100), slow, concurrency=1, on_progress=heard.append)

    assert max(progress.rate for progress in heard) <= 25
    assert heard[-1].completed == 100


async def test_jobs_are_listed(backstay):
    """Jobs are listed newest first, and incomplete ones can be listed alone."""
    await backstay.batches.run("a", items(1), Writer())
    await backstay.batches.run("b", items(2), Writer(), limit=1)
    await backstay.batches.create("c", items(3), "scripted")

    assert [(job.id, job.state) for job in await backstay.batches.list()] == [
        ("c", JobState.PENDING),
        ("b", JobState.INTERRUPTED),
        ("a", JobState.COMPLETED),
    ]
    assert [job.id for job in await backstay.batches.incomplete()] == ["c", "b"]
    assert [job.id for job in await backstay.batches.list(limit=1)] == ["c"]


async def test_mapping_that_is_no_dict_is_an_item(backstay):
    """A mapping that is not a dict, like rows of many libraries, is accepted as an item."""

    class Row(Mapping):
        def __getitem__(self, key):
            return {"id": "a", "topic": "tea"}[key]

        def __iter__(self):
            return iter(("id", "topic"))

        def __len__(self):
            return 2

    assert (await backstay.batches.run("batch", [Row()], Writer())).completed == 1
