"""CSV and TSV."""

import csv
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstay.errors import InputUnreadable, InvalidRow
from backstay.readers import InputRow, delimited_text
from backstay.readers.delimited_text import read_delimited
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import MAX_RECORD_BYTES, InputText

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=12)
_AWKWARD = st.one_of(_TEXT, st.sampled_from(["", " ", '"', '""', "a\nb", "a\r\nb", "a\rb", ",", "\t", "'", "=1+1"]))


@given(
    header=st.lists(_AWKWARD.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True),
    data=st.data(),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    line_end=st.sampled_from(["\r\n", "\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_the_csv_module_writes_reads_back_equal(header, data, delimiter, line_end, quoting):
    """Any cells written as CSV or TSV are read back equal and in order, except for rows without any text."""
    cells = st.lists(_AWKWARD, min_size=len(header), max_size=len(header))
    records = data.draw(st.lists(cells, max_size=5))
    # With LF line ends the csv module of Python 3.11 forgets to quote a lone carriage return.
    assume(line_end == "\r\n" or quoting == csv.QUOTE_ALL or "\r" not in "".join(sum(records, header)))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows([header, *records])

    text = InputText.open(io.BytesIO(out.getvalue().encode()), InputErrors("made up"))
    rows = list(read_delimited(text, delimiter=delimiter))

    with_text = [record for record in records if len(header) == 1 or any(map(str.strip, record))]
    assert [row.values for row in rows] == [dict(zip(header, record, strict=True)) for record in with_text]


@pytest.mark.parametrize("name", ["topics.csv", "TOPICS.CSV"])
def test_cells_are_text_and_empty_ones_stay(read_file, name):
    """A cell of CSV is read as text, and an empty cell as empty text."""
    rows = read_file(name, b"topic,level\nSums,1\n,2\n")

    assert rows == [InputRow(2, {"topic": "Sums", "level": "1"}), InputRow(3, {"topic": "", "level": "2"})]


def test_tabs_separate_the_cells_of_tsv(read_file):
    """A comma in TSV is part of a cell's text."""
    rows = read_file("topics.tsv", b"topic\tlevel\nSums, easy\t1\n")

    assert rows == [InputRow(2, {"topic": "Sums, easy", "level": "1"})]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_byte_order_mark_is_no_part_of_the_header(read_file, line_end):
    """The byte order mark of a spreadsheet's file is not part of the first column's name."""
    rows = read_file("topics.csv", b"\xef\xbb\xbftopic,level" + line_end + b"Sums,1" + line_end)

    assert rows == [InputRow(2, {"topic": "Sums", "level": "1"})]


def test_rows_are_named_by_the_line_they_start_on(read_file):
    """Rows have the line numbers of an editor, and quoted line breaks of every kind are kept."""
    rows = read_file("topics.csv", b'topic,level\r\n"a\r\nb\rc\nd",1\r\n\r\n"e",2')

    assert rows == [InputRow(2, {"topic": "a\r\nb\rc\nd", "level": "1"}), InputRow(6, {"topic": "e", "level": "2"})]


def test_blank_lines_are_skipped(read_file):
    """A line that is empty or has only spaces is skipped, before the header and after it."""
    rows = read_file("topics.csv", b"\n  \ntopic,level\n\nSums,1\n   \n\n")

    assert rows == [InputRow(5, {"topic": "Sums", "level": "1"})]


def test_quoted_empty_cell_of_a_single_column_is_a_row(read_file):
    """In a file with one column, a quoted empty cell is a row, unlike a blank line."""
    rows = read_file("topics.csv", b'topic\n""\n\nSums\n')

    assert rows == [InputRow(2, {"topic": ""}), InputRow(4, {"topic": "Sums"})]


@pytest.mark.parametrize(
    ("record", "cells_text"), [(b"Sums", "1 cell"), (b"Sums,1", "2 cells"), (b"Sums,1,2,3", "4 cells")]
)
def test_ragged_row_is_refused(refusal, record, cells_text):
    """A row with more or fewer cells than the header is refused with its line and both counts."""
    error = refusal("topics.csv", b"topic,level,tone\nA,1,x\n" + record + b"\nB,2,y\n")

    assert isinstance(error, InvalidRow)
    assert error.message.endswith(
        f"line 3: {cells_text} where the header has 3; check for a stray comma or an unclosed quote"
    )
    assert error.context["line"] == 3


def test_rows_before_a_bad_one_are_handed_out(tmp_path):
    """The rows before an invalid one are yielded before the error is raised."""
    text = InputText.open(io.BytesIO(b"topic,level\nSums,1\nragged\n"), InputErrors("topics.csv"))
    rows = read_delimited(text, delimiter=",")

    assert next(rows) == InputRow(2, {"topic": "Sums", "level": "1"})
    with pytest.raises(InvalidRow, match=r"^topics\.csv line 3: 1 cell where the header has 2"):
        next(rows)


def test_repeated_names_in_the_header_are_refused(refusal):
    """A header with two columns of the same name is refused."""
    error = refusal("topics.csv", b'topic,level,topic,"le\nvel","le\nvel",x\n1,2,3,4,5,6\n')

    assert isinstance(error, InputUnreadable)
    assert r"line 1: the header repeats 'topic', 'le\nvel'" in error.message


@pytest.mark.parametrize("header", [b"topic,,tone", b'topic," ",tone', b"\ntopic,\t,tone"])
def test_column_without_a_name_is_refused(refusal, header):
    """A column without a name is refused with its number."""
    error = refusal("topics.csv", header + b"\n1,2,3\n")

    assert isinstance(error, InputUnreadable)
    assert "column 2 has no name" in error.message


def test_quote_that_is_never_closed_is_refused(refusal):
    """An unclosed quote is refused with the line where its row starts, not the end of the file."""
    error = refusal("topics.csv", b'topic,level\nA,1\nB,"2\nC,3\nD,4\n')

    assert isinstance(error, InvalidRow)
    assert error.message.endswith("line 3: a quote that opens in this row is never closed")
    assert error.context["line"] == 3


def test_text_after_a_closing_quote_is_refused(refusal):
    """A quote that was not doubled is refused, so that it cannot silently change a cell."""
    error = refusal("topics.csv", b'topic,level\n"say "hi" now",1\n')

    assert isinstance(error, InvalidRow)
    assert "line 2: text follows a closing quote" in error.message


def test_lone_carriage_returns_as_line_ends_are_refused(refusal):
    """A file with lone carriage returns as line ends is refused with advice to save it differently."""
    error = refusal("topics.csv", b"topic,level\rSums,1\r")

    assert isinstance(error, InvalidRow)
    assert "line 1: a carriage return outside quotes; save the file with LF or CRLF line ends" in error.message


def test_nul_byte_is_refused(refusal):
    """A NUL byte, even within a quoted cell, is refused with its line."""
    error = refusal("topics.csv", b'topic,level\n"a\nb\0",1\n')

    assert isinstance(error, InvalidRow)
    assert "line 3: a NUL byte" in error.message
    assert error.context["line"] == 3


@pytest.mark.parametrize("cell", ["x" * 10_000_000, ("é" * 49 + "\n") * 100_000], ids=["one line", "many lines"])
def test_cell_of_ten_megabytes_is_read(read_file, cell):
    """A large cell is read whole, and the csv module's limit is restored afterwards."""
    before = csv.field_size_limit()

    rows = read_file("topics.csv", f'topic,level\n"{cell}",1\nSums,2\n'.encode())

    assert [row.values["topic"] for row in rows] == [cell, "Sums"]
    assert csv.field_size_limit() == before


def test_limit_of_the_process_is_untouched_between_rows():
    """While the generator is suspended, the process has its own csv limit, even if that is a low one."""
    text = InputText.open(io.BytesIO(b"topic\n" + b"x" * 5000 + b"\nSums\n"), InputErrors("topics.csv"))
    before = csv.field_size_limit(1000)
    try:
        rows = read_delimited(text, delimiter=",")
        first = next(rows)
        between = csv.field_size_limit()
    finally:
        csv.field_size_limit(before)

    assert len(first.values["topic"]) == 5000
    assert between == 1000


def test_line_over_the_limit_is_refused(refusal):
    """A cell of more than 64 MiB is refused with its line, and the csv module's limit is restored."""
    before = csv.field_size_limit()

    error = refusal("topics.csv", b"topic\nSums\n" + b"x" * (MAX_RECORD_BYTES + 1) + b"\nC\n")

    assert isinstance(error, InvalidRow)
    assert "line 3: the row is longer than 64 MiB" in error.message
    assert csv.field_size_limit() == before


def test_quoted_cell_over_the_limit_is_refused_before_the_end(monkeypatch):
    """An unclosed quote is refused before the whole file is read into memory."""
    monkeypatch.setattr(delimited_text, "MAX_RECORD_BYTES", 1_000_000)
    stream = io.BytesIO(b'topic\n"open\n' + (b"x" * 999 + b"\n") * 20_000)
    before = csv.field_size_limit()

    with pytest.raises(InvalidRow, match=r"^topics\.csv line 2: the row is longer than") as caught:
        list(read_delimited(InputText.open(stream, InputErrors("topics.csv")), delimiter=","))

    assert caught.value.context == {"path": "topics.csv", "line": 2}
    assert stream.tell() < 1_100_000
    assert csv.field_size_limit() == before
