"""The file of bad rows: written by a whole reading or not at all."""

import errno
import json
import os
from dataclasses import asdict

import orjson
import pytest

from backstay.errors import OutputUnwritable
from backstay.library.quarantine import QuarantineFile
from backstay.readers.bad_rows import BadRow, RawRow

_BAD = BadRow("in.jsonl line 1", 1, "why")


def _csv(text: bytes, header: bytes = b"a,b\n") -> RawRow:
    return RawRow(text, ".csv", header)


def test_a_second_reading_replaces_the_first(tmp_path):
    """If the input is read twice, the file holds the rows once, under one header."""
    path = tmp_path / "bad.csv"

    with QuarantineFile(path) as file:
        for _ in range(2):
            file.restart()
            file.add(_csv(b"1\n"), _BAD)
            file.add(_csv(b"2\n"), _BAD)
            file.seal()
        assert not path.exists()

    assert path.read_bytes() == b"a,b\n1\n2\n"
    reasons = (tmp_path / "bad.csv.reasons.jsonl").read_text().splitlines()
    assert [json.loads(reason)["reason"] for reason in reasons] == ["why", "why"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_equal_file_is_compared_in_each_reading(tmp_path):
    """An existing file with the same rows is accepted however often the input is read."""
    path = tmp_path / "bad.csv"
    path.write_bytes(b"a,b\n1\n")

    with QuarantineFile(path) as file:
        for _ in range(2):
            file.restart()
            file.add(_csv(b"1\n"), _BAD)
            file.seal()

    assert path.read_bytes() == b"a,b\n1\n"


def _keep(path, *rows, and_then=lambda: None):
    with QuarantineFile(path) as file:
        for row in rows:
            file.add(row, _BAD)
        and_then()
        file.seal()


def test_rows_are_on_disk_before_the_commit(tmp_path, monkeypatch):
    """Sealing flushes both files to disk, before either has its name."""
    synced = []
    monkeypatch.setattr("backstay.library.quarantine.sync", lambda descriptor: synced.append(os.fstat(descriptor)))

    with QuarantineFile(tmp_path / "bad.csv") as file:
        file.add(_csv(b"1\n"), _BAD)
        file.seal()
        names = [path.name for path in tmp_path.iterdir()]

    reason = orjson.dumps(asdict(_BAD)) + b"\n"
    assert [status.st_size for status in synced] == [len(b"a,b\n1\n"), len(reason)]
    assert [name for name in names if not name.endswith(".part")] == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    """A file that another program writes during the reading stays, and refuses the rows."""
    path = tmp_path / "bad.csv"

    with pytest.raises(OutputUnwritable, match="exists with other content"):
        _keep(path, _csv(b"1\n"), and_then=lambda: path.write_bytes(b"theirs"))

    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_several_files_are_lines_each(tmp_path):
    """A row without a line end, such as the last one of a file, is not joined with the next."""
    _keep(tmp_path / "bad.csv", _csv(b"1"), _csv(b"2\n"), _csv(b"3"))

    assert (tmp_path / "bad.csv").read_bytes() == b"a,b\n1\n2\n3"


def test_rows_of_different_tables_need_a_file_each(tmp_path):
    """Rows with another header would be misread under the first one."""
    with pytest.raises(OutputUnwritable, match="with different columns, need separate files"):
        _keep(tmp_path / "bad.csv", _csv(b"1\n"), _csv(b"1\n", header=b"c\n"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "row", "advice"),
    [
        ("bad.jsonl", _csv(b"1\n"), "CSV; name a file that ends in .csv"),
        ("bad.csv", RawRow(b"1\n", ".tsv"), "TSV; name a file that ends in .tsv"),
        ("bad", RawRow(b"{\n"), "JSON lines; name a file that ends in .jsonl"),
    ],
)
def test_the_name_must_fit_the_rows(tmp_path, name, row, advice):
    """Rows are kept only under a name from which they can be read again."""
    with pytest.raises(OutputUnwritable, match=advice):
        _keep(tmp_path / name, row)


def test_a_failure_after_the_commit_says_what_is_stored(tmp_path, monkeypatch):
    """If the file cannot get its name, the error says that the good rows are stored nevertheless."""

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(
        OutputUnwritable, match=r"written \(Input/output error\); the rows that can be used are stored$"
    ):
        _keep(tmp_path / "bad.csv", _csv(b"1\n"), and_then=lambda: monkeypatch.setattr("pathlib.Path.replace", fail))
