"""The columns of items in files."""

import orjson
import pytest

from backstay.batch.intake import read_items
from backstay.batch.item_columns import ColumnMapping
from backstay.errors import InputTooLarge, UnknownColumn
from backstay.readers.input_ceiling import InputCeiling
from backstay.remedy import Remedy


async def _read(path, columns=None, **options):
    return [item async for chunk in read_items(path, columns or ColumnMapping(), **options) for item in chunk]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"ID, Topic ,PERSONA,Level\nx,Tea,a monk,1\n"),
        ("a.jsonl", b'{"Id": "x", "TOPIC": "Tea", " Persona ": "a monk", "Level": "1"}'),
    ],
)
async def test_columns_are_found_without_regard_to_case(tmp_path, name, content):
    """Id, topic and persona are found without regard to case and surrounding space; other names stay as they are."""
    (tmp_path / name).write_bytes(content)

    (item,) = await _read(tmp_path / name)

    assert (item.id, item.topic, item.persona) == ("x", "Tea", "a monk")
    assert orjson.loads(item.parameters_json) == {"Level": "1"}


async def test_an_exact_name_wins(tmp_path):
    """If a column has exactly the name, those that only resemble it are parameters."""
    (tmp_path / "a.csv").write_text("Topic,topic,TOPIC\na,b,c\n")

    (item,) = await _read(tmp_path / "a.csv")
    (mapped,) = await _read(tmp_path / "a.csv", ColumnMapping(topic="TOPIC"))

    assert (item.topic, orjson.loads(item.parameters_json)) == ("b", {"Topic": "a", "TOPIC": "c"})
    assert (mapped.topic, orjson.loads(mapped.parameters_json)) == ("c", {"Topic": "a", "topic": "b"})


async def test_each_row_of_json_has_its_own_names(tmp_path):
    """Rows with different keys are each read by their own."""
    (tmp_path / "a.jsonl").write_text('{"Topic": "a"}\n{"topic": "b", "ID": "x"}\n{"TOPIC": "c", "id": "y"}\n')

    items = await _read(tmp_path / "a.jsonl")

    assert [(item.id, item.topic) for item in items] == [(None, "a"), ("x", "b"), ("y", "c")]


@pytest.mark.parametrize(
    ("header", "columns", "message", "remedy"),
    [
        ("subject", ColumnMapping(), "no column 'topic', only subject", Remedy.NAME_ONLY_COLUMN),
        ("subject,level", ColumnMapping(), "no column 'topic', only subject, level", Remedy.NAME_TOPIC_COLUMN),
        ("Topic,TOPIC", ColumnMapping(), "no column 'topic', only Topic, TOPIC", Remedy.NAME_TOPIC_COLUMN),
        ("topic", ColumnMapping(id="key"), "no column 'key'; it has: topic", None),
    ],
)
async def test_missing_columns_are_named(tmp_path, header, columns, message, remedy):
    """A file without a column is refused with the names of those that it has."""
    (tmp_path / "a.csv").write_text(f"{header}\n" + ",".join("x" for _ in header.split(",")) + "\n")

    with pytest.raises(UnknownColumn, match=message) as caught:
        await _read(tmp_path / "a.csv", columns)

    assert caught.value.remedy is remedy


async def test_files_of_one_input_may_have_other_columns(tmp_path):
    """Each file of a folder is read by its own header, and an item names its file."""
    (tmp_path / "a.csv").write_text("topic,x\nTea,1\n")
    (tmp_path / "b.csv").write_text("Y;TOPIC\n2;Salt\n")
    (tmp_path / "c.csv").write_text("topic\n")

    items = await _read(tmp_path)

    assert [(item.topic, item.file, item.line) for item in items] == [
        ("Tea", str(tmp_path / "a.csv"), 2),
        ("Salt", str(tmp_path / "b.csv"), 2),
    ]


async def test_the_files_of_one_input_are_limited_together(tmp_path):
    """The ceiling applies to all files of a folder together."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("topic\n" + "x\n" * 3)

    assert len(await _read(tmp_path, ceiling=InputCeiling(6, 100))) == 6
    with pytest.raises(InputTooLarge):
        await _read(tmp_path, ceiling=InputCeiling(5, 100))
