"""`backstay conversations export` into files, folders and pipes."""

import gzip
import json

import pytest

_CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_TOOLS = {
    "id": "tools",
    "conversation_turns": [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": "", "metadata": {"tool_calls": [_CALL], "reasoning": "Hm."}},
        {"role": "tool", "content": "Rain", "metadata": {"tool_call_id": "call-1"}},
        {"role": "assistant", "content": "It rains."},
    ],
}
_PLAIN = {"id": "plain", "topic": "tea", "conversation_turns": [*_TOOLS["conversation_turns"][::3]]}
_ASKING = {"id": "asking", "conversation_turns": _TOOLS["conversation_turns"][:1]}
_MARKED = {**_PLAIN, "id": "marked", "conversation_turns": [{"role": "user", "content": "<|im_start|>"}]}


@pytest.fixture
def stored(within, backstay):
    """Return a function that stores conversations in the native shape."""

    def store(*rows):
        (backstay.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert within("conversations", "import", "rows.jsonl").code == 0

    return store


def _export(within, *words):
    return within("conversations", "export", *words)


def test_no_selection_means_everything(within, backstay, stored):
    """Without ids and conditions all conversations are exported; an empty file of ids is refused."""
    stored(_TOOLS, _PLAIN)
    (backstay.folder / "empty.txt").write_text("\n")

    ended = _export(within, "-o", "all.jsonl")
    piped = _export(within)
    empty = _export(within, "--ids-file", "empty.txt", "-o", "all.jsonl")

    assert ended.err.splitlines()[0] == "2 conversations exported to all.jsonl."
    assert piped.out == (backstay.folder / "all.jsonl").read_text()
    assert empty.code == 2
    assert empty.one_line_error().startswith("empty.txt names no conversations")


def test_an_export_of_an_empty_library_is_refused(within, backstay, stored):
    """Without conversations, no file is written."""
    stored(_PLAIN)
    within("conversations", "delete", "plain", "--yes")

    ended = _export(within, "-o", "all.jsonl")

    assert ended.code == 2
    assert ended.one_line_error().startswith("No conversation is selected; all.jsonl is unchanged")
    assert not (backstay.folder / "all.jsonl").exists()


def test_losses_are_refused_then_announced(within, backstay, stored):
    """A lossy export is refused with counts and the option that allows it, which then says the same at the end."""
    stored(_TOOLS, _PLAIN)
    lost = "ids of tool calls (2 in 1 conversation), reasoning (1 conversation)"

    refused = _export(within, "--format", "sharegpt", "-o", "out.jsonl")
    as_json = _export(within, "--format", "sharegpt", "-o", "out.jsonl", "--json")
    piped = _export(within, "--format", "sharegpt")
    assert not (backstay.folder / "out.jsonl").exists()
    allowed = _export(within, "--format", "sharegpt", "-o", "out.jsonl", "--lossy")
    result = _export(within, "--format", "sharegpt", "-o", "out.jsonl", "--lossy", "--json").json

    assert (refused.code, piped.code, piped.out) == (2, 2, "")
    assert refused.one_line_error() == (
        f"sharegpt cannot hold: {lost}; nothing was written. --lossy leaves exactly that out, "
        "--format native holds everything"
    )
    assert as_json.error["code"] == "lossy_export"
    assert as_json.error["details"]["losses"] == result["losses"]
    assert f"Left out, because sharegpt cannot hold it: {lost}." in allowed.err.splitlines()
    assert result["losses"][0] == {"loss": "ids of tool calls", "count": 2, "conversations": 1}
    assert result["leftOut"]["topic"] == 1


def test_a_dry_run_reports_and_writes_nothing(within, backstay, stored):
    """A dry run reports the format and what a lossy export would leave out, and does not change the file."""
    stored(_TOOLS, _PLAIN, _ASKING)
    (backstay.folder / "out.csv").write_text("good")

    sharegpt = _export(within, "--format", "sharegpt", "--dry-run")
    table = _export(within, "-o", "out.csv", "--lossy", "--dry-run")
    as_json = _export(within, "--format", "sharegpt", "--dry-run", "--json").json
    written = _export(within, "--format", "sharegpt", "-o", "out.jsonl", "--lossy", "--json").json
    one_file = _export(within, "--split", "train=0.9,test=0.1", "-o", "out.csv", "--dry-run")
    nothing = _export(within, "--job", "none", "--dry-run")

    assert sharegpt.code == 0
    assert sharegpt.out.splitlines() == [
        "3 conversations would be exported as sharegpt.",
        "Would be left out, because sharegpt cannot hold it: ids of tool calls (2 in 1 conversation), "
        "reasoning (1 conversation); without --lossy, the export is refused.",
        "Not written: created_at, updated_at, topic; --metadata writes them.",
        "Warning: trainers would refuse 1 conversation: 1 has no turn of the assistant "
        "(first: conversation 'asking', turn 1).",
    ]
    assert table.out.splitlines()[0] == "3 conversations would be exported as csv."
    assert table.out.splitlines()[1].endswith("reasoning (1 conversation).")
    assert (backstay.folder / "out.csv").read_text() == "good"
    assert as_json == {name: value for name, value in written.items() if name not in ("path", "files", "splits")}
    assert as_json["warned"] == 1
    assert (one_file.code, nothing.code) == (2, 1)
    assert one_file.one_line_error().startswith("out.csv is one file, and a split or shards need several")


def test_a_text_that_the_format_refuses_is_located(within, stored):
    """ChatML names the conversation and the turn whose text holds its markers."""
    stored(_PLAIN, _MARKED)

    ended = _export(within, "--format", "chatml", "--lossy")

    assert (ended.code, ended.out) == (2, "")
    assert "chatml cannot hold conversation 'marked': turn 1 " in ended.one_line_error()


def test_a_split_is_written_into_a_folder(within, backstay, stored):
    """A split writes a file for each side and a card, says how many are on each, and names an empty side."""
    stored(_TOOLS, _PLAIN)
    words = ("--split", "train=0.999999,test=0.000001", "--seed", "7", "--card", "--license", "mit", "-o", "dataset")

    ended = _export(within, *words)
    result = _export(within, *words, "--json").json
    nowhere = _export(within, *words[:-2])
    wrong = _export(within, "--split", "train=0.9", "-o", "dataset")

    folder = backstay.folder / "dataset"
    assert ended.err.splitlines()[0] == "2 conversations exported to dataset: train 2, test 0."
    assert "No conversation is on the side test, so its file is empty." in ended.err.splitlines()
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "test.jsonl", "train.jsonl"]
    assert "license: mit" in (folder / "README.md").read_text()
    assert result["splits"] == {"train": 2, "test": 0}
    assert [file["name"] for file in result["files"]] == ["train.jsonl", "test.jsonl"]
    assert (nowhere.code, wrong.code) == (2, 2)
    assert wrong.one_line_error() == "The fractions of the split sum to 0.9; they must sum to 1"


def test_the_ending_says_format_and_compression(within, backstay, stored):
    """`-o all.csv.gz` writes compressed CSV, and `--excel` marks it for Excel."""
    stored(_PLAIN)

    ended = _export(within, "-o", "all.csv.gz", "--excel")

    text = gzip.decompress((backstay.folder / "all.csv.gz").read_bytes()).decode()
    assert text.startswith("\ufeffconversation_id,topic")
    assert ended.err.splitlines()[0] == "1 conversation exported to all.csv.gz."
    assert ended.err.splitlines()[1].endswith("; --format native writes every field.")


def test_shards_are_counted(within, backstay, stored):
    """Shards are numbered files of a folder, and their number is printed."""
    stored(_PLAIN, {**_PLAIN, "id": "a"}, {**_PLAIN, "id": "b"})

    ended = _export(within, "--shard-size", "2", "-o", "shards")

    assert ended.err.splitlines()[0] == "3 conversations exported to shards in 2 files."
    assert sorted(path.name for path in (backstay.folder / "shards").iterdir()) == [
        "train-00000.jsonl",
        "train-00001.jsonl",
    ]


def test_a_folder_of_backups_gets_no_export(within, backstay, stored):
    """An export into a folder of backups, or next to them, is refused."""
    stored(_PLAIN)
    file = within("backups", "create", "--all", "--json").json["filePath"]
    folder = next((backstay.folder / ".backstay").rglob("*.zst")).parent

    for words in (("-o", str(folder / "new.jsonl")), ("--shard-size", "1", "-o", str(folder))):
        ended = _export(within, *words)
        assert ended.code == 1, file
        assert "folder of backups" in ended.one_line_error()


def test_reasoning_and_metadata_are_options(within, stored):
    """`--reasoning`, `--system` and `--metadata` change what a line has."""
    stored({**_TOOLS, "topic": "rain"})

    line = json.loads(_export(within, "--reasoning", "drop", "--metadata").out)
    inline = json.loads(_export(within, "--reasoning", "inline").out)

    assert "reasoning_content" not in line["messages"][1]
    assert "rain" in json.dumps({name: value for name, value in line.items() if name != "messages"})
    assert inline["messages"][1]["content"].startswith("<think>\nHm.\n</think>")


def test_parquet_is_not_written_to_a_terminal(backstay, stored):
    """Binary data would garble a terminal, so that a file is asked for; a text is printed there."""
    stored(_PLAIN)

    refused = backstay.on_terminal("conversations", "export", "--format", "parquet")
    shown = backstay.on_terminal("conversations", "export", "--format", "csv")

    assert (refused.code, shown.code) == (2, 0)
    assert "Parquet is binary and standard output is a terminal; name a file with -o" in refused.out
    assert "conversation_id,topic" in shown.out


def test_an_export_to_standard_output_by_name_continues_it(backstay, stored):
    """An export to `/dev/stdout` appends to the file behind it, instead of replacing it, and goes into a pipe."""
    stored(_PLAIN)
    log = backstay.folder / "log"
    log.write_text("before\n")

    with log.open("a") as appended:
        backstay.start("conversations", "export", "-o", "/dev/stdout", stdout=appended).communicate()
    piped, _ = backstay.start("conversations", "export", "-o", "/dev/stdout").communicate()

    assert log.read_bytes() == b"before\n" + piped
    assert list(json.loads(piped)) == ["messages"]


def test_an_empty_name_of_the_output_is_refused(within, backstay, stored):
    """`-o ""`, as from a variable that is not set, does not mean the folder of the command."""
    stored(_PLAIN)
    (backstay.folder / "rows.jsonl").unlink()

    ended = _export(within, "-o", "")

    assert (ended.code, ended.one_line_error()) == (2, "The name of the output is empty; name a file or a folder")
    assert not (backstay.folder / "train.jsonl").exists()


def test_problems_select_conversations(within, backstay, stored):
    """The file of problems has conversations with the reasons, and selects them as `--ids-file` of another command."""
    stored(_TOOLS, _PLAIN, _ASKING)

    planned = _export(within, "--format", "sharegpt", "--dry-run", "--problems", "problems.txt")
    exported = _export(within, "--ids-file", "problems.txt", "--format", "native")

    assert planned.code == 0
    assert (backstay.folder / "problems.txt").read_text().splitlines() == [
        "tools\tloses ids of tool calls; loses reasoning",
        "asking\thas no turn of the assistant",
    ]
    assert [json.loads(line)["id"] for line in exported.out.splitlines()] == ["tools", "asking"]


def test_fields_are_added_by_name(within, backstay):
    """`--with` adds the item's other columns and the usage to each line, and refuses unknown names in one line."""
    (backstay.folder / "in.csv").write_text("id,topic,level\na,Tea,3\n")
    assert within("run", "in.csv", "--model", "scripted").code == 0

    plain = _export(within)
    line = json.loads(_export(within, "--with", "id,parameters,usage").out)
    unknown = _export(within, "--with", "parameters,cost")
    native = _export(within, "--with", "id", "--format", "native")

    assert json.loads(plain.out).keys() == {"messages"}
    assert "parameters" not in plain.err
    assert (line["parameters"], line["usage"]) == ({"level": "3"}, None)
    assert line["id"]
    assert unknown.code == 2
    assert unknown.one_line_error() == (
        "An export cannot add 'cost'; it can add id, topic, persona, job_id, item_id, parameters, generation, usage"
    )
    assert (native.code, "has no effect in this format" in native.one_line_error()) == (2, True)
