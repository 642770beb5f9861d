"""CSV as spreadsheets and programs write it: delimiters, columns without names, index columns."""

import csv
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstay.errors import InputUnreadable, InvalidRow, SettingsError
from backstay.readers import ReadOptions, read_rows
from backstay.readers.delimited_text import read_delimited
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.input_text import InputText

_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)
_NAME = st.text("abcdefghij ü", min_size=1, max_size=6).map(str.strip).filter(bool)


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a file and returns its rows and what was noticed."""

    def read(name, content, **options):
        (tmp_path / name).write_bytes(content)
        notes = []
        rows = list(read_rows(tmp_path / name, options=ReadOptions(**options), notes=InputNotes(notes.append)))
        return [row.values for row in rows], [note.removeprefix(f"{tmp_path}/") for note in notes]

    return read


@given(
    header=st.lists(_NAME, min_size=2, max_size=4, unique_by=str.casefold),
    data=st.data(),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\r\n", "\n"]),
    usual=st.sampled_from(",\t"),
)
def test_any_delimiter_is_seen_from_the_header(header, data, delimiter, line_end, usual):
    """Cells of any text are read back equal, whatever separates them and whatever is usual for the ending."""
    cells = st.lists(_CELL, min_size=len(header), max_size=len(header)).filter(lambda row: any(map(str.strip, row)))
    records = data.draw(st.lists(cells, max_size=4))
    assume(line_end == "\r\n" or "\r" not in "".join(cell for record in records for cell in record))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end).writerows([header, *records])

    text = InputText.open(io.BytesIO(out.getvalue().encode()), InputErrors("made up"))
    rows = list(read_delimited(text, usual=usual))

    assert [list(row.values.items()) for row in rows] == [list(zip(header, record, strict=True)) for record in records]


_SEMICOLONS = ["topics.csv: columns are separated by semicolons."]


@pytest.mark.parametrize(
    ("name", "content", "notes"),
    [
        ("topics.csv", b"topic,level\nTea; sweet,1\n", []),
        ("topics.csv", b"topic;level\nTea; sweet;1\n".replace(b"Tea; sweet", b'"Tea; sweet"'), _SEMICOLONS),
        ("topics.csv", b"sep=;\r\ntopic;level\r\n\"Tea; sweet\";1\r\n", _SEMICOLONS),
        ("topics.csv", b"\xef\xbb\xbfsep=,\ntopic,level\nTea; sweet,1\n", []),
        ("topics.csv", b'"sep=|"\ntopic|level\nTea; sweet|1\n', ["topics.csv: columns are separated by pipes."]),
        ("topics.csv", b"sep=^\ntopic^level\nTea; sweet^1\n", ["topics.csv: columns are separated by '^'."]),
        ("topics.csv", b"topic\tlevel\nTea; sweet\t1\n", ["topics.csv: columns are separated by tabs."]),
        ("topics.tsv", b"topic\tlevel\nTea; sweet\t1\n", []),
        ("topics.tsv", b"topic,level\nTea; sweet,1\n", ["topics.tsv: columns are separated by commas."]),
        ("topics", b"topic|level\nTea; sweet|1\n", ["topics: columns are separated by pipes."]),
        ("topics.csv", b" topic , level \nTea; sweet,1\n", []),
        ("topics.csv", b'"topic";"level"\n"Tea; sweet";"1"\n', _SEMICOLONS),
        ("topics.csv", b"topic,level,,\nTea; sweet,1,,\n", ["topics.csv: 2 empty columns at the end are ignored."]),
        ("topics.csv", b"topic,level,\nTea; sweet,1\n", ["topics.csv: an empty column at the end is ignored."]),
        ("topics.csv", b"topic,level\nTea; sweet,1,\n,\n , \n,,,\n", []),
        ("topics.csv", b",,\ntopic,level\nTea; sweet,1\n", []),
    ],
)  # fmt: skip
def test_dialects_give_the_same_row(read, name, content, notes):
    """A dialect is read without being named, and what is unusual for the ending is noted."""
    assert read(name, content) == ([{"topic": "Tea; sweet", "level": "1"}], notes)


def test_one_column_stays_one(read):
    """The cells of a file with one column may have any delimiter in them, since its header has none."""
    rows, notes = read("topics.csv", b"topic\nTea; sweet; strong\nSalt | pepper\n")

    assert ([row["topic"] for row in rows], notes) == (["Tea; sweet; strong", "Salt | pepper"], [])


@pytest.mark.parametrize("delimiter", [";", "semicolon", "Semicolon"])
def test_the_delimiter_can_be_named(read, delimiter):
    """A named delimiter overrides the header, the ending and the line of Excel."""
    for name in ("topics.csv", "topics.tsv", "topics.txt", "topics"):
        rows, notes = read(name, b"sep=,\ntopic, long;level\nTea;1\n", delimiter=delimiter)

        assert (rows, notes) == ([{"topic, long": "Tea", "level": "1"}], [])


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "semicolons"])
def test_other_delimiters_are_refused(delimiter):
    """A delimiter that is not one character, or cannot separate cells, is refused."""
    with pytest.raises(SettingsError, match="The delimiter is one character, or one of tab"):
        ReadOptions(delimiter=delimiter)


@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 3), (3, 17, 1_000_000)])
def test_the_index_column_of_pandas_is_dropped(read, numbers):
    """A first column without a name that holds rising whole numbers is dropped, and noted once."""
    lines = "".join(f"{number},t{number}\n" for number in numbers)

    rows, notes = read("topics.csv", f",topic\n{lines}".encode())

    assert rows == [{"topic": f"t{number}"} for number in numbers]
    assert notes == ["topics.csv: the first column has no name and counts the rows, so it is ignored."]


@pytest.mark.parametrize(
    "numbers", [("a", "b"), ("0", "x"), ("1", "1"), ("2", "1"), ("0", ""), ("-1", "0"), ("1.5", "2")]
)
def test_other_first_columns_without_a_name_are_refused(refusal, numbers):
    """A first column without a name that holds anything else is refused, so that nothing is lost."""
    lines = "".join(f"{number},t\n" for number in numbers)

    error = refusal("topics.csv", f",topic\n{lines}".encode())

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith("line 1: column 1 has no name in the header; give it one")


@pytest.mark.parametrize("row", [b"Tea,1,more", b"Tea,1,,more", b"Tea"])
def test_text_outside_the_columns_is_refused(refusal, row):
    """A row with text in a column without a name, or with too few cells, is refused."""
    error = refusal("topics.csv", b"topic,level,\n" + row + b"\n")

    assert isinstance(error, InvalidRow)
    assert "line 2: " in error.message
    assert "where the header has 2; check for a stray comma" in error.message


def test_names_that_differ_by_space_alone_are_repeated(refusal):
    """Names are compared without the space around them."""
    assert "the header repeats 'topic'" in refusal("topics.csv", b"topic, topic\na,b\n").message


def test_mixed_line_ends_are_read(read):
    """LF and CRLF may alternate in one file."""
    rows, _ = read("topics.csv", b"topic,level\r\nTea,1\nSalt,2\r\n\nRye,3")

    assert [row["topic"] for row in rows] == ["Tea", "Salt", "Rye"]
