"""The file of a backup: what stands in it, and how it is read again. docs/backup-format.md describes it for others.

After decompression it is one JSON object, a conversation a line:

    {"version":"1.0", …, "conversations":[
    {…},
    {…}
    ],
    "related":{},
    "integrity":{"conversations":2,"turns":16,"sha256":"…"}}

The SHA-256 is over those of all lines before the last, each without the comma and the line break at its end. So each
line is hashed once for all that its hash is needed for.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

import orjson
import zstandard

from backstay.errors import BackupDamaged, BackupTooNew, BackupUnreachable, NotABackup
from backstay.library.prefetch import prefetch

VERSION = "1.0"
LONGEST_LINE = 256 * 1024 * 1024  # bytes of one conversation: more is not backed up, and so not deleted
MAGIC = b"\x28\xb5\x2f\xfd"  # every zstd file begins with it
BEGINNING = b'{"version":'

_LEVEL = 3
_BLOCK = 1024 * 1024
_TOGETHER = 32  # lines joined at once: few enough that memory for them is at hand, and not asked of the system
_WINDOW = 128 * 1024 * 1024  # bytes that decompressing may hold: what zstd itself takes without being told
_END = b"],\n"
OPENING = b'"conversations":['
_RELATED = b'"related":{},\n'
_INTEGRITY = b'"integrity":'

Line = tuple[bytes, bytes]
"""A conversation as it stands in the file, and the SHA-256 of that."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself before its conversations."""

    backup_id: str
    created_at: str
    reason: str
    owner: str
    database: str
    """The kind of database that the conversations come from."""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By table, the columns that Backstay does not know, each with the type that the database knows it by."""

    def to_line(self) -> bytes:
        """Return the first line of the file."""
        head = {
            "version": VERSION,
            "createdAt": self.created_at,
            "backupReason": self.reason,
            "backupId": self.backup_id,
            "owner": self.owner,
            "database": self.database,
            "columns": self.columns,
        }
        return orjson.dumps(head)[:-1] + b"," + OPENING + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Manifest":
        """Read the first line.

        Raises:
            NotABackup: it is something else.
            BackupTooNew: it is of a version that this code does not know.
        """
        try:
            head = orjson.loads(line.rstrip() + b"]}")
            if head["version"] != VERSION:
                raise BackupTooNew(
                    f"The backup is of version {str(head['version'])[:20]!r}, this Backstay reads {VERSION}; "
                    "use the version that wrote it or a newer one",
                    version=str(head["version"])[:20],
                )
            columns = {table: dict(names) for table, names in head["columns"].items()}
            known = (head["backupId"], head["createdAt"], head["backupReason"], head["owner"], head["database"])
            texts = (*known, *(declared for names in columns.values() for declared in names.values()))
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
            return cls(*known, columns=columns)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise NotABackup(
                "This is not a backup as Backstay writes it; if another program formatted it anew, use the file it "
                "was made from"
            ) from error


class ArchiveWriter:
    """Makes the bytes of one file, in order: `head`, `lines` as often as needed, `tail`."""

    def __init__(self) -> None:
        self._sha = sha256()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        self._conversations = 0
        self._turns = 0
        self.content_bytes = 0
        """Length of what was written, before compression."""

    def head(self, manifest: Manifest) -> bytes:
        line = manifest.to_line()
        self._sha.update(_digest(line))
        return self._take(line)

    def lines(self, lines: Sequence[bytes], turns: int) -> tuple[bytes, list[bytes]]:
        """Add conversations that have so many turns together.

        Returns what is to be written now, and the SHA-256 of each line.
        """
        written, digests = [], []
        for start in range(0, len(lines), _TOGETHER):
            some = lines[start : start + _TOGETHER]
            digests += [sha256(line).digest() for line in some]
            # What comes first here is put before each line, but for the first line of all.
            before = (b"",) if self._conversations + start else ()
            written.append(self._take(b",\n".join((*before, *some))))
        self._sha.update(b"".join(digests))
        self._conversations += len(lines)
        self._turns += turns
        return b"".join(written), digests

    def tail(self) -> bytes:
        self._sha.update(_digest(_END) + _digest(_RELATED))
        counted = {"conversations": self._conversations, "turns": self._turns, "sha256": self._sha.hexdigest()}
        last = _INTEGRITY + orjson.dumps(counted) + b"}\n"
        return self._take(b"\n" + _END + _RELATED + last) + self._compressor.flush()

    def _take(self, data: bytes) -> bytes:
        self.content_bytes += len(data)
        return self._compressor.compress(data)


class ArchiveReader:
    """Reads one file, already decompressed. What it yields counts only once the end was reached without an error."""

    def __init__(self, blocks: Iterator[bytes], *, longest_line: int = LONGEST_LINE) -> None:
        self._blocks = blocks
        self._longest_line = longest_line
        self._sha = sha256()
        self._rest = b""
        self._tail = b""
        self._is_more_to_come = True
        self.content_bytes = 0
        self.manifest = Manifest.from_line(self._first_line())

    def batches(self) -> Iterator[list[Line]]:
        """Yield the conversations' lines, many at a time.

        Raises:
            BackupDamaged: it is cut off, goes on behind its end, or is not what its integrity record says.
        """
        conversations = 0
        # Hashing and decoding is what takes time: reading, decompressing and cutting goes on beside it.
        with closing(prefetch(self._cut())) as ahead:
            for lines in ahead:
                digests = [sha256(line).digest() for line in lines]
                self._sha.update(b"".join(digests))
                conversations += len(lines)
                yield list(zip(lines, digests, strict=True))
        self._check_tail(conversations)

    def _first_line(self) -> bytes:
        while (at := self._rest.find(b"\n")) < 0:
            if not self._read_on():
                raise NotABackup("This is not a backup as Backstay writes it: its first line never ends")
            if len(self._rest) > 2 * _BLOCK:
                raise NotABackup("This is not a backup as Backstay writes it: one conversation a line")
        line, self._rest = self._rest[: at + 1], self._rest[at + 1 :]
        self._sha.update(_digest(line))
        return line

    def _complete_lines(self) -> bytes:
        while (cut := self._rest.rfind(b"\n") + 1) == 0:
            if not self._read_on():
                raise BackupDamaged("The backup is cut off; it cannot be used")
            if len(self._rest) > self._longest_line:
                raise BackupDamaged(f"The backup has a line of more than {self._longest_line:,} bytes")
        complete, self._rest = self._rest[:cut], self._rest[cut:]
        return complete

    def _cut(self) -> Iterator[list[bytes]]:
        """Yield the conversations' lines; what comes behind them is the tail then."""
        while not self._tail:
            complete, lines, at = self._complete_lines(), [], 0
            # For one character at a time: a longer text is found many times as slowly.
            while (end := complete.find(b"\n", at)) >= 0:
                if complete.startswith(_END, at):
                    self._tail = complete[at:]
                    break
                if not self._is_more_to_come:
                    raise BackupDamaged("A comma is missing in the backup; it was changed or is damaged")
                self._is_more_to_come = complete.startswith(b",", end - 1)
                lines.append(complete[at : end - self._is_more_to_come])
                at = end + 1
            if lines:
                yield lines

    def _check_tail(self, conversations: int) -> None:
        self._rest = self._tail + self._rest
        while len(self._rest) <= self._longest_line and self._read_on():
            pass
        *before, last, nothing = self._rest.split(b"\n") if self._rest.count(b"\n") >= 2 else (b"", b"")
        is_ended = len(before) == 2 and before[1].endswith(b",") and not (conversations and self._is_more_to_come)
        if nothing or not is_ended or not last.startswith(_INTEGRITY):
            raise BackupDamaged("The backup is cut off, or goes on behind its end; it cannot be used")
        self._sha.update(b"".join(map(_digest, before)))
        try:
            record = orjson.loads(last.removeprefix(_INTEGRITY).removesuffix(b"}"))
            same = (record["conversations"], record["sha256"]) == (conversations, self._sha.hexdigest())
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BackupDamaged("The integrity record of the backup cannot be read; it cannot be used") from error
        if not same:
            raise BackupDamaged("The backup is not what its integrity record says; it was changed or is damaged")

    def _read_on(self) -> bool:
        block = next(self._blocks, b"")
        self.content_bytes += len(block)
        self._rest += block
        return bool(block)


def _digest(line: bytes) -> bytes:
    return sha256(line.removesuffix(b"\n").removesuffix(b",")).digest()


def decompressed(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a zstd file holds, in blocks of bounded size, however much that is.

    Raises:
        BackupDamaged: it is not zstd, or not whole as far as zstd can tell: a file that is cut off may just end.
        BackupUnreachable: the disk does not give it.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        # Across frames, so that bytes behind the end are found, and refused.
        with decompressor.stream_reader(file, read_across_frames=True, closefd=False) as reader:
            while block := reader.read(_BLOCK):
                yield block
    except zstandard.ZstdError as error:
        raise BackupDamaged("The backup cannot be decompressed; it was changed or is damaged") from error
    except OSError as error:
        raise BackupUnreachable(f"The backup cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise BackupDamaged("Decompressing the backup would take more memory than any of ours does") from error
