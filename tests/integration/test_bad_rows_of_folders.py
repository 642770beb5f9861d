"""Bad rows in the files of a folder: counted over all of them, and kept with the name of their own file."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from backstay import Backstay, BadRowsReport, BatchResult
from backstay.errors import InvalidRow, OutputUnwritable, RecipeError, RefusedByTrainers
from backstay.generate.recipe import Recipe
from support.stores.library import ALL

_MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


@pytest.fixture
def shards(tmp_path) -> Path:
    """Three files of different kinds with two good conversations, and also topics, and a bad row each."""
    folder = tmp_path / "shards"
    folder.mkdir()
    rows = [{"id": name, "topic": name, "messages": _MESSAGES} for name in "abcd"]
    lines = [*map(orjson.dumps, rows[:2]), b"no JSON"]
    (folder / "part-1.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    bad = {"id": "x", "topic": "", "messages": []}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows[2:], bad]), folder / "part-2.parquet")
    (folder / "part-10.csv").write_text("id;topic;prompt;completion\ne;e;Hello;Hi\nf;f\ng;g;Hello;Hi\n")
    return folder


def _places(report: BadRowsReport, folder: Path) -> list[str]:
    return [bad_row.where.removeprefix(f"{folder}/") for bad_row in report.examples]


async def _ids(backstay: Backstay) -> list[str]:
    return sorted([str(conversation.id) async for conversation in backstay.conversations.export(ALL)])


async def _run(backstay: Backstay, source: Path, **options: Any) -> BatchResult:
    return await backstay.batches.run("job", source, "scripted", **options)


async def test_an_import_counts_bad_rows_of_all_files(backstay, shards):
    """The first bad row of a folder is named with its file, and those of the other files are counted."""
    with pytest.raises(InvalidRow) as caught:
        await backstay.conversations.import_file(shards)

    assert caught.value.message.startswith(f"{shards}/part-1.jsonl.gz line 3: not valid JSON")
    assert caught.value.message.endswith("; 2 more rows are unusable")
    assert await _ids(backstay) == []


async def test_an_import_skips_bad_rows_of_all_files(backstay, shards):
    """Bad rows of each file are left out, and listed with the name of their file."""
    result = await backstay.conversations.import_file(shards, on_bad_row="skip")

    names = ["part-1.jsonl.gz", "part-2.parquet", "part-10.csv"]
    assert _places(result.bad_rows, shards) == [f"{names[0]} line 3", f"{names[1]} row 3", f"{names[2]} line 3"]
    assert [bad_row.file for bad_row in result.bad_rows.examples] == [f"{shards}/{name}" for name in names]
    assert (result.imported, await _ids(backstay)) == (6, list("abcdeg"))


async def test_a_quarantine_has_the_rows_of_several_files(backstay, shards, tmp_path):
    """Bad rows of several files are kept together, each as one line, with a reason that names its file."""
    quarantine = tmp_path / "bad.jsonl"

    result = await backstay.conversations.import_file(f"{shards}/*-[12].*", quarantine=quarantine)

    reasons = [json.loads(line) for line in Path(f"{quarantine}.reasons.jsonl").read_text().splitlines()]
    assert quarantine.read_bytes() == b'no JSON\n{"id":"x","topic":"","messages":[]}\n'
    assert [reason["where"] for reason in reasons] == [
        f"{shards}/part-1.jsonl.gz line 3",
        f"{shards}/part-2.parquet row 3",
    ]
    assert result.imported == 4


@pytest.mark.parametrize("pattern", ["", "part-[12].*", "**"])
async def test_a_quarantine_in_an_input_folder_is_left_out(backstay, shards, pattern):
    """A quarantine in the input folder is left out when an import or run is repeated; if it is named, it is read."""
    (shards / "part-10.csv").unlink()
    quarantine = shards / "part-2.jsonl"
    first = await backstay.conversations.import_file(shards / pattern, quarantine=quarantine)

    again = await backstay.conversations.import_file(shards / pattern, quarantine=quarantine)
    ran = await _run(backstay, shards / pattern, quarantine=quarantine)

    assert (first.imported, again.identical, ran.completed) == (4, 4, 4)
    assert first.bad_rows == again.bad_rows
    with pytest.raises(InvalidRow, match=r"part-2\.jsonl line 1: not valid JSON"):
        await backstay.conversations.import_file(quarantine)


async def test_a_quarantine_has_rows_of_one_kind(backstay, shards, tmp_path):
    """Rows of CSV cannot stand among JSON lines, so the import is refused as a whole."""
    quarantine = tmp_path / "bad.jsonl"

    with pytest.raises(
        OutputUnwritable, match="bad rows of different formats, or with different columns, need separate files"
    ):
        await backstay.conversations.import_file(shards, quarantine=quarantine)

    assert (await _ids(backstay), quarantine.exists()) == ([], False)


async def test_csv_files_share_a_header_in_the_quarantine(backstay, tmp_path):
    """Bad records of several CSV files stand under one header, also if a file lacks its last line end."""
    folder, quarantine = tmp_path / "tables", tmp_path / "bad.csv"
    folder.mkdir()
    (folder / "1.csv").write_bytes(b"id;prompt;completion\r\na;Hello;Hi\r\nb;Hello")
    (folder / "2.csv.gz").write_bytes(gzip.compress(b"id;prompt;completion\nc;Hello;Hi\nd;Hello\n"))

    await backstay.conversations.import_file(folder, quarantine=quarantine)
    kept = quarantine.read_bytes()
    quarantine.write_bytes(kept.replace(b"Hello", b"Hello;Hi"))
    repaired = await backstay.conversations.import_file(quarantine)

    assert kept == b"id;prompt;completion\r\nb;Hello\nd;Hello\n"
    assert (repaired.imported, await _ids(backstay)) == (2, list("abcd"))


async def test_a_named_delimiter_stays_named_in_the_quarantine(backstay, tmp_path):
    """The line of Excel that names the delimiter is kept before the header, so that the rows can be read again."""
    (tmp_path / "in.csv").write_bytes(b"sep=^\nid^prompt^completion\na^Hello^Hi\nb^Hello\n")

    await backstay.conversations.import_file(tmp_path / "in.csv", quarantine=tmp_path / "bad.csv")

    assert (tmp_path / "bad.csv").read_bytes() == b"sep=^\nid^prompt^completion\nb^Hello\n"


async def test_a_job_counts_bad_rows_of_all_files(backstay, shards):
    """The first bad row of a folder of topics is named with its file, and those of the other files are counted."""
    with pytest.raises(InvalidRow) as caught:
        await _run(backstay, shards)

    assert caught.value.message.startswith(f"{shards}/part-1.jsonl.gz line 3: not valid JSON")
    assert caught.value.message.endswith("; 2 more rows are unusable")


async def test_a_job_skips_bad_rows_of_all_files(backstay, shards):
    """Items are made of the good rows of all files."""
    result = await _run(backstay, shards, on_bad_row="skip")

    assert _places(result.bad_rows, shards) == ["part-1.jsonl.gz line 3", "part-2.parquet row 3", "part-10.csv line 3"]
    assert result.bad_rows.examples[2].file == f"{shards}/part-10.csv"
    assert result.completed == 6


async def test_plain_text_lines_are_kept(backstay, tmp_path):
    """A line of plain text that is not UTF-8 is kept as it is."""
    (tmp_path / "in.txt").write_bytes(b"Tea\nGr\xf6\xdfe\nSalt\n")

    result = await _run(backstay, tmp_path / "in.txt", quarantine=tmp_path / "bad.txt")

    assert (tmp_path / "bad.txt").read_bytes() == b"Gr\xf6\xdfe\n"
    assert result.completed == 2


async def test_a_row_without_a_value_of_the_recipe_names_its_file(backstay, tmp_path):
    """A row of a folder that lacks a value of the recipe is a bad row, and its error names the file and the line."""
    for name, row in (("1", {"topic": "a", "tone": "calm"}), ("2", {"topic": "b"})):
        (tmp_path / f"{name}.jsonl").write_bytes(orjson.dumps(row) + b"\n")
    recipe = Recipe(model="m", base_url="http://127.0.0.1:9/v1", prompt="{{ topic }}, {{ tone }}")

    with pytest.raises(RecipeError, match=r"2\.jsonl line 1"):
        await backstay.batches.create("job", f"{tmp_path}/*.jsonl", recipe)


async def test_warnings_of_trainers_name_the_file(backstay, tmp_path):
    """Where several files are imported, the first conversation that trainers would refuse is named with its file."""
    for name, messages in (("1", _MESSAGES), ("2", _MESSAGES[:1])):
        (tmp_path / f"{name}.jsonl").write_bytes(orjson.dumps({"id": name, "messages": messages}) + b"\n")

    with pytest.raises(RefusedByTrainers) as refused:
        await backstay.conversations.import_file(f"{tmp_path}/*.jsonl", strict=True)
    result = await backstay.conversations.import_file(f"{tmp_path}/*.jsonl")

    assert refused.value.message.startswith(f"{tmp_path}/2.jsonl line 1, turn 1: trainers would refuse 1 conversation")
    assert refused.value.context["path"] == f"{tmp_path}/2.jsonl"
    assert {warning.first.file for warning in result.warnings} == {f"{tmp_path}/2.jsonl"}


@pytest.mark.parametrize("name", ["in.jsonl", "in.json"])
async def test_rows_that_are_lists_of_messages(backstay, tmp_path, name):
    """A row may be nothing but a list of messages: a line of JSON lines, or an element of an array."""
    rows = [_MESSAGES, [], _MESSAGES]
    lines = b"\n".join(map(orjson.dumps, rows))
    (tmp_path / name).write_bytes(lines if name == "in.jsonl" else orjson.dumps(rows))

    result = await backstay.conversations.import_file(tmp_path / name, on_bad_row="skip")

    assert (result.imported, result.bad_rows.count) == (2, 1)
