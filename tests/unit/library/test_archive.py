"""Writing and reading of the format of backup files."""

import hashlib
import io
import json
import time

import pytest
import zstandard

from backstay.errors import BackupDamaged, BackupTooNew, BackupUnreachable, NotABackup
from backstay.library.archive import ArchiveReader, ArchiveWriter, Manifest, decompress

_MANIFEST = Manifest("backup-1-a", "2025-06-02T09:30:00.000000Z", "why", "local", "sqlite", {"turns": {"x": "BLOB"}})


def _written(lines: list[bytes]) -> bytes:
    writer = ArchiveWriter()
    data = writer.head(_MANIFEST)
    for line in lines:
        data += writer.lines([line], turns=2)[0]
    return data + writer.tail()


def _text(lines: list[bytes]) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(_written(lines))


def _read(text: bytes, block: int = 1_000_000) -> tuple[Manifest, list[bytes]]:
    reader = ArchiveReader(iter([text[at : at + block] for at in range(0, len(text), block)]))
    return reader.manifest, [line for batch in reader.batches() for line, *_ in batch]


@pytest.mark.parametrize("block", [1, 7, 100, 1_000_000])
def test_what_is_written_is_read(block):
    """A written file is read back equal, whatever the size of the blocks."""
    lines = [json.dumps({"id": f"c{number}", "text": "],\n" * number}).encode() for number in range(5)]

    assert _read(_text(lines), block) == (_MANIFEST, lines)


def test_a_line_of_the_maximum_length_is_read():
    """A line that is as long as the writer allows is read, wherever the blocks end."""
    line = b'{"id":"' + b"a" * 1_000 + b'"}'
    text = _text([line, line])
    blocks = iter([text[at : at + 7] for at in range(0, len(text), 7)])

    assert sum(map(len, ArchiveReader(blocks, max_line_bytes=len(line)).batches())) == 2


def test_it_is_one_json_object():
    """A file is one JSON object with the documented keys and an integrity record over all lines before the last."""
    text = _text([b'{"id":"a"}', b'{"id":"b"}'])
    read = json.loads(text)

    assert list(read)[:3] == ["version", "createdAt", "backupReason"]
    assert read["conversations"] == [{"id": "a"}, {"id": "b"}]
    assert read["columns"] == {"turns": {"x": "BLOB"}}
    assert read["integrity"]["conversations"] == 2
    digests = [hashlib.sha256(line.removesuffix(b",")).digest() for line in text.splitlines()[:-1]]
    assert read["integrity"]["sha256"] == hashlib.sha256(b"".join(digests)).hexdigest()


def test_every_truncation_is_noticed():
    """A file that is truncated at any length after decompression is refused."""
    text = _text([b'{"id":"a"}', b'{"id":"b"}'])

    for length in range(len(text)):
        with pytest.raises((BackupDamaged, NotABackup)):
            _read(text[:length])


@pytest.mark.parametrize("more", [b"\n", b"{}", b"x\n"])
def test_nothing_may_follow(more):
    """A file with any data after its integrity record is refused."""
    with pytest.raises(BackupDamaged):
        _read(_text([b'{"id":"a"}']) + more)


def test_a_line_that_was_changed_is_noticed():
    """A file with a changed line is refused because of the checksum."""
    with pytest.raises(BackupDamaged, match="differs from its integrity record"):
        _read(_text([b'{"id":"a"}']).replace(b'"a"', b'"b"'))


@pytest.mark.parametrize(
    ("whole", "changed"), [(b'"a"},', b'"a"}'), (b'"b"}\n', b'"b"},\n'), (b'"related":{},', b'"related":{}')]
)
def test_commas_are_part_of_it(whole, changed):
    """A file with a missing or additional comma is refused, although no hash covers commas."""
    text = _text([b'{"id":"a"}', b'{"id":"b"}'])
    assert whole in text

    with pytest.raises(BackupDamaged):
        _read(text.replace(whole, changed))


def test_another_format_is_refused():
    """A file of another version, and a reformatted file, are refused."""
    text = _text([b'{"id":"a"}'])

    with pytest.raises(
        BackupTooNew,
        match=r"has version '3\.0', but this Backstay reads 1\.0; use the Backstay that wrote it or a newer one",
    ):
        _read(text.replace(b'"version":"1.0"', b'"version":"3.0"'))
    with pytest.raises(NotABackup, match="reformatted it"):
        _read(json.dumps(json.loads(text), indent=2).encode())


def test_a_bomb_is_not_held_in_memory():
    """A small file that decompresses to a huge one is refused without being held in memory."""
    bomb = zstandard.ZstdCompressor(level=19).compress(b'{"version":' + b" " * 300_000_000)

    with pytest.raises(NotABackup, match="one conversation per line"):
        ArchiveReader(decompress(io.BytesIO(bomb)))
    endless = zstandard.compress(_MANIFEST.to_line() + b"x" * 50_000_000)
    with pytest.raises(BackupDamaged, match="a line of more than 1,000,000 bytes"):
        list(ArchiveReader(decompress(io.BytesIO(endless)), max_line_bytes=1_000_000).batches())


def test_a_long_line_takes_time_in_proportion():
    """A line of many blocks is neither copied nor searched again with each block."""
    text = _text([b'{"id":"' + b"a" * 16_000_000 + b'"}'])
    started = time.process_time()

    _, lines = _read(text, block=1_000)

    assert len(lines) == 1
    assert time.process_time() - started < 1  # copied with each block it takes several seconds, else hundredths


def test_too_little_memory_is_no_damage():
    """A backup that cannot be decompressed for lack of memory is not reported as damaged."""

    class Exhausted(io.BytesIO):
        def read(self, size=-1):
            raise MemoryError

    with pytest.raises(BackupUnreachable, match="too little memory"):
        list(decompress(Exhausted()))
