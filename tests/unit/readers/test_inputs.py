"""Opening, recognising and closing of inputs."""

import errno
import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from backstay.errors import InputEmpty, InputError, InputNotFound, InputUnreadable, InvalidRow
from backstay.readers import InputRow, read_rows
from backstay.remedy import Remedy
from support.harness.waiting import PATIENCE_SECONDS

_GOOD = {
    "a.csv": b"id\n1\n2\n",
    "a.tsv": b"id\n1\n2\n",
    "a.jsonl": b'{"id":"1"}\n{"id":"2"}\n',
    "a.json": b'[{"id":"1"},\n{"id":"2"}]',
}


@pytest.fixture
def opened(monkeypatch) -> list[io.BufferedReader]:
    """The files that were opened for reading."""
    handles, path_open = [], Path.open

    def watched(*args, **kwargs):
        handle = path_open(*args, **kwargs)
        if handle.readable():
            handles.append(handle)
        return handle

    monkeypatch.setattr(Path, "open", watched)
    return handles


def test_missing_file_is_reported(tmp_path):
    """A missing file is refused with an error that names it."""
    path = tmp_path / "none.csv"

    with pytest.raises(InputNotFound) as caught:
        next(read_rows(path))

    assert caught.value.message == f"{path}: there is no such file"
    assert caught.value.context == {"path": str(path)}


def test_directory_is_refused(tmp_path):
    """A directory is refused as an input, whatever its suffix."""
    path = tmp_path / "topics.csv"
    path.mkdir()

    with pytest.raises(InputUnreadable, match="this is a directory; name a file in it"):
        next(read_rows(path))


def test_forbidden_file_is_refused(tmp_path, monkeypatch):
    """A file without read permission gets a different error than a missing one."""

    def forbidden(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)

    with pytest.raises(InputUnreadable, match=r"topics\.csv: no permission to read it"):
        next(read_rows(tmp_path / "topics.csv"))


def test_failing_disk_is_reported():
    """An OSError while reading becomes InputUnreadable with the system's reason."""

    class Failing(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(InputUnreadable, match=r"^standard input: cannot be read \(Input/output error\)$"):
        next(read_rows(None, stdin=Failing()))


@pytest.mark.parametrize("name", ["topics.docx", "topics.csv.bak", "topics.arrow"])
def test_unknown_kind_is_refused(refusal, name):
    """A file with an unknown suffix is refused with the list of known ones."""
    error = refusal(name, b"id\n1\n")

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith(
        "unknown kind of file; use one of .csv .tsv .jsonl .ndjson .json .parquet .txt, each also with .gz or .zst"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("topics.xlsx", b"PK\x03\x04"),
        ("TOPICS.XLS", b"topic\n"),
        ("topics.ods", b"PK\x03\x04"),
        ("topics.numbers", b"PK\x03\x04"),
        ("topics.csv", b"PK\x03\x04\x14\x00"),
        ("topics.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ],
)
def test_spreadsheets_are_refused(refusal, name, content):
    """A spreadsheet, recognised by its name or its first bytes, is refused with how to save it."""
    error = refusal(name, content)

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith("a spreadsheet; save it there as CSV UTF-8")


@pytest.mark.parametrize("name", ["topics", ".csv", "LICENSE"])
@pytest.mark.parametrize("content", [b"id\n1\n", b'{"id": "1"}', b'[{"id": "1"}]', b"\xef\xbb\xbfid\n1"])
def test_file_without_ending_is_recognised_by_its_content(read_file, name, content):
    """A file whose name has no ending is read like standard input."""
    assert [row.values for row in read_file(name, content)] == [{"id": "1"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\xef\xbb\xbf"),
        ("a.csv", b"\n\n"),
        ("a.csv", b"topic,level\n\n"),
        ("a.tsv", b"topic\tlevel"),
        ("a.jsonl", b""),
        ("a.jsonl", b"\n \n"),
        ("a.json", b""),
        ("a.json", b" \n"),
        ("a.json", b" [ \n ] \n"),
    ],
)
def test_input_without_rows_is_refused(refusal, name, content):
    """An input without any row is refused, since that is probably a mistake."""
    error = refusal(name, content)

    assert isinstance(error, InputEmpty)
    assert error.message.endswith(f"{name}: there are no rows in it")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b'topic\nSums\n"caf\n\xe9"\n'),
        ("a.tsv", b"topic\n\n\n\xff\n"),
        ("a.jsonl", b'{"a":1}\n{"a":2}\n{"a":3}\n{"a":"caf\xe9"}\n'),
        ("a.json", b'[{"a":1},\n{\n"b":1,\n"a":"caf\xe9"}]'),
    ],
)
def test_text_that_is_not_utf8_is_refused(refusal, name, content):
    """Text that is not UTF-8 is refused with the line of its first invalid byte."""
    error = refusal(name, content)

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith(f"{name} line 4: not UTF-8 text, but probably cp1252")
    assert error.context["line"] == 4
    assert (error.remedy, error.context["encoding"]) == (Remedy.NAME_ENCODING, "cp1252")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize(("name", "text"), [("a.csv", "id\nGröße\n"), ("a.json", '[{"id": "Größe"}]')])
def test_other_unicode_encodings_are_recognised(read_file, name, text, encoding):
    """UTF-16 and UTF-32, which spreadsheets call "Unicode text", are recognised by their byte order mark."""
    assert [row.values for row in read_file(name, text.encode(encoding))] == [{"id": "Größe"}]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"id,topic\n1,Sums\n", [InputRow(2, {"id": "1", "topic": "Sums"})]),
        (b"id\n1\n", [InputRow(2, {"id": "1"})]),
        (b"id\ttopic\n1\tSums\n", [InputRow(2, {"id": "1", "topic": "Sums"})]),
        (b"id\tx,topic\n1,Sums\n", [InputRow(2, {"id\tx": "1", "topic": "Sums"})]),
        (b'{"id": 1}\n{"id": 2}', [InputRow(1, {"id": 1}), InputRow(2, {"id": 2})]),
        (b'[{"id": 1},\n{"id": 2}]', [InputRow(1, {"id": 1}), InputRow(2, {"id": 2})]),
    ],
)
@pytest.mark.parametrize(
    ("before", "lines"), [(b"", 0), (b"\xef\xbb\xbf", 0), (b"\n \r\n", 2), (b" " * 70_000 + b"\n", 1)]
)
def test_standard_input_is_recognised_by_its_first_text(content, rows, before, lines):
    """The kind of standard input is detected from its first text; blank lines before it still count."""
    read = list(read_rows(None, stdin=io.BytesIO(before + content)))

    assert read == [InputRow(row.line + lines, row.values) for row in rows]


def test_first_line_may_be_long():
    """A first line that is longer than the inspected head is read whole."""
    topic = "x" * 200_000

    rows = list(read_rows(None, stdin=io.BytesIO(f'{{"topic":"{topic}"}}\n{{"topic":"Sums"}}'.encode())))

    assert rows == [InputRow(1, {"topic": topic}), InputRow(2, {"topic": "Sums"})]


def test_errors_about_standard_input_name_it():
    """An error about standard input names it in place of a path."""
    with pytest.raises(InvalidRow) as caught:
        list(read_rows(None, stdin=io.BytesIO(b"id,topic\n1\n")))

    assert caught.value.message.startswith("standard input line 2: 1 cell where the header has 2")
    assert caught.value.context == {"path": "standard input", "line": 2}


def test_standard_input_is_the_process_own_by_default(monkeypatch):
    """Without a `stdin` argument the process's own standard input is read, and left open."""
    piped = io.TextIOWrapper(io.BytesIO(b"id\n1\n"))
    monkeypatch.setattr(sys, "stdin", piped)

    rows = list(read_rows(None))

    assert rows == [InputRow(2, {"id": "1"})]
    assert not piped.closed


def test_closed_standard_input_is_reported(monkeypatch):
    """A process started without a standard input gets an error, not a traceback."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(InputUnreadable, match=r"^standard input: it is closed"):
        next(read_rows(None))


def test_pipe_that_does_not_wait_is_refused():
    """A non-blocking pipe is refused, since a pause in its data would look like the end of the rows."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    with (
        os.fdopen(reading, "rb") as stream,
        os.fdopen(writing, "wb"),
        pytest.raises(InputUnreadable, match="set to non-blocking"),
    ):
        next(read_rows(None, stdin=stream))


@pytest.mark.parametrize(("name", "content"), _GOOD.items())
def test_fifo_is_read_as_it_comes(tmp_path, name, content):
    """A named pipe is read like a file, and yields rows while its writer is still writing."""
    path = tmp_path / name
    os.mkfifo(path)
    first_came = threading.Event()
    waited = []

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(content[:-2])
            waited.append(first_came.wait(PATIENCE_SECONDS))
            pipe.write(content[-2:])

    writer = threading.Thread(target=write)
    writer.start()
    rows = read_rows(path)
    values = [next(rows).values]
    first_came.set()
    values += [row.values for row in rows]
    writer.join()

    assert waited == [True]
    assert values == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize(("name", "content"), _GOOD.items())
def test_file_is_closed_when_all_rows_are_read(opened, read_file, name, content):
    """A file that was read to its end is closed."""
    read_file(name, content)

    assert [handle.closed for handle in opened] == [True]


@pytest.mark.parametrize(("name", "content"), _GOOD.items())
@pytest.mark.parametrize("count", [1, 2])
def test_file_is_closed_when_the_generator_is(opened, tmp_path, name, content, count):
    """Closing the generator before its end closes the file."""
    (tmp_path / name).write_bytes(content)
    rows = read_rows(tmp_path / name)
    for _ in range(count):
        next(rows)

    rows.close()

    assert [handle.closed for handle in opened] == [True]


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.xlsx"])
def test_file_is_closed_when_reading_fails(opened, refusal, name):
    """A file is closed when it is refused."""
    refusal(name, b'a,"b\n')

    assert [handle.closed for handle in opened] == [True]


def test_nothing_is_opened_before_the_first_row(opened, tmp_path):
    """A generator whose first row was not requested has opened nothing."""
    read_rows(tmp_path / "none.csv")

    assert opened == []


@pytest.mark.parametrize("name", ["a\nb.csv", os.fsdecode(b"a\xff.csv")])
def test_awkward_file_names_fit_into_a_message(tmp_path, name):
    """An error about a file name with a line break or arbitrary bytes is one line of printable text."""
    with pytest.raises(InputNotFound) as caught:
        next(read_rows(tmp_path / name))

    assert caught.value.message.isprintable()
    assert caught.value.context["path"].encode()


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"x" * 999 + b"\n"), ("a.jsonl", b'{"a":"' + b"x" * 990 + b'"}\n')]
)
def test_memory_stays_flat(tmp_path, name, content):
    """Reading twenty megabytes of lines needs only constant memory."""
    path = tmp_path / name
    path.write_bytes(content * 20_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count >= 19_999
    assert peak < 2_000_000


def test_every_refusal_is_an_input_error():
    """Each error that a reader raises is an InputError."""
    assert all(issubclass(error, InputError) for error in (InputNotFound, InputUnreadable, InputEmpty, InvalidRow))
