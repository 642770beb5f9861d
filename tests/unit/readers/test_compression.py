"""Compressed inputs."""

import gzip
import io
import tracemalloc

import pytest
import zstandard

from backstay.errors import InputTooLarge, InputUnreadable
from backstay.readers import InputRow, read_rows
from backstay.readers.input_ceiling import InputCeiling

_CONTENT = {
    "a.csv": b"topic\nTea\nSalt\n",
    "a.tsv": b"topic\nTea\nSalt\n",
    "a.jsonl": b'{"topic":"Tea"}\n{"topic":"Salt"}\n',
    "a.json": b'[{"topic":"Tea"},\n{"topic":"Salt"}]',
    "a.txt": b"Tea\nSalt\n",
    "a": b"topic\nTea\nSalt\n",
}
_COMPRESS = {".gz": gzip.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("suffix", ["", ".gz", ".GZ", ".zst"])
@pytest.mark.parametrize("compress", _COMPRESS.values(), ids=_COMPRESS.keys())
@pytest.mark.parametrize(("name", "content"), _CONTENT.items())
def test_every_format_may_be_compressed(read_file, name, content, suffix, compress):
    """Compressed content is recognised by its first bytes, whatever its name says."""
    rows = read_file(name + suffix, compress(content))

    assert [row.values for row in rows] == [{"topic": "Tea"}, {"topic": "Salt"}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.zst"])
def test_content_that_is_not_compressed_is_read_anyway(read_file, name):
    """A file that a program has decompressed already may have kept its name."""
    assert read_file(name, _CONTENT[name.rpartition(".")[0]])[0].values == {"topic": "Tea"}


@pytest.mark.parametrize("compress", _COMPRESS.values(), ids=_COMPRESS.keys())
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_compressed_standard_input_is_recognised(trickle, compress, size):
    """Standard input is decompressed, however its bytes arrive."""
    rows = list(read_rows(None, stdin=trickle(compress(_CONTENT["a.jsonl"]), size)))

    assert rows == [InputRow(1, {"topic": "Tea"}), InputRow(2, {"topic": "Salt"})]


@pytest.mark.parametrize("compress", _COMPRESS.values(), ids=_COMPRESS.keys())
def test_members_that_follow_each_other_are_one_file(read_file, compress):
    """Files that were compressed apart and concatenated are read as one."""
    rows = read_file("a.csv", compress(b"topic\nTea\n") + compress(b"Salt\n"))

    assert [row.values["topic"] for row in rows] == ["Tea", "Salt"]


@pytest.mark.parametrize("number", [0x50, 0x5F])
@pytest.mark.parametrize("size", [1, 100_000])
def test_skippable_zstd_frames_are_skipped(trickle, number, size):
    """Skippable frames, such as the first one in a file of `pzstd`, are ignored anywhere in a file."""
    skipped = bytes((number, *b"\x2a\x4d\x18", 4, 0, 0, 0, *b"size"))
    content = skipped + zstandard.compress(b"topic\nTea\n") + skipped + zstandard.compress(b"Salt\n")

    assert [row.values["topic"] for row in read_rows(None, stdin=trickle(content, size))] == ["Tea", "Salt"]


@pytest.mark.parametrize(("suffix", "compress"), _COMPRESS.items())
def test_no_truncation_is_silent(tmp_path, suffix, compress):
    """A compressed file that is truncated anywhere is refused, even after all of its rows were read."""
    content = "".join(f'{{"topic":"{number * 7919 % 1009}"}}\n' for number in range(3_000)).encode()
    whole, path = compress(content), tmp_path / f"a.jsonl{suffix}"

    for size in [*range(4, 20), *range(20, len(whole), len(whole) // 40), len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(InputUnreadable, match=r"data is (truncated|damaged)$"):
            list(read_rows(path))


@pytest.mark.parametrize(("suffix", "compress"), _COMPRESS.items())
def test_damage_is_refused(tmp_path, suffix, compress):
    """A compressed file with changed bytes is refused with the name of its compression."""
    if suffix == ".zst":  # without a checksum, not every change can be noticed
        compress = zstandard.ZstdCompressor(write_checksum=True).compress
    data = bytearray(compress(b'{"topic":"Tea"}\n' * 100))
    data[len(data) // 2] ^= 0xFF
    data[len(data) // 2 + 1] ^= 0xFF
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(data + b"garbage")

    with pytest.raises(InputUnreadable, match=r"data is (damaged|truncated)"):
        list(read_rows(path))


@pytest.mark.parametrize("compress", _COMPRESS.values(), ids=_COMPRESS.keys())
@pytest.mark.parametrize("unit", [b" ", b'{"topic":"Tea"}\n'])
def test_a_bomb_takes_little_memory_and_is_counted(tmp_path, compress, unit):
    """Content that expands a thousandfold needs constant memory, and its bytes are counted as they are read."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(compress(unit * (30_000_000 // len(unit))))
    ceiling, total = InputCeiling(1, 2_000_000), 0

    def count(size):
        nonlocal total
        total += size
        ceiling.check("a.jsonl", rows=0, text_bytes=total, row_noun="items")

    tracemalloc.start()
    try:
        with pytest.raises(InputTooLarge):
            for _ in read_rows(path, count_bytes=count):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert path.stat().st_size < 500_000
    assert peak < 40_000_000


def test_an_open_stream_stays_open():
    """A standard input that is compressed is left open."""
    stdin = io.BytesIO(gzip.compress(b"topic\nTea\n"))

    list(read_rows(None, stdin=stdin))

    assert not stdin.closed
