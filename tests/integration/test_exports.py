"""Exports: complete or absent, with nothing lost that was not announced."""

import asyncio
import csv
import gzip
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
import zstandard

from backstay import Recipe, Selection
from backstay.errors import (
    ConversationNotFound,
    ConversationUnwritable,
    EmptySelection,
    LossyExport,
    OutputUnwritable,
    SettingsError,
)
from backstay.library.exports import exporter
from backstay.library.exports.request import ExportRequest
from backstay.library.store import ConversationPage
from support.stores.library import ALL

_QUESTION = {"role": "user", "content": "What is the weather?"}
_CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_TURNS = [
    _QUESTION,
    {"role": "assistant", "content": "Let me see.", "metadata": {"tool_calls": [_CALL], "reasoning": "Hm."}},
    {"role": "tool", "content": "Rain", "metadata": {"tool_call_id": "call-1"}},
    {"role": "assistant", "content": "It rains."},
]
_PAIR = ((0, "chosen"), (1, "rejected"))
_LOST = "sharegpt cannot hold: ids of tool calls (2 in 1 conversation), text next to tool calls (1 conversation), "


def _row(name, turns=None, **fields):
    content = turns or [_QUESTION, {"role": "assistant", "content": f"It rains, {name}."}]
    return {"id": name, "conversation_turns": content, **fields}


async def _store(backstay, *rows):
    """Store conversations in the native shape."""
    path = Path("stored.jsonl").absolute()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    await backstay.conversations.import_file(path)
    path.unlink()


async def _many(backstay, count):
    await _store(backstay, *(_row(f"c{number:04}", topic=f"topic {number}") for number in range(count)))


def _names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def _lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


async def test_without_a_selection_everything_is_exported(backstay, tmp_path):
    """Without a selection all conversations are exported, while an empty selection is refused."""
    await _many(backstay, 3)

    result = await backstay.conversations.write_export(tmp_path / "all.jsonl")
    yielded = [stored.id async for stored in backstay.conversations.export()]

    assert (result.exported, result.format, len(_lines(tmp_path / "all.jsonl"))) == (3, "messages", 3)
    assert yielded == ["c0000", "c0001", "c0002"]
    with pytest.raises(EmptySelection):
        await backstay.conversations.write_export(tmp_path / "none.jsonl", Selection())
    with pytest.raises(ConversationNotFound):
        await backstay.conversations.write_export(tmp_path / "none.jsonl", Selection(ids=("c0000", "none")))
    assert _names(tmp_path) == _kept(tmp_path, "all.jsonl")


def _kept(folder, *names):
    """Return the names of the library's files in a folder, and these."""
    return sorted(
        {name for name in _names(folder) if "library" in name or name.startswith(".") or name == "safe"} | {*names}
    )


@pytest.mark.parametrize("format_", ["sharegpt", "csv", "chatml", "alpaca"])
async def test_what_a_format_cannot_hold_is_refused_then_left_out(backstay, tmp_path, format_):
    """A format that loses something refuses with what and how often; with `lossy` it leaves that out and says so."""
    await _store(backstay, _row("plain"), _row("tools", _TURNS))
    target = tmp_path / "out"
    target.write_bytes(b"good")

    with pytest.raises(LossyExport) as refused:
        await backstay.conversations.write_export(target, format=format_)
    after_refusal = target.read_bytes()
    result = await backstay.conversations.write_export(target, format=format_, lossy=True)

    assert after_refusal == b"good"
    assert refused.value.message.endswith("; nothing was written")
    counts = [{"loss": lost.loss, "count": lost.count, "conversations": lost.conversations} for lost in result.losses]
    assert counts == refused.value.context["losses"]
    assert all(str(lost) in refused.value.message for lost in result.losses)
    assert result.losses
    assert (result.exported, target.read_bytes() != b"good") == (2, True)


async def test_a_refusal_names_what_and_how_many(backstay, tmp_path):
    """The message of a refusal has each loss with its number, in the order of importance."""
    await _store(backstay, _row("plain"), _row("tools", _TURNS))

    with pytest.raises(LossyExport) as refused:
        await backstay.conversations.write_export(tmp_path / "out", format="sharegpt")

    assert refused.value.message == f"{_LOST}reasoning (1 conversation); nothing was written"
    assert str(refused.value).endswith("Pass lossy=True to leave exactly that out, or another format")


@pytest.mark.parametrize("format_", ["messages", "native", "parquet", "sharegpt", "csv"])
async def test_plain_conversations_need_no_permission(backstay, tmp_path, format_):
    """Conversations of roles and text alone go into every format without a loss."""
    await _many(backstay, 3)

    result = await backstay.conversations.write_export(tmp_path / "out", format=format_)

    assert (result.exported, list(result.losses)) == (3, [])


@pytest.mark.parametrize("format_", ["messages", "sharegpt", "csv", "alpaca", "trl-preference", "parquet"])
async def test_a_plan_is_the_result_of_the_export(backstay, tmp_path, format_):
    """A plan has the counts of a lossy export, and neither writes nor refuses anything."""
    await _store(backstay, _row("plain", topic="rain"), _row("tools", _TURNS), _row("asking", _TURNS[:1]))
    await _store(backstay, *(_row(f"p{n}", metadata={"preference_pair": "p", "preference": s}) for n, s in _PAIR))

    plan = await backstay.conversations.plan_export(tmp_path / "out", format=format_, strict=True)
    exists = (tmp_path / "out").exists()
    result = await backstay.conversations.write_export(tmp_path / "out", format=format_, lossy=True)

    assert not exists
    assert (plan.path, plan.files) == (None, ())
    assert replace(plan, path=result.path, files=result.files) == result


async def test_a_plan_raises_the_other_errors_of_an_export(backstay, tmp_path):
    """A plan raises the errors of an export that do not concern losses and warnings."""
    await _store(backstay, _row("marked", [{"role": "user", "content": "<|im_start|>"}]))
    plan_export = backstay.conversations.plan_export
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "other.jsonl").write_text("")

    with pytest.raises(ConversationUnwritable):
        await plan_export(format="chatml")
    with pytest.raises(EmptySelection):
        await plan_export(None, Selection())
    with pytest.raises(SettingsError, match="cannot go to a stream"):
        await plan_export(shard_size=5)
    with pytest.raises(SettingsError, match="xlsx"):
        await plan_export("all.xlsx")
    with pytest.raises(OutputUnwritable):
        await plan_export(tmp_path / "data")


async def test_a_stream_is_measured_before_it_begins(backstay):
    """A stream gets no byte if the format cannot hold something that stands in its last conversation."""
    await _many(backstay, 3)
    await _store(backstay, _row("tools", _TURNS))
    stream = io.BytesIO()

    with pytest.raises(LossyExport):
        await backstay.conversations.write_export(stream, format="sharegpt")
    refused = stream.getvalue()
    await backstay.conversations.write_export(stream, format="sharegpt", lossy=True)

    assert refused == b""
    assert stream.getvalue().count(b"\n") == 4


async def test_a_pipe_is_measured_before_it_begins(backstay, tmp_path):
    """A named pipe as the target gets no byte if the format cannot hold something."""
    await _store(backstay, *(_row(f"c{number}") for number in range(3)), _row("tools", _TURNS))
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    try:
        with pytest.raises(LossyExport):
            await backstay.conversations.write_export(tmp_path / "pipe", format="sharegpt")
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("measures", [True, False], ids=["measured", "control"])
async def test_only_measuring_protects_a_stream(backstay, monkeypatch, measures):
    """Without the measuring, a stream ends in the middle."""
    monkeypatch.setattr("backstay.library.exports.prepared_export._BLOCK_BYTES", 1)
    monkeypatch.setattr(exporter, "_PAGE_CONVERSATIONS", 2)
    await _many(backstay, 3)
    await _store(backstay, _row("tools", _TURNS))
    stream = io.BytesIO()
    if not measures:

        async def nothing(*_):
            pass

        monkeypatch.setattr(exporter.Exporter, "_measure", nothing)

    with pytest.raises(LossyExport):
        await backstay.conversations.write_export(stream, format="sharegpt")

    assert (stream.getvalue() == b"") is measures


async def test_a_loss_that_appears_while_writing_leaves_the_target(backstay, tmp_path, monkeypatch):
    """If a conversation with tools is stored after the losses were counted, a stream stops before it, a file is not
    replaced."""
    await _many(backstay, 2)
    target, stream = tmp_path / "out.jsonl", io.BytesIO()
    target.write_bytes(b"good")
    monkeypatch.setattr(backstay._store.conversations, "may_have_turn_fields", _answer(False))
    await _store(backstay, _row("tools", _TURNS))

    with pytest.raises(LossyExport):
        await backstay.conversations.write_export(stream, format="sharegpt")
    with pytest.raises(LossyExport):
        await backstay.conversations.write_export(target, format="parquet")

    assert (stream.getvalue(), target.read_bytes()) == (b"", b"good")


def _answer(value):
    async def answer(*_, **__):
        return value

    return answer


async def test_text_that_a_format_refuses_is_located(backstay, tmp_path):
    """ChatML refuses a text with its own markers, and names the conversation and the turn, but not the text."""
    marked = [_QUESTION, {"role": "assistant", "content": "secret <|im_end|>"}]
    await _store(backstay, _row("plain"), _row("marked", marked), _row("another", marked))

    for target in (tmp_path / "out", io.BytesIO()):
        with pytest.raises(ConversationUnwritable) as refused:
            await backstay.conversations.write_export(target, format="chatml", lossy=True)
        assert "conversation 'marked' (and 1 other): turn 2" in refused.value.message
        assert "secret" not in refused.value.message
        assert refused.value.context["conversation_id"] == "marked"
    assert not (tmp_path / "out").exists()


async def test_a_stream_that_is_given_up_leaves_no_read(backstay, monkeypatch):
    """A stream that its reader leaves in the middle ends the read that is ahead of it."""
    monkeypatch.setattr("backstay.library.exports.prepared_export._BLOCK_BYTES", 1)
    monkeypatch.setattr(exporter, "_PAGE_CONVERSATIONS", 2)
    pages, is_reading_ahead = exporter.Exporter.pages, asyncio.Event()

    async def pages_with_a_slow_second(self, selection):
        async for page in pages(self, selection):
            yield page
            is_reading_ahead.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(exporter.Exporter, "pages", pages_with_a_slow_second)
    await _many(backstay, 9)
    before = asyncio.all_tasks()
    stream = backstay.conversations.stream_export(None, ExportRequest(format="native"))

    first = await anext(stream)
    await is_reading_ahead.wait()
    during = asyncio.all_tasks() - before
    await stream.aclose()
    for _ in range(1_000):
        if asyncio.all_tasks() == before:
            break
        await asyncio.sleep(0.01)

    assert (first.count(b"\n"), len(during)) == (2, 1)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("name", "format_", "expand"),
    [
        ("a.jsonl", "messages", bytes),
        ("a", "messages", bytes),
        ("a.csv", "csv", bytes),
        ("A.CSV", "csv", bytes),
        ("a.parquet", "parquet", bytes),
        ("a.jsonl.gz", "messages", gzip.decompress),
        ("a.csv.gz", "csv", gzip.decompress),
        ("a.csv.zst", "csv", lambda data: zstandard.ZstdDecompressor().stream_reader(data).read()),
    ],
)
async def test_the_ending_of_a_file_says_format_and_compression(backstay, tmp_path, name, format_, expand):
    """The ending of the file gives the format, unless one is named, and the compression."""
    await _many(backstay, 3)

    result = await backstay.conversations.write_export(tmp_path / name)
    native = await backstay.conversations.write_export(tmp_path / name, format="native")

    assert (result.format, native.format) == (format_, "native")
    assert len(expand((tmp_path / name).read_bytes()).splitlines()) == 3
    await backstay.conversations.write_export(tmp_path / name)
    data = expand((tmp_path / name).read_bytes())
    assert data.startswith({"messages": b'{"messages":', "csv": b"conversation_id,", "parquet": b"PAR1"}[format_])


async def test_equal_exports_are_equal_files(backstay, tmp_path):
    """Two exports of the same conversations are the same bytes, even compressed."""
    await _many(backstay, 3)

    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        await backstay.conversations.write_export(tmp_path / name)

    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


async def test_a_split_gives_each_conversation_one_side(backstay, tmp_path):
    """The sides of a split together are the library, and stay the same when it has grown."""
    await _many(backstay, 40)
    choices = {"split": "train=0.75,test=0.25", "seed": 7, "format": "native"}

    result = await backstay.conversations.write_export(tmp_path / "first", **choices)
    await _store(backstay, *(_row(f"later{number}") for number in range(10)))
    await backstay.conversations.write_export(tmp_path / "second", **choices)

    first, second = (
        {side: {row["id"] for row in _lines(tmp_path / name / f"{side}.jsonl")} for side in ("train", "test")}
        for name in ("first", "second")
    )
    assert result.splits == {side: len(ids) for side, ids in first.items()}
    assert first["train"] | first["test"] == {f"c{number:04}" for number in range(40)}
    assert not first["train"] & first["test"]
    assert all(first[side] < second[side] for side in ("train", "test"))


@pytest.mark.parametrize("format_", ["messages", "csv", "parquet"])
async def test_shards_hold_so_many_conversations(backstay, tmp_path, format_):
    """Each shard is a whole file of its format with at most so many conversations, in their order."""
    await _many(backstay, 7)

    result = await backstay.conversations.write_export(tmp_path / "out", format=format_, shard_size=3)

    suffix = "jsonl" if format_ == "messages" else format_
    assert [(file.name, file.conversations) for file in result.files] == [
        (f"train-00000.{suffix}", 3),
        (f"train-00001.{suffix}", 3),
        (f"train-00002.{suffix}", 1),
    ]
    assert _names(tmp_path / "out") == [file.name for file in result.files]
    if format_ == "csv":
        texts = [(tmp_path / "out" / file.name).read_text() for file in result.files]
        assert [len(list(csv.DictReader(io.StringIO(text)))) for text in texts] == [6, 6, 2]


async def test_pairs_may_be_in_two_shards(backstay, tmp_path):
    """A preference pair whose conversations come in different shards is written whole, and never lost."""
    rows = [
        _row(f"{side}{number}", metadata={"preference": side, "preference_pair": f"p{number}"})
        for side in ("chosen", "rejected")
        for number in range(4)
    ]
    await _store(backstay, *rows)

    result = await backstay.conversations.write_export(tmp_path / "out", format="trl-preference", shard_size=3)

    lines = [line for file in result.files for line in _lines(tmp_path / "out" / file.name)]
    assert (result.exported, len(lines)) == (8, 4)


@pytest.mark.parametrize("sides", [("chosen", "rejected"), ("rejected",)], ids=["adjacent", "apart"])
@pytest.mark.parametrize(("size", "expected"), [(1, [2] * 4), (3, [2] * 4), (5, [4, 4])])
async def test_shards_of_pairs_count_what_is_in_them(backstay, tmp_path, sides, size, expected):
    """A shard has whole pairs, of which each is two conversations: at most the size, but one pair at least."""
    pairs = [(side, number) for number in range(4) for side in ("chosen", "rejected")]
    pairs = sorted(pairs, key=lambda pair: pair[0] in sides if len(sides) == 1 else 0)
    rows = [
        _row(f"{side}{number}", metadata={"preference": side, "preference_pair": f"p{number}"})
        for side, number in [*pairs, ("chosen", 4)]
    ]
    await _store(backstay, *rows)

    result = await backstay.conversations.write_export(
        tmp_path / "out", format="trl-preference", shard_size=size, lossy=True
    )

    assert [file.conversations for file in result.files] == expected
    assert [2 * len(_lines(tmp_path / "out" / file.name)) for file in result.files] == expected


async def test_an_unpaired_conversation_is_a_loss(backstay, tmp_path):
    """A conversation without a counterpart refuses an export of pairs, or is left out and not counted as exported."""
    pair = [_row(side, metadata={"preference": side, "preference_pair": "p"}) for side in ("chosen", "rejected")]
    await _store(backstay, *pair, _row("a"), _row("b", metadata={"preference": "chosen", "preference_pair": "q"}))

    with pytest.raises(LossyExport, match="conversations without a counterpart \\(2 conversations\\)"):
        await backstay.conversations.write_export(tmp_path / "out", format="trl-preference")
    result = await backstay.conversations.write_export(tmp_path / "out", format="trl-preference", lossy=True)
    with pytest.raises(EmptySelection, match="trl-preference can hold none of the selected conversations"):
        await backstay.conversations.write_export(
            tmp_path / "out", Selection(ids=("a",)), format="trl-preference", lossy=True
        )

    assert result.exported == 2
    assert len(_lines(tmp_path / "out")) == 1


async def test_a_folder_is_never_a_mixture_of_exports(backstay, tmp_path):
    """A folder that contains data files of another export is refused, before or after writing, and stays as it was."""
    await _many(backstay, 7)
    folder = tmp_path / "out"
    await backstay.conversations.write_export(folder, shard_size=3)
    (folder / "notes.txt").write_text("mine")
    (folder / "train-00000.jsonl").write_text("old")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    for choices in ({"split": "train=0.5,test=0.5"}, {"shard_size": 4}, {"shard_size": 3, "format": "csv"}, {}):
        with pytest.raises(OutputUnwritable, match=r"out contains train-0000\d\.jsonl, which this export would not"):
            await backstay.conversations.write_export(folder, **choices)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    result = await backstay.conversations.write_export(folder, shard_size=3)

    assert _names(folder) == ["notes.txt", *(file.name for file in result.files)]
    assert len(_lines(folder / "train-00000.jsonl")) == 3


@pytest.mark.parametrize("exists", [True, False])
async def test_a_failed_export_leaves_no_folder(backstay, tmp_path, monkeypatch, exists):
    """An export that fails after its first page leaves neither new files nor temporary ones."""
    await _many(backstay, 7)
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
        await backstay.conversations.write_export(folder, format="native")
    before = _names(folder) if exists else None
    page = backstay._store.conversations.page

    async def fail_later(owner, selection, *, after, limit):
        if after:
            raise OSError("the connection was lost")
        part = await page(owner, selection, after=after, limit=limit)
        return ConversationPage(part.conversations, 1, part.size)

    monkeypatch.setattr(backstay._store.conversations, "page", fail_later)
    with pytest.raises(OSError, match="the connection was lost"):
        await backstay.conversations.write_export(folder)

    assert _names(tmp_path) == _kept(tmp_path, *(["out"] if exists else []))
    assert folder.exists() is exists
    assert before is None or _names(folder) == before


@pytest.mark.parametrize("way", ["plan", "refused", "written"])
async def test_problems_name_the_conversations(backstay, tmp_path, way):
    """The file of problems names each conversation with a loss or a warning, even if that refuses the export."""
    await _store(backstay, _row("plain"), _row("a b", _TURNS), _row("open", [_QUESTION]))
    problems = tmp_path / "problems.txt"
    choices = {"format": "csv" if way == "refused" else "messages", "problems": problems}

    if way == "plan":
        await backstay.conversations.plan_export(**choices)
    elif way == "refused":
        with pytest.raises(LossyExport):
            await backstay.conversations.write_export(tmp_path / "out.csv", **choices)
    else:
        await backstay.conversations.write_export(tmp_path / "out.jsonl", **choices)

    lost = "a b\tloses tool calls; loses ids of tool calls; loses reasoning\n"
    warned = "open\thas no turn of the assistant\n"
    assert problems.read_text() == (lost if way == "refused" else warned)


async def test_problems_name_conversations_that_are_left_out(backstay, tmp_path):
    """A conversation of which nothing is written is left out, which its line in the file of problems says."""
    await _store(backstay, _row("single"))

    await backstay.conversations.plan_export(format="trl-preference", problems=tmp_path / "problems.txt")

    line = "single\tis left out, like all conversations without a counterpart\n"
    assert (tmp_path / "problems.txt").read_text() == line


async def test_problems_name_a_conversation_without_its_counterpart(backstay, tmp_path):
    """A conversation that waits for its counterpart until the end is named as left out, too."""
    rows = [
        _row(f"{pair}-{side}", metadata={"preference": side, "preference_pair": pair})
        for pair, side in (("p", "chosen"), ("q", "chosen"), ("p", "rejected"))
    ]
    await _store(backstay, *rows)

    plan = await backstay.conversations.plan_export(format="trl-preference", problems=tmp_path / "problems.txt")

    assert plan.exported == 2
    problems = (tmp_path / "problems.txt").read_text()
    assert problems == "q-chosen\tis left out, like all conversations without a counterpart\n"


async def test_a_file_of_problems_is_refused_for_a_stream_and_over_a_database(backstay, tmp_path):
    """A file of problems cannot replace a database, and an export to a stream is refused with one."""
    await _many(backstay, 1)
    database = next((path for path in tmp_path.iterdir() if path.suffix == ".db"), None)

    with pytest.raises(SettingsError, match="name a file for the export, or do a dry run"):
        await backstay.conversations.write_export(io.BytesIO(), problems=tmp_path / "problems.txt")
    if database is not None:
        with pytest.raises(OutputUnwritable, match="belongs to the database"):
            await backstay.conversations.plan_export(problems=database)


@pytest.mark.parametrize("count", [1, 1_200])
@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
async def test_a_json_file_is_one_array(backstay, tmp_path, name, count):
    """A file whose name ends in `.json` is one JSON array, which can be imported again."""
    await _many(backstay, count)

    await backstay.conversations.write_export(tmp_path / name, format="native")

    data = (tmp_path / name).read_bytes()
    rows = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
    assert len({row["id"] for row in rows}) == count
    assert (await backstay.conversations.import_file(tmp_path / name)).identical == count


@pytest.mark.parametrize(
    ("target", "choices", "message"),
    [
        (
            "out.jsonl",
            {"split": "a=0.5,b=0.5"},
            "out.jsonl is one file, and a split or shards need several; name a folder",
        ),
        ("out.csv.gz", {"shard_size": 3}, "name a folder"),
        ("out.xlsx", {}, ".xlsx files cannot be written"),
        ("out.tsv.gz", {}, ".tsv files cannot be written"),
        ("out", {"shard_size": 0}, "The shard size is below 1"),
        ("out.jsonl", {"license": "mit"}, "A license is written into a dataset card"),
        (None, {"card": True}, "a card cannot go to a stream; name a folder"),
        (None, {"split": "a=1"}, "a card cannot go to a stream; name a folder"),
    ],
)
async def test_contradictions_are_refused(backstay, tmp_path, target, choices, message):
    """A request that contradicts itself or its target is refused before anything is read."""
    with pytest.raises(SettingsError, match=message):
        await backstay.conversations.write_export(tmp_path / target if target else io.BytesIO(), **choices)


async def test_a_card_has_figures_of_what_was_exported(backstay, tmp_path):
    """A dataset card has front matter that loaders read, and counts of the exported conversations alone."""
    await _many(backstay, 5)
    items = [{"id": f"i{number}", "topic": "t"} for number in range(3)]
    await backstay.batches.run("job|`1`", items, "scripted")

    result = await backstay.conversations.write_export(
        tmp_path / "out",
        Selection(job_id="job|`1`"),
        card=True,
        license="cc-by-4.0",
        split="train=0.9,empty=0.1",
        seed=5,
    )
    alone = await backstay.conversations.write_export(tmp_path / "all.jsonl.gz", card=True, license="Ask: us")

    text = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    sides = [{"split": side, "path": f"{side}.jsonl"} for side, count in result.splits.items() if count]
    assert front == {
        "license": "cc-by-4.0",
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "default", "data_files": sides}],
    }
    assert "3 conversations in the format `messages`" in text
    assert "| `user` | 6 |" in text
    assert "| `scripted` | 3 |" in text
    assert "| `job¦'1'` | 3 | – |" in text
    other = yaml.safe_load((tmp_path / "all.md").read_text().split("---\n")[1])
    assert (other["license"], other["license_name"], alone.exported) == ("other", "Ask: us", 8)
    assert other["configs"][0]["data_files"] == [{"split": "train", "path": "all.jsonl.gz"}]


async def test_a_card_counts_turns_as_they_are_written(backstay, tmp_path):
    """A card counts neither system and developer messages that are left out, nor turns that have no place."""
    answer = {"role": "assistant", "content": "A"}
    await _store(backstay, _row("a", [{"role": "developer", "content": "S"}, _QUESTION, answer, _QUESTION]))

    await backstay.conversations.write_export(
        tmp_path / "all.jsonl", format="alpaca", card=True, system="drop", lossy=True
    )

    text = (tmp_path / "all.md").read_text()
    assert "| turns | 2 to 2, 2.0 on average |" in text
    assert "developer" not in text


async def test_a_card_names_the_recipes_of_jobs(backstay, tmp_path):
    """A card has the fingerprint of the recipe of each listed job, as `backstay status` shows it."""
    recipe = Recipe(model="m", base_url="http://127.0.0.1:9/v1", turns=2)
    await backstay.batches.create("made", [{"topic": "t"}], recipe)
    await _store(backstay, _row("a", job_id="made", item_id="i1"), _row("b", job_id="gone", item_id="i1"))

    await backstay.conversations.write_export(tmp_path / "all.jsonl", card=True)

    text = (tmp_path / "all.md").read_text()
    assert f"| `made` | 1 | {recipe.fingerprint[:12]} |" in text
    assert "| `gone` | 1 | – |" in text


async def test_a_card_never_replaces_another_text(backstay, tmp_path):
    """A README that no export has written is not replaced by a card; the card of an earlier export is."""
    await _many(backstay, 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("# Mine")

    with pytest.raises(OutputUnwritable, match=r"README\.md was not written by an export"):
        await backstay.conversations.write_export(tmp_path / "out", card=True)
    (tmp_path / "out" / "README.md").unlink()
    for _ in range(2):
        await backstay.conversations.write_export(tmp_path / "out", card=True)

    assert _names(tmp_path / "out") == ["README.md", "train.jsonl"]


@pytest.mark.parametrize(("target", "card"), [("out/", "README.md"), ("out/all.jsonl", "all.md")])
async def test_a_card_never_replaces_a_folder(backstay, tmp_path, target, card):
    """A folder with the name of the card refuses the export with that reason, and nothing is written."""
    await _many(backstay, 2)
    (tmp_path / "out" / card).mkdir(parents=True)

    with pytest.raises(OutputUnwritable, match=rf"{card} was not written by an export"):
        await backstay.conversations.write_export(f"{tmp_path}/{target}", card=True)

    assert _names(tmp_path / "out") == [card]


async def test_a_device_has_no_card_next_to_it(backstay, tmp_path):
    """A card is refused for a pipe or a device: next to it is no place for files."""
    await _many(backstay, 2)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SettingsError, match="a card cannot go to a stream; name a folder"):
        await backstay.conversations.write_export(tmp_path / "pipe", card=True)

    assert not (tmp_path / "pipe.md").exists()


async def test_an_open_file_is_written_only_after_the_first_pass(backstay, tmp_path):
    """A file named by its descriptor, and so written directly, gets no byte if the format would lose something."""
    await _store(backstay, *(_row(f"c{number}") for number in range(3)), _row("tools", _TURNS))

    with (tmp_path / "out").open("wb") as out:
        os.set_inheritable(out.fileno(), True)
        with pytest.raises(LossyExport):
            await backstay.conversations.write_export(f"/dev/fd/{out.fileno()}", format="sharegpt")

    assert (tmp_path / "out").read_bytes() == b""


async def test_what_is_left_out_without_a_loss_is_counted(backstay, tmp_path):
    """Fields that describe conversations and have no place in the format are counted, unless they are written."""
    await _store(backstay, _row("a", topic="t", metadata={"x": 1}), _row("b"))

    plain = await backstay.conversations.write_export(tmp_path / "a.jsonl")
    whole = await backstay.conversations.write_export(tmp_path / "b.jsonl", metadata=True)

    assert (plain.left_out["topic"], plain.left_out["metadata"], plain.left_out["id"]) == (1, 1, 2)
    assert not whole.left_out
    assert (await backstay.conversations.write_export(tmp_path / "c.jsonl", format="native")).left_out == {}


async def test_reasoning_and_system_messages_are_written_as_asked(backstay, tmp_path):
    """Reasoning is kept, written into the text or dropped, and system messages are dropped on request: no losses."""
    turns = [{"role": "system", "content": "Be brief."}, *_TURNS]
    await _store(backstay, _row("a", turns))

    texts = {}
    for mode in ("keep", "inline", "drop"):
        await backstay.conversations.write_export(tmp_path / mode, reasoning=mode, system="drop")
        texts[mode] = _lines(tmp_path / mode)[0]["messages"][1]

    assert texts["keep"]["reasoning_content"] == "Hm."
    assert texts["inline"]["content"] == "<think>\nHm.\n</think>\n\nLet me see."
    assert (texts["drop"]["content"], "reasoning_content" in texts["drop"]) == ("Let me see.", False)
    assert "Be brief" not in (tmp_path / "keep").read_text()


async def test_an_observer_sees_every_conversation_and_may_refuse(backstay, tmp_path):
    """An observer sees each exported conversation once, and its error at the end leaves the target unchanged."""
    await _many(backstay, 3)

    class Observer:
        def __init__(self, error=None):
            self.ids, self.error = [], error

        def observe(self, conversation):
            self.ids.append(conversation.id)

        def finish(self):
            if self.error is not None:
                raise self.error

    sees, refuses = Observer(), Observer(ValueError("no"))
    write = backstay.conversations._exporter.write

    await write(tmp_path / "a.jsonl", None, ExportRequest(observers=[sees]))
    with pytest.raises(ValueError, match="no"):
        await write(tmp_path / "b.jsonl", ALL, ExportRequest(observers=[refuses]))

    assert sees.ids == refuses.ids == ["c0000", "c0001", "c0002"]
    assert not (tmp_path / "b.jsonl").exists()


async def test_a_dataset_has_the_columns_of_parquet(backstay):
    """A dataset of Hugging Face has a row for each conversation, and its data are in a file, not in memory."""
    await _store(backstay, _row("a", topic="t"), _row("b", _TURNS))

    dataset = await backstay.conversations.to_dataset(Selection(ids=("a",)))
    everything = await backstay.conversations.to_dataset()

    assert (dataset.num_rows, dataset[0]["id"], dataset[0]["topic"]) == (1, "a", "t")
    assert dataset[0]["messages"][0]["content"] == _QUESTION["content"]
    assert everything["id"] == ["a", "b"]
    assert everything.cache_files


async def test_a_dataset_of_nothing_is_refused(backstay):
    """A dataset of an empty library is refused, and the error names no temporary file."""
    with pytest.raises(EmptySelection) as caught:
        await backstay.conversations.to_dataset()

    assert caught.value.message == "No conversation is selected"


async def test_a_dataset_without_its_packages_says_what_to_install(backstay, monkeypatch):
    """Without the packages, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(SettingsError, match=r"\[datasets\]"):
        await backstay.conversations.to_dataset()


async def test_an_unknown_choice_is_refused(backstay, tmp_path):
    """A misspelt argument of an export is a TypeError, as it is for any function, and nothing is written."""
    with pytest.raises(TypeError, match=r"there is no choice 'fromat'; see backstay\.ExportChoices"):
        await backstay.conversations.write_export(tmp_path / "out", fromat="csv")

    assert not (tmp_path / "out").exists()
