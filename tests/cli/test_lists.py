"""Lists and selections by traits and imports on the command line, and `backstay index`."""

import json

import pytest


def _row(name, *texts, **fields):
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return json.dumps({"id": name, "messages": messages, **fields}) + "\n"


def _write(backstay, name, text):
    (backstay.folder / name).write_text(text, encoding="utf-8")
    return name


@pytest.fixture
def imported(within, backstay):
    """Import three conversations, then one; return the ids of the imports."""
    first = _row("a", "Hello there", "Hi", model="m1") + _row("b", "x" * 500, "y", "z", "!", persona="Ann the baker")
    first += _row("c", "short", "one", topic="Lighthouses", tools=[{"name": "look"}])
    files = (_write(backstay, "first.jsonl", first), _write(backstay, "second.jsonl", _row("d", "later", "on")))
    return [within("conversations", "import", file, "--json").json["importId"] for file in files]


def _ids(within, *options):
    return [item["id"] for item in within("conversations", "list", *options, "--json").json["conversations"]]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--made-with", "m1"], ["a"]),
        (["--persona-contains", "BAKER"], ["b"]),
        (["--topic-contains", "light"], ["c"]),
        (["--min-turns", "3"], ["b"]),
        (["--max-turns", "2", "--without-tools"], ["d", "a"]),
        (["--min-characters", "13", "--max-characters", "400"], ["a"]),
        (["--with-tools"], ["c"]),
        (["--newer-than", "1d", "--last-import"], ["d"]),
        (["--older-than", "1d"], []),
        (["--sort", "longest"], ["b", "a", "d", "c"]),
        (["--sort", "fewest-turns", "--limit", "3"], ["a", "c", "d"]),
    ],
)
def test_a_list_is_filtered_and_sorted(within, imported, options, ids):
    """Each option of a list selects or sorts, and an index that is filled changes nothing."""
    before = _ids(within, *options)
    within("index", "build")

    assert before == _ids(within, *options)
    assert sorted(before) == sorted(ids) if "--sort" not in options else before[0] == ids[0]


def test_an_import_selects_what_it_stored(within, backstay, imported):
    """An import's id selects its conversations, to list, export and delete; an import of nothing is the last one."""
    listed = _ids(within, "--import", imported[0])
    exported = within("conversations", "export", "--last-import", "-o", "-").out
    again = within("conversations", "import", _write(backstay, "again.jsonl", _row("d", "later", "on")), "--json").json
    nothing = within("conversations", "delete", "--last-import", "--yes", "--json").json
    deleted = within("conversations", "delete", "--import", imported[0], "--yes", "--json").json

    assert sorted(listed) == ["a", "b", "c"]
    assert "later" in exported
    assert "short" not in exported
    assert again["identical"] == 1
    assert nothing["deleted"] == 0
    assert deleted["deleted"] == 3
    assert _ids(within) == ["d"]
    within("backups", "restore", deleted["backupId"])
    assert sorted(_ids(within, "--import", imported[0])) == ["a", "b", "c"]


def test_an_unknown_import_is_refused(within, imported):
    """A list or delete of an import that does not exist is an error, and so is one that a backup should know."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    listed = within("conversations", "list", "--import", "none")
    deleted = within("conversations", "delete", "--import", "none", "--yes")
    both = within("conversations", "list", "--import", "none", "--last-import")
    restored = within("backups", "restore", backup, "--last-import")

    assert "Import 'none' not found" in listed.err
    assert "Import 'none' not found" in deleted.err
    assert "--last-import and --import cannot be combined" in both.err
    assert "An import selects conversations of the library" in restored.err


def test_a_cursor_belongs_to_its_order(within, imported):
    """The cursor of a sorted list continues it, and is refused in another order."""
    page = within("conversations", "list", "--sort", "longest", "--limit", "2", "--json").json
    rest = within("conversations", "list", "--sort", "longest", "--before", page["nextCursor"], "--json").json
    other = within("conversations", "list", "--before", page["nextCursor"])
    none = within("conversations", "list", "--before", "x")

    assert len(page["conversations"]) + len(rest["conversations"]) == 4
    assert "belongs to a list in another order" in other.err
    assert "'x' is not a cursor" in none.err


def test_the_index_is_built_and_dropped(within, imported):
    """`index build` indexes what is not indexed yet, `index drop` deletes the index, and `index status` counts."""
    built = within("index", "build", "--json").json
    again = within("index", "build", "--json").json
    status = within("index", "status", "--json").json
    within("index", "drop")
    dropped = within("index", "status", "--json").json
    anew = within("index", "build").out

    assert built["indexed"] + built["unindexed"] == 4
    assert again == status == {"indexed": 4, "unindexed": 0, "texts": None}
    assert dropped == {"indexed": 0, "unindexed": 4, "texts": None}
    assert anew == "4 conversations indexed.\n"


def test_texts_are_indexed_on_request(within, imported):
    """`index build --text` indexes texts from then on, `index status` counts them, and `index drop --text` ends it."""
    without = within("index", "status").out
    built = within("index", "build", "--text").out
    searched = _ids(within, "--search", "HELLO")
    status = within("index", "status").out
    dropped = within("index", "drop", "--text").out

    assert "There is no text index; create it with: backstay index build --text" in without
    assert built == "4 conversations indexed, 4 with texts.\n"
    assert "The text index has 4 conversations." in status
    assert dropped == "The text index is deleted.\n"
    assert searched == _ids(within, "--search", "HELLO") == ["a"]


def test_first_words_stand_for_a_topic(within, imported):
    """A conversation without a topic is listed with its first words."""
    lines = [line.split("\t") for line in within("conversations", "list", "--import", imported[0]).out.splitlines()]

    assert {line[0]: line[1] for line in lines} == {"a": "Hello there", "b": f"{'x' * 79}…", "c": "Lighthouses"}
