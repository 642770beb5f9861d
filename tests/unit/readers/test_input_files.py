"""Folders and patterns."""

from pathlib import Path

import pytest

from backstay.errors import InputNotFound, InputUnreadable
from backstay.readers.input_files import find_files
from backstay.readers.input_notes import InputNotes


@pytest.fixture
def folder(tmp_path):
    """A folder as tools leave it: shards, in a subfolder too, and descriptions."""
    data = ("part-10.csv", "part-9.csv", "Part-1.CSV.GZ", "sub/part-2.jsonl")
    others = ("README.md", "dataset_info.json", "state.json", "LICENSE.txt", "readme.txt", "notes.docx", "_SUCCESS")
    for name in (*data, *others, ".hidden.csv", ".cache/part-3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def _names(source, **options):
    notes = []
    files = find_files(source, InputNotes(notes.append), **options)
    return [path.name for path in files], notes


def test_a_folder_has_its_files_in_natural_order(folder):
    """Files of known kinds are found in subfolders too, numbers in order; what describes the data set is left out."""
    names, notes = _names(folder)

    assert names == ["Part-1.CSV.GZ", "part-9.csv", "part-10.csv", "part-2.jsonl"]
    assert notes == [f"{folder}: 4 files; left out: _SUCCESS, dataset_info.json, LICENSE.txt, 4 more."]


def test_only_the_expected_kinds_are_found(folder):
    """The caller may expect fewer kinds."""
    names, notes = _names(folder, suffixes=(".jsonl",))

    assert names == ["part-2.jsonl"]
    assert notes == [f"{folder}: 1 file; left out: _SUCCESS, dataset_info.json, LICENSE.txt, 7 more."]


@pytest.mark.parametrize("name", ["requirements.jsonl", "license.csv", "README.json.gz"])
def test_data_may_be_named_like_a_description(tmp_path, name):
    """A file with the ending of a data format is read, even if it is named like a description."""
    (tmp_path / name).touch()

    assert (_names(tmp_path)[0], _names(tmp_path / "*.*")[0]) == ([name], [name])


def test_a_pattern_finds_what_it_says(folder):
    """A pattern finds files in natural order, of any ending; `**` finds them in subfolders."""
    assert _names(folder / "part-*.csv")[0] == ["part-9.csv", "part-10.csv"]
    assert _names(folder / "**" / "*.jsonl")[0] == ["part-2.jsonl"]
    assert _names(folder / "*.docx")[0] == ["notes.docx"]


def test_a_file_is_itself(tmp_path):
    """A name that exists is no pattern, and a missing file is left to its reader."""
    (tmp_path / "a[1].csv").touch()

    assert _names(tmp_path / "a[1].csv") == (["a[1].csv"], [])
    assert find_files(Path("none.csv"), InputNotes()) == [Path("none.csv")]


def test_nothing_found_is_an_error(tmp_path):
    """A pattern without a match, and a folder without files of known kinds, are refused."""
    with pytest.raises(InputNotFound, match=r"\*\.csv: no file matches this pattern$"):
        find_files(tmp_path / "*.csv", InputNotes())
    with pytest.raises(InputUnreadable, match=r"no file in this folder ends in one of \.csv \.tsv"):
        find_files(tmp_path, InputNotes())
    (tmp_path / "README").write_text("Read me")
    with pytest.raises(InputNotFound, match=r"\*: no file matches this pattern; left out: README$"):
        find_files(tmp_path / "*", InputNotes())
    with pytest.raises(InputUnreadable, match=r" \.txt; left out: README$"):
        find_files(tmp_path, InputNotes())


@pytest.mark.parametrize("pattern", ["", "**", "**/*.csv", "**/more/**/*.csv"])
def test_a_link_to_a_folder_above_repeats_no_file(tmp_path, pattern):
    """Links to folders are followed, but a file is read once, even if several links or `**` lead to it."""
    (tmp_path / "data" / "more").mkdir(parents=True)
    for name in ("loop", "round", "more/up"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "data")
    (tmp_path / "data" / "more" / "a.csv").touch()

    assert find_files(tmp_path / "data" / pattern, InputNotes()) == [tmp_path / "data" / "more" / "a.csv"]


@pytest.mark.parametrize("pattern", ["", "*/*.csv", "**/*.csv"])
def test_a_linked_folder_is_read(tmp_path, pattern):
    """A link to a folder elsewhere is followed, and a link to a file of the same input is not read again."""
    (tmp_path / "disk" / ".cache").mkdir(parents=True)
    for name in ("b.csv", ".cache/hidden.csv"):
        (tmp_path / "disk" / name).touch()
    (tmp_path / "data").mkdir()
    for name in ("linked", "again"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "a.csv").symlink_to("b.csv")

    assert find_files(tmp_path / "data" / pattern, InputNotes()) == [tmp_path / "data" / "again" / "b.csv"]


def test_names_of_folders_are_no_patterns(tmp_path):
    """A folder that `**` matches is read even if its name looks like a pattern; hidden ones are not."""
    for name in ("[ab]/x.csv", "a/y.csv", ".a/z.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()

    assert _names(tmp_path / "**" / "*.csv")[0] == ["x.csv", "y.csv"]
