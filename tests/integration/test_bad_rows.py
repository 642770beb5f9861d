"""Bad rows of imports and jobs: refused with all others, left out, or kept in a file as they are."""

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from backstay import Backstay, ColumnMapping
from backstay.errors import (
    BackstayError,
    ConversationExists,
    InputError,
    InputUnreadable,
    InvalidRow,
    ItemsDiffer,
    OutputUnwritable,
    SettingsError,
    UnknownColumn,
)
from backstay.library.quarantine import QuarantineFile
from backstay.readers.input_ceiling import InputCeiling
from backstay.remedy import Remedy
from support.stores.library import ALL

_MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
_BAD_LINES = (
    b"no JSON\n",
    b"[1]\n",
    b'{"id": "x"}\n',
    b'{"messages": [{"role": "user", "content": ""}]}\n',
    b'{"messages": [7]}\r\n',
    b'{"messages": "\xff"}\n',
    b'{"id": true, "messages": [{"role": "user", "content": "a"}]}\n',
    b'{"messages": ' + b"[" * 101 + b"]" * 101 + b"}\n",
    b'{"topic": 12345678901234567890123, "messages": []}\n',
)


def _good_line(name: str) -> bytes:
    return orjson.dumps({"id": name, "messages": _MESSAGES}) + b"\n"


_MIXED = b"".join((_good_line("a"), *_BAD_LINES[:5], _good_line("b"), *_BAD_LINES[5:], _good_line("c")))


async def _ids(backstay: Backstay) -> list[str]:
    return [conversation.id async for conversation in backstay.conversations.export(ALL)]


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def test_the_first_bad_row_refuses_all(backstay, tmp_path):
    """Without a policy nothing is stored, and the error names the first bad row and counts the others."""
    file = _write(tmp_path / "in.jsonl", _MIXED)

    with pytest.raises(InvalidRow) as caught:
        await backstay.conversations.import_file(file)

    assert caught.value.message.startswith(f"{file} line 2: not valid JSON")
    assert caught.value.message.endswith("; 8 more rows are unusable")
    assert caught.value.context == {"path": str(file), "line": 2}
    assert caught.value.remedy is Remedy.SKIP_BAD_ROWS
    assert await _ids(backstay) == []


@pytest.mark.parametrize("ceiling", [None, InputCeiling(1000, 1_000_000)], ids=["library", "server"])
async def test_the_others_are_counted_after_the_transaction(backstay, tmp_path, monkeypatch, ceiling):
    """The other bad rows are counted once the database is free, also if the whole file was read before."""
    file = _write(tmp_path / "in.jsonl", _good_line("a") + b"{}\n{}\n")
    other = _write(tmp_path / "other.jsonl", _good_line("z"))
    loop, seen = asyncio.get_running_loop(), []
    count = "backstay.library.imports.source.with_further_count"

    def write_meanwhile(error, read_again):
        result = asyncio.run_coroutine_threadsafe(backstay.conversations.import_file(other), loop).result(10)
        seen.append(result.imported)
        return error.with_message("counted")

    monkeypatch.setattr(count, write_meanwhile)
    with pytest.raises(InputError, match="counted"):
        await backstay.conversations.import_file(file, ceiling=ceiling)

    assert seen == [1]
    assert await _ids(backstay) == ["z"]


async def test_one_bad_row_has_no_count(backstay, tmp_path):
    """The message about the only bad row counts nothing, and that about two counts one."""
    messages = []

    for content in (b'{"messages": []}\n', b'{"messages": []}\n{}\n'):
        with pytest.raises(InvalidRow) as caught:
            await backstay.conversations.import_file(_write(tmp_path / "in.jsonl", _good_line("a") + content))
        messages.append(caught.value.message.partition("; ")[2])

    assert messages == ["", "1 more row is unusable"]


async def test_a_file_that_breaks_off_has_at_least_the_count(backstay, tmp_path):
    """If the file cannot be read to its end, the bad rows up to there are counted."""
    file = _write(tmp_path / "in.json", b'[{}, 1, {"a": 1}, 2')

    with pytest.raises(InvalidRow, match=r"line 1: an empty object; at least 3 more rows are unusable\."):
        await backstay.conversations.import_file(file)
    with pytest.raises(InputUnreadable, match=r"the closing \] of the array is missing"):
        await backstay.conversations.import_file(file, on_bad_row="skip")


@pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
async def test_bad_rows_are_skipped_and_counted(backstay, tmp_path, stdin):
    """Skipped rows are counted and the first ones listed; the others are stored."""
    file = _write(tmp_path / "in.jsonl", _MIXED)

    result = await backstay.conversations.import_file(
        "-" if stdin else file, on_bad_row="skip", stdin=io.BytesIO(_MIXED) if stdin else None
    )

    assert (result.imported, result.bad_rows.count) == (3, 9)
    assert [row.line for row in result.bad_rows.examples] == [2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert result.bad_rows.examples[3].reason == "turn 1 is empty"
    assert str(result.bad_rows.examples[3]) == f"{'standard input' if stdin else file} line 5: turn 1 is empty"
    assert await _ids(backstay) == ["a", "b", "c"]


async def test_a_file_of_bad_rows_is_refused(backstay, tmp_path):
    """If no row can be used, the import is an error about the first one, and no quarantine appears."""
    file = _write(tmp_path / "in.jsonl", b"".join(_BAD_LINES))

    with pytest.raises(InvalidRow, match=r"in.jsonl line 1: not valid JSON: .*; no row can be used$"):
        await backstay.conversations.import_file(file, quarantine=tmp_path / "bad.jsonl")

    assert sorted(path.name for path in tmp_path.iterdir() if "bad" in path.name) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from([None, *_BAD_LINES]), max_size=30), ends=st.booleans())
def test_quarantine_and_library_hold_the_file(tmp_path_factory, lines, ends):
    """Of any mix of good and bad lines the good ones are stored and the bad ones kept byte for byte, in order."""
    folder = tmp_path_factory.mktemp("mix")
    rows = [_good_line(f"c{number}") if line is None else line for number, line in enumerate([None, *lines])]
    if ends:
        rows[-1] = rows[-1].rstrip(b"\r\n")
    file, quarantine = _write(folder / "in.jsonl", b"".join(rows)), folder / "bad.jsonl"
    good = [row for row in rows if row.startswith(b'{"id":"c')]
    bad = [row for row in rows if row not in good]

    async def import_file() -> list[str]:
        async with Backstay.open(folder / "library.db") as backstay:
            result = await backstay.conversations.import_file(file, quarantine=quarantine)
            assert result.bad_rows.count == len(bad)
            return await _ids(backstay)

    assert asyncio.run(import_file()) == [json.loads(row)["id"] for row in good]
    assert (quarantine.read_bytes() if bad else b"") == b"".join(bad)
    assert quarantine.exists() == bool(bad)


async def test_a_repaired_quarantine_completes_the_import(backstay, tmp_path):
    """The rows in a quarantine have their reasons in a file next to it, and can be imported once they are repaired."""
    file, quarantine = _write(tmp_path / "in.jsonl", _MIXED), tmp_path / "bad.jsonl"
    await backstay.conversations.import_file(file, quarantine=quarantine)
    reasons = [json.loads(line) for line in Path(f"{quarantine}.reasons.jsonl").read_text().splitlines()]

    repaired = [_good_line(f"r{number}") for number, _ in enumerate(quarantine.read_bytes().splitlines())]
    result = await backstay.conversations.import_file(_write(tmp_path / "repaired.jsonl", b"".join(repaired)))

    assert [reason["line"] for reason in reasons] == [2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert {"where": f"{file} line 5", "line": 5, "reason": "turn 1 is empty", "file": None} in reasons
    assert (result.imported, result.bad_rows.count) == (9, 0)


async def test_elements_of_an_array_are_kept_as_lines(backstay, tmp_path):
    """Bad elements of a JSON array are kept as JSON lines, with the text that they have."""
    good = _good_line("a").decode()
    deep = '{"messages": ' + "[" * 150 + "]" * 150 + "}"
    content = '[{"x":\n 1.0e2,\r\n "x": "é"}, ' + good + ', "text", null, ' + deep + "]"
    file, quarantine = _write(tmp_path / "in.json", content.encode()), tmp_path / "bad.ndjson"

    result = await backstay.conversations.import_file(file, quarantine=quarantine)

    lines = ['{"x":  1.0e2,   "x": "é"}', '"text"', "null", deep]
    assert quarantine.read_text(encoding="utf-8") == "".join(f"{line}\n" for line in lines)
    assert (result.imported, result.bad_rows.count) == (1, 4)


async def test_a_row_of_parquet_is_kept_with_its_infinity(backstay, tmp_path):
    """A number that JSON does not have is kept as it is called, so that importing the row unrepaired fails again."""
    messages, scores = [_MESSAGES] * 2, [1.0, float("inf")]
    parquet.write_table(pyarrow.table({"messages": messages, "score": scores}), tmp_path / "in.parquet")

    result = await backstay.conversations.import_file(tmp_path / "in.parquet", quarantine=tmp_path / "bad.jsonl")

    assert (result.imported, result.bad_rows.count) == (1, 1)
    assert json.loads((tmp_path / "bad.jsonl").read_text()) == {"messages": _MESSAGES, "score": float("inf")}
    with pytest.raises(InvalidRow, match="not valid JSON"):
        await backstay.conversations.import_file(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
async def test_a_backup_is_never_imported_in_part(backstay, tmp_path, policy):
    """A damaged row of a backup refuses the whole backup, whatever the policy is."""
    await backstay.conversations.import_file(_write(tmp_path / "in.jsonl", _good_line("a") + _good_line("b")))
    deleted = await backstay.conversations.delete(ALL)
    rows = {"version": "1.0", "backupReason": "", "conversations": [{"id": "a", "messages": _MESSAGES}, {"id": "b"}]}
    file = _write(tmp_path / "backup.json", json.dumps(rows).encode())
    quarantine = tmp_path / "bad.jsonl" if policy == "quarantine" else None

    with pytest.raises(
        InvalidRow, match=r"line 1: no conversation in the keys 'id'; expected a list of messages, or .*$"
    ):
        await backstay.conversations.import_file(file, on_bad_row=policy, quarantine=quarantine)

    assert deleted.deleted == 2
    assert await _ids(backstay) == []


async def test_a_conflict_is_no_bad_row(backstay, tmp_path):
    """Another conversation with the same id refuses the import, also if bad rows are left out."""
    await backstay.conversations.import_file(_write(tmp_path / "in.jsonl", _good_line("a")))
    other = orjson.dumps({"id": "a", "messages": _MESSAGES[:1]}) + b"\n"

    with pytest.raises(ConversationExists):
        await backstay.conversations.import_file(
            _write(tmp_path / "other.jsonl", b"{}\n" + _good_line("b") + other), quarantine=tmp_path / "bad.jsonl"
        )

    assert await _ids(backstay) == ["a"]
    assert not (tmp_path / "bad.jsonl").exists()


# -- the file --------------------------------------------------------------------------------------


async def test_an_existing_file_is_not_overwritten(backstay, tmp_path):
    """A file with other content refuses the import; one with the same rows lets it be repeated."""
    file, quarantine = _write(tmp_path / "in.jsonl", _MIXED), tmp_path / "bad.jsonl"
    bad = b"".join(_BAD_LINES)
    for content in (b"", b"mine\n", bad[:-1], bad + b"\n", b"no JSON\nmine\n"):
        quarantine.write_bytes(content)
        with pytest.raises(OutputUnwritable, match=r"bad.jsonl: exists with other content"):
            await backstay.conversations.import_file(file, quarantine=quarantine)
        assert quarantine.read_bytes() == content
    refused = await _ids(backstay)

    quarantine.write_bytes(bad)
    repeated = await backstay.conversations.import_file(file, quarantine=quarantine)

    assert refused == []
    assert (repeated.imported, quarantine.read_bytes()) == (3, bad)


async def test_existing_reasons_are_not_overwritten(backstay, tmp_path):
    """An existing file with other reasons refuses the import; one with the same, as after a kill, does not."""
    file, quarantine = _write(tmp_path / "in.jsonl", _MIXED), tmp_path / "bad.jsonl"
    reasons = _write(tmp_path / "bad.jsonl.reasons.jsonl", b"mine\n")
    with pytest.raises(OutputUnwritable, match=r"bad.jsonl.reasons.jsonl: exists with other content"):
        await backstay.conversations.import_file(file, quarantine=quarantine)
    assert ([path.name for path in tmp_path.glob("*bad*")], reasons.read_bytes()) == ([reasons.name], b"mine\n")

    reasons.unlink()
    await backstay.conversations.import_file(file, quarantine=quarantine)
    quarantine.unlink()
    await backstay.conversations.import_file(file, quarantine=quarantine)

    assert quarantine.read_bytes() == b"".join(_BAD_LINES)
    assert len(reasons.read_text().splitlines()) == len(_BAD_LINES)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad.csv", "the bad rows are JSON lines; name a file that ends in .jsonl"),
        ("missing/bad.jsonl", "cannot be written (No such file or directory)"),
        ("folder.jsonl", "exists with other content; name another file for the bad rows"),
        ("link.jsonl", "exists with other content; name another file for the bad rows"),
    ],
)
async def test_a_file_that_cannot_be_the_quarantine_refuses_the_import(backstay, tmp_path, name, reason):
    """If bad rows cannot be kept where the user asked for it, nothing is imported."""
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to("nowhere.jsonl")

    with pytest.raises(OutputUnwritable) as caught:
        await backstay.conversations.import_file(_write(tmp_path / "in.jsonl", _MIXED), quarantine=tmp_path / name)

    assert caught.value.message == f"{tmp_path / name}: {reason}"
    assert await _ids(backstay) == []


@pytest.mark.parametrize(
    ("policy", "has_file", "message"),
    [
        ("quarantine", False, "The quarantine needs a file; name it with quarantine=…"),
        ("skip", True, "A quarantine file is named, but the policy for bad rows is skip"),
        ("drop", False, "'drop' is not a policy for bad rows: fail, skip, quarantine"),
    ],
)
async def test_options_that_do_not_fit_are_refused(backstay, tmp_path, policy, has_file, message):
    """A policy that is unknown, or does not fit the file, is an error that says so."""
    file = _write(tmp_path / "in.jsonl", _MIXED)

    with pytest.raises(SettingsError) as caught:
        await backstay.conversations.import_file(
            file, on_bad_row=policy, quarantine=tmp_path / "bad.jsonl" if has_file else None
        )

    assert str(caught.value) == message


async def _is_kept_without_commit(backstay: Backstay, folder: Path) -> bool:
    """Return whether a quarantine appears although the import is rolled back at its end."""

    def refuse(result: object) -> None:
        raise BackstayError("refused")

    file, quarantine = _write(folder / "in.jsonl", _MIXED), folder / "bad.jsonl"
    with pytest.raises(BackstayError, match="refused"):
        await backstay.conversations.import_file(file, quarantine=quarantine, receipt=refuse)
    assert await _ids(backstay) == []
    return quarantine.exists()


async def test_a_quarantine_needs_a_commit(backstay, tmp_path):
    """If the import is rolled back, no quarantine appears."""
    assert not await _is_kept_without_commit(backstay, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


async def test_a_quarantine_without_a_commit_would_be_noticed(backstay, tmp_path, monkeypatch):
    """If errors did not discard the quarantine, the test above would notice it."""
    leave = QuarantineFile.__exit__
    monkeypatch.setattr(QuarantineFile, "__exit__", lambda self, *_: leave(self, None, None, None))

    assert await _is_kept_without_commit(backstay, tmp_path)


@pytest.mark.parametrize("when", ["before:1", "after:1"])
async def test_a_kill_at_the_commit_loses_no_row(path, tmp_path, when):
    """Killed right before the commit, an import leaves nothing; right after it, the bad rows are on disk."""
    file, quarantine = _write(tmp_path / "in.jsonl", _MIXED), tmp_path / "bad.jsonl"
    async with Backstay.open(path):
        pass

    killed = subprocess.run(
        [sys.executable, "-m", "integration._killed_quarantine", str(path), str(file), str(quarantine), when],
        cwd=Path(__file__).parents[1], env={**os.environ, "PYTHONPATH": ""}, check=False, timeout=60,
    )  # fmt: skip
    parts = sorted(part.read_bytes() for part in tmp_path.glob(".bad.jsonl.????????.part"))
    async with Backstay.open(path) as backstay:
        stored = await _ids(backstay)
        again = await backstay.conversations.import_file(file, quarantine=quarantine)

    assert killed.returncode == -9
    assert stored == ([] if when == "before:1" else ["a", "b", "c"])
    assert parts == [b"".join(_BAD_LINES)]
    assert again.imported + again.identical == 3
    assert quarantine.read_bytes() == b"".join(_BAD_LINES)


# -- jobs ------------------------------------------------------------------------------------------

_DEEP = b'{"topic": "t", "x": ' + b"[" * 101 + b"]" * 101 + b"}\n"
_ITEMS = b"".join(
    (
        b'{"name": "no topic"}\n',
        b'{"id": "1", "topic": "tea"}\n',
        b'{"topic": " "}\n',
        _DEEP,
        b'{"id": "a\\u0000", "topic": "t"}\n',
        b'{"id": null, "topic": "t"}\n',
        b'{"topic": "coffee"}\n',
        b"{\n",
    )
)


async def test_a_job_is_made_of_the_good_rows(backstay, tmp_path):
    """Skipped rows are no items, so a run with the same policy continues the job and keeps the same rows."""
    file, quarantine = _write(tmp_path / "topics.jsonl", _ITEMS), tmp_path / "bad.jsonl"
    good = [line for line in _ITEMS.splitlines(keepends=True) if b"tea" in line or b"coffee" in line]

    first = await backstay.batches.run("topics", file, "scripted", quarantine=quarantine, limit=1)
    second = await backstay.batches.run("topics", file, "scripted", quarantine=quarantine)
    third = await backstay.batches.run("topics", file, "scripted", on_bad_row="skip")

    assert (first.counts.planned, second.completed, third.did_nothing) == (2, 2, True)
    assert [result.bad_rows.count for result in (first, second, third)] == [6, 6, 6]
    assert [row.line for row in first.bad_rows.examples] == [1, 3, 4, 5, 6, 8]
    kept = quarantine.read_bytes().splitlines(keepends=True)
    assert [line for line in _ITEMS.splitlines(keepends=True) if line not in kept] == good


async def test_a_bad_row_refuses_a_job(backstay, tmp_path):
    """Without a policy no job is created, and the error counts the other bad rows."""
    file = _write(tmp_path / "topics.jsonl", b"\n".join(_ITEMS.splitlines()[1:]))

    with pytest.raises(InvalidRow, match=r"line 2: the topic is missing or empty; 4 more rows are unusable\."):
        await backstay.batches.create("topics", file, "scripted")

    assert await backstay.batches.list() == []


async def test_repaired_rows_are_added_to_the_job(backstay, tmp_path):
    """Rows that were repaired are new items of the job, whose file may again have bad rows."""
    file = _write(tmp_path / "topics.csv", b"id,topic\n1,tea\n2\n3,coffee,x\n")
    await backstay.batches.run("topics", file, "scripted", on_bad_row="skip")
    _write(file, b"id,topic\n1,tea\n2,cake\n3,coffee,x\n")

    with pytest.raises(ItemsDiffer):
        await backstay.batches.run("topics", file, "scripted", on_bad_row="skip")
    result = await backstay.batches.resume(
        "topics", accept_new_items=file, on_bad_row="quarantine", quarantine=tmp_path / "bad.csv"
    )

    assert (result.completed, result.bad_rows.count) == (2, 1)
    assert (tmp_path / "bad.csv").read_bytes() == b"id,topic\n3,coffee,x\n"


async def test_records_are_kept_under_their_header(backstay, tmp_path):
    """Bad records of a CSV file are kept as they are, line breaks included, under its header."""
    header, good, bad = b'id,"the ""topic""",n\r\n', b'1,"tea\r\n",x\r\n', b'2,"a\r\n\r\nb"\r\n'
    empty, last = b"3, ,x\r\n", b'4,""'
    file = _write(tmp_path / "topics.csv", b"\xef\xbb\xbf\r\n" + header + good + bad + b"\r\n" + good + empty + last)
    reports = []

    job = await backstay.batches.create(
        "topics",
        file,
        "scripted",
        columns=ColumnMapping(topic='the "topic"'),
        quarantine=tmp_path / "bad.csv",
        report_bad_rows=reports.append,
    )

    assert (tmp_path / "bad.csv").read_bytes() == header + bad + empty + last
    assert (job.counts.planned, reports[0].count) == (1, 3)


async def test_a_table_without_the_column_is_an_error_of_the_file(backstay, tmp_path):
    """A missing column is named with its remedy, whatever is done with bad rows."""
    file = _write(tmp_path / "topics.csv", b"id,subject\n1,tea\n2,coffee\n")

    for policy in ("fail", "skip"):
        with pytest.raises(UnknownColumn, match="has no column 'topic', only id, subject") as caught:
            await backstay.batches.run("topics", file, "scripted", on_bad_row=policy)
        assert caught.value.remedy is Remedy.NAME_TOPIC_COLUMN


async def test_items_of_a_program_are_skipped(backstay):
    """A program's own items can be left out too, but only rows of a file can be kept in a quarantine."""
    items = [{"topic": "tea"}, {"topic": ""}, 7]

    result = await backstay.batches.run("topics", items, "scripted", on_bad_row="skip")
    with pytest.raises(SettingsError, match="Only the rows of a file can be kept in a quarantine"):
        await backstay.batches.run("topics", items, "scripted", quarantine="bad.jsonl")

    assert (result.completed, result.bad_rows.count) == (1, 2)
    assert [str(row) for row in result.bad_rows.examples] == [
        "item 2: the topic is missing or empty",
        "item 3: is an int; give an Item or a dictionary with a topic",
    ]
