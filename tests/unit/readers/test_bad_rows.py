"""Bad rows of each format: left out with their raw text, which stands in the file as it is."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.bad_row_policy import BadRowPolicy
from backstay.errors import InputUnreadable, InvalidRow
from backstay.readers import InputRow, read_rows
from backstay.readers.bad_rows import MAX_EXAMPLES, BadRow, BadRows, BadRowsReport, RawRow
from backstay.readers.input_errors import InputErrors
from backstay.readers.json_depth import MAX_DEPTH


class _Kept:
    """A quarantine in memory."""

    def __init__(self) -> None:
        self.rows: list[RawRow] = []

    def restart(self) -> None:
        self.rows.clear()

    def add(self, row: RawRow, bad_row: BadRow) -> None:
        self.rows.append(row)

    def seal(self) -> None:
        pass


def _read(name: str, content: bytes, tmp_path_factory) -> tuple[list[InputRow], list[RawRow], BadRowsReport]:
    path = tmp_path_factory.mktemp("rows") / name
    path.write_bytes(content)
    kept = _Kept()
    bad_rows = BadRows(BadRowPolicy.QUARANTINE, kept)
    rows = list(read_rows(path, bad_rows=bad_rows))
    return rows, kept.rows, bad_rows.report


_LINES = st.one_of(
    st.dictionaries(st.text(), st.text(), max_size=3).map(lambda row: json.dumps(row).encode()),
    st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")),
    st.sampled_from([b"{}", b"[]", b"{", b'{"a": "\xff"}', b"  ", b"\r", b'{"a": 1}\r']),
)


@given(lines=st.lists(_LINES, max_size=12), is_ended=st.booleans())
def test_good_and_bad_lines_are_the_file(tmp_path_factory, lines, is_ended):
    """Each line that is not blank is either a row or kept byte for byte, with its line end."""
    # The first line shows that each line is a row.
    content = b"\n".join([b'{"a": 1}', *lines]) + (b"\n" if is_ended else b"")
    texts = {number: line for number, line in enumerate(io.BytesIO(content), start=1) if not line.isspace()}

    rows, kept, report = _read("in.jsonl", content, tmp_path_factory)

    assert len(rows) + len(kept) == len(texts)
    assert {row.line: row.raw.text for row in rows} | dict(
        zip((bad_row.line for bad_row in report.examples), (raw.text for raw in kept), strict=True)
    ) == texts


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(
    records=st.lists(st.lists(_CELLS, min_size=1, max_size=4), max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    suffix=st.sampled_from([".csv", ".tsv"]),
)
def test_good_and_bad_records_are_the_file(tmp_path_factory, records, end, suffix):
    """Each record is either a row or kept byte for byte; the kept ones can be read again under the header."""
    out = io.StringIO()
    delimiter = "\t" if suffix == ".tsv" else ","
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    header = out.getvalue().encode()
    records = [record for record in records if any(map(str.strip, record))]
    writer.writerows(records)
    content = out.getvalue().encode()
    if content == header:
        return

    rows, kept, _ = _read(f"in{suffix}", content, tmp_path_factory)
    raws = [*(row.raw for row in rows), *kept]

    assert sorted(header + raw.text for raw in raws) == sorted(
        header + _record(record, delimiter, end) for record in records
    )
    assert {(raw.header, raw.suffix) for raw in raws} <= {(header, suffix)}
    if rows:
        again, _, _ = _read(f"again{suffix}", header + b"".join(row.raw.text for row in rows), tmp_path_factory)
        assert [row.values for row in again] == [row.values for row in rows]


def _record(cells: list[str], delimiter: str, end: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue().encode()


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("1", "not a JSON object"),
        ('"te\\nxt"', "not a JSON object"),
        ("[1,\n{}]", "not a JSON object"),
        ('{"a": tru}', "not valid JSON"),
        ('{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", "nested more than"),
        ('{"a":\r\n 12345678901234567890123}', "a whole number too large"),
    ],
)
def test_bad_elements_are_left_out(tmp_path_factory, element, reason):
    """A bad element of an array is left out as one line, and the elements around it are read."""
    content = f'[{{"a": 1}},\n{element},\n{{"a": 2}}]'.encode()

    rows, kept, report = _read("in.json", content, tmp_path_factory)

    assert [row.values["a"] for row in rows] == [1, 2]
    assert [row.raw.text for row in rows] == [b'{"a": 1}\n', b'{"a": 2}\n']
    assert [raw.text for raw in kept] == [element.replace("\r", " ").replace("\n", " ").encode() + b"\n"]
    assert report.examples[0].line == 2
    assert report.examples[0].reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", b'[{"a": 1}, 2, {"a"'),
        ("in.json", b"[1 2]"),
        ("in.json", b"[1, !]"),
        ("in.json", b"[" * 1002),
        ("in.csv", b'a,b\n1,2,3\n"x'),
        ("in.csv", b"a,b\n1\n\xff,2\n"),
        ("in.csv", b"a,b\n1\n\0,2\n"),
        ("in.jsonl", b"\xff\xfe{"),
    ],
)
def test_a_file_that_cannot_be_read_on_is_one_error(tmp_path_factory, name, content):
    """A file whose next row cannot be found is refused as a whole, whatever the policy is."""
    with pytest.raises((InputUnreadable, InvalidRow)):
        _read(name, content, tmp_path_factory)


def test_rows_have_no_raw_text_without_a_quarantine(tmp_path_factory):
    """Raw text costs memory, so rows have it only if bad ones are kept."""
    path = tmp_path_factory.mktemp("rows") / "in.csv"
    path.write_bytes(b"a\n1\n")

    rows = [*read_rows(path), *read_rows(path, bad_rows=BadRows(BadRowPolicy.SKIP))]

    assert [row.raw for row in rows] == [None, None]


def test_a_row_without_text_is_kept_as_json():
    """A bad row that was no text in its file is kept as a JSON line of its values."""
    kept = _Kept()
    errors = InputErrors("in.parquet", BadRows(BadRowPolicy.QUARANTINE, kept))

    errors.reject_row(InvalidRow("in.parquet line 7: bad"), InputRow(7, {"a": [1, None]}))

    assert kept.rows == [RawRow(b'{"a":[1,null]}\n')]


def test_the_report_lists_the_first_rows():
    """All bad rows are counted, and the first ones listed without the name of the file in their reason."""
    bad_rows = BadRows(BadRowPolicy.SKIP)
    for line in range(1, MAX_EXAMPLES + 3):
        error, where = InvalidRow(f"a: b line {line}: why: so"), f"a: b line {line}"
        bad_rows.reject(error, BadRow.from_error(error, where, line), None)
    bad_rows.finish(used=1)

    assert (bad_rows.report.count, len(bad_rows.report.examples)) == (MAX_EXAMPLES + 2, MAX_EXAMPLES)
    assert bad_rows.report.examples[1] == BadRow("a: b line 2", 2, "why: so")


def test_another_reading_starts_anew():
    """A second reading of the input counts its bad rows from zero."""
    kept = _Kept()
    bad_rows = BadRows(BadRowPolicy.QUARANTINE, kept)
    for _ in range(2):
        bad_rows.restart()
        bad_rows.reject(InvalidRow("x line 1: bad"), BadRow("x line 1", 1, "bad"), RawRow(b"x"))

    assert (bad_rows.report.count, kept.rows) == (1, [RawRow(b"x")])
