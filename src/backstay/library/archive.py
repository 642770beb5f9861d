"""The format of backup files: writer and reader. docs/backup-format.md describes it for other programs.

After decompression a file is one JSON object with one conversation per line:

    {"version":"1.0", …, "conversations":[
    {…},
    {…}
    ],
    "related":{},"recipes":[…],
    "integrity":{"conversations":2,"turns":16,"sha256":"…"}}

The recipes are on the line of `related`, which readers that know no recipes hash without reading it.

The SHA-256 is computed over the SHA-256s of all lines before the last, each without its trailing comma and line break.
The SHA-256 of a conversation's line also serves to compare it with the snapshot, so no line is hashed twice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

import orjson
import zstandard

from backstay.errors import BackupDamaged, BackupTooNew, BackupUnreachable, NotABackup
from backstay.library.archived_recipe import RECIPES, ArchivedRecipe, read_recipes, recipes_to_json
from backstay.library.curation import split_curation
from backstay.library.prefetch import prefetch

VERSION = "1.0"
MAX_LINE_BYTES = 256 * 1024 * 1024  # of one conversation; a larger one is not backed up, and so not deleted
FILE_START = b'{"version":'

_LEVEL = 3
_BLOCK_BYTES = 1024 * 1024
_LINES_PER_GROUP = 32  # few enough that the joined bytes fit into memory freed earlier, instead of needing new memory
_MAX_WINDOW_BYTES = 128 * 1024 * 1024  # zstd's own default limit
_CONVERSATIONS_END = b"],\n"
CONVERSATIONS_START = b'"conversations":['
_RELATED = b'"related":{}'
_INTEGRITY = b'"integrity":'
_AFTER_CONVERSATIONS = re.compile(rb'(\],\n)(.*,\n)"integrity":(.*)\}\n')

HashedLine = tuple[bytes, bytes, bytes | None]
"""A conversation of a backup file: its JSON line without comma, line break and curation; its SHA-256; its curation."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first line of a backup file, which describes the backup."""

    backup_id: str
    created_at: str
    reason: str
    owner: str
    database: str
    """The kind of database that the conversations come from."""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The database type of each user column, by table and column name."""

    def to_line(self) -> bytes:
        """Return the first line of the file for this manifest."""
        head = {
            "version": VERSION,
            "createdAt": self.created_at,
            "backupReason": self.reason,
            "backupId": self.backup_id,
            "owner": self.owner,
            "database": self.database,
            "columns": self.columns,
        }
        return orjson.dumps(head)[:-1] + b"," + CONVERSATIONS_START + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Manifest":
        """Parse the first line of a file.

        Raises:
            NotABackup: the line does not begin a backup.
            BackupTooNew: the backup has a version that this code does not know.
        """
        try:
            head = orjson.loads(line.rstrip() + b"]}")
            if head["version"] != VERSION:
                raise BackupTooNew(
                    f"The backup has version {str(head['version'])[:20]!r}, but this Backstay reads {VERSION}; "
                    "use the Backstay that wrote it or a newer one",
                    version=str(head["version"])[:20],
                )
            columns = {table: dict(names) for table, names in head["columns"].items()}
            values = (head["backupId"], head["createdAt"], head["backupReason"], head["owner"], head["database"])
            texts = (*values, *(declared for names in columns.values() for declared in names.values()))
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
            return cls(*values, columns=columns)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise _not_a_backup() from error


class ArchiveWriter:
    """The encoder of one file. Call `head`, then `lines` once or more, with at least one line in all, then `tail`."""

    def __init__(self) -> None:
        self._sha = sha256()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        self._conversations = 0
        self._turns = 0
        self.content_bytes = 0
        """Bytes encoded so far, before compression."""

    def head(self, manifest: Manifest) -> bytes:
        line = manifest.to_line()
        self._sha.update(_digest(line))
        return self._compress(line)

    def lines(self, lines: Sequence[bytes], turns: int) -> tuple[bytes, list[bytes]]:
        """Add the JSON lines of conversations, which have `turns` turns in total.

        Returns the bytes to write to the file now, and the SHA-256 of each line.
        """
        blocks, digests = [], []
        for start in range(0, len(lines), _LINES_PER_GROUP):
            group = lines[start : start + _LINES_PER_GROUP]
            digests += [sha256(line).digest() for line in group]
            # An empty first element puts a separator before the group, except before the file's first line.
            before = (b"",) if self._conversations + start else ()
            blocks.append(self._compress(b",\n".join((*before, *group))))
        self._sha.update(b"".join(digests))
        self._conversations += len(lines)
        self._turns += turns
        return b"".join(blocks), digests

    def tail(self, recipes: Sequence[ArchivedRecipe] = ()) -> bytes:
        named = b',"%s":%s' % (RECIPES.encode(), recipes_to_json(recipes)) if recipes else b""
        related = _RELATED + named + b",\n"
        self._sha.update(_digest(_CONVERSATIONS_END) + _digest(related))
        integrity = {"conversations": self._conversations, "turns": self._turns, "sha256": self._sha.hexdigest()}
        last = _INTEGRITY + orjson.dumps(integrity) + b"}\n"
        return self._compress(b"\n" + _CONVERSATIONS_END + related + last) + self._compressor.flush()

    def _compress(self, data: bytes) -> bytes:
        self.content_bytes += len(data)
        return self._compressor.compress(data)


class ArchiveReader:
    """The decoder of one decompressed file. What it yields is valid only if the end is reached without an error."""

    def __init__(self, blocks: Iterator[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._blocks = blocks
        self._max_line_bytes = max_line_bytes
        self._sha = sha256()
        self._rest = b""
        """What was read, but not yet taken."""
        self._tail = b""
        self._may_have_more = True
        """Whether another conversation may follow: none was read yet, or the last one ended with a comma."""
        self.content_bytes = 0
        self.recipes: Sequence[ArchivedRecipe] = ()
        """The recipes that the conversations name; known after the last batch."""
        self.manifest = Manifest.from_line(self._first_line())

    def batches(self) -> Iterator[list[HashedLine]]:
        """Yield the conversations' lines in batches.

        Raises:
            BackupDamaged: the file is truncated, has data after its end, or differs from its integrity record.
        """
        conversations = 0
        # Hashing and decoding take most of the time. Another thread reads, decompresses and splits meanwhile.
        with closing(prefetch(self._split_lines())) as batches:
            for lines in batches:
                digests = [sha256(line).digest() for line in lines]
                self._sha.update(b"".join(digests))
                conversations += len(lines)
                yield [_without_curation(line, digest) for line, digest in zip(lines, digests, strict=True)]
        self._check_tail(conversations)

    def _first_line(self) -> bytes:
        while (at := self._rest.find(b"\n")) < 0:
            if not (block := self._read_block()) or len(self._rest) > _BLOCK_BYTES:
                raise _not_a_backup()
            self._rest += block
        line, self._rest = self._rest[: at + 1], self._rest[at + 1 :]
        self._sha.update(_digest(line))
        return line

    def _take_complete_lines(self) -> bytes:
        blocks, size = [], 0
        # Search each block only once, and join them at the end, because a line may be as long as hundreds of blocks.
        while (end := self._rest.rfind(b"\n") + 1) == 0:
            blocks.append(self._rest)
            size += len(self._rest)
            if size > self._max_line_bytes + len(b","):
                raise BackupDamaged(f"The backup has a line of more than {self._max_line_bytes:,} bytes")
            if not (block := self._read_block()):
                raise BackupDamaged("The backup is truncated; it cannot be used")
            self._rest = block
        complete, self._rest = b"".join((*blocks, self._rest[:end])), self._rest[end:]
        return complete

    def _split_lines(self) -> Iterator[list[bytes]]:
        """Yield the conversations' lines in batches; keep what follows them as the tail."""
        while not self._tail:
            complete, lines, at = self._take_complete_lines(), [], 0
            # Search for the line break alone: `find` is many times slower for a pattern of several characters.
            while (end := complete.find(b"\n", at)) >= 0:
                if complete.startswith(_CONVERSATIONS_END, at):
                    self._tail = complete[at:]
                    break
                if not self._may_have_more:
                    raise BackupDamaged("A comma is missing in the backup; it was changed or is damaged")
                self._may_have_more = complete.startswith(b",", end - 1)
                lines.append(complete[at : end - self._may_have_more])
                at = end + 1
            if lines:
                yield lines

    def _check_tail(self, conversations: int) -> None:
        match = _AFTER_CONVERSATIONS.fullmatch(self._read_tail())
        if match is None or (conversations and self._may_have_more):
            raise BackupDamaged("The backup is truncated, or has data after its end; it cannot be used")
        end, related, integrity = match.groups()
        self._sha.update(_digest(end) + _digest(related))
        try:
            record = orjson.loads(integrity)  # its `turns` are for people: the digest covers every turn
            is_same = (record["conversations"], record["sha256"]) == (conversations, self._sha.hexdigest())
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BackupDamaged("The integrity record of the backup cannot be read; it cannot be used") from error
        if not is_same:
            raise BackupDamaged("The backup differs from its integrity record; it was changed or is damaged")
        self.recipes = _read_recipes(related)

    def _read_tail(self) -> bytes:
        """Return what follows the conversations, up to a length that no backup has."""
        blocks, size = [self._tail, self._rest], 0
        while size <= self._max_line_bytes and (block := self._read_block()):
            blocks.append(block)
            size += len(block)
        return b"".join(blocks)

    def _read_block(self) -> bytes:
        block = next(self._blocks, b"")
        self.content_bytes += len(block)
        return block


def _without_curation(file_line: bytes, digest: bytes) -> HashedLine:
    line, curation = split_curation(file_line)
    return line, digest if curation is None else sha256(line).digest(), curation


def _read_recipes(related: bytes) -> Sequence[ArchivedRecipe]:
    if related.startswith(_RELATED + b",\n"):
        return ()
    try:
        entries = orjson.loads(b"{" + related.removesuffix(b",\n") + b"}").get(RECIPES, [])
    except orjson.JSONDecodeError as error:
        raise BackupDamaged("The recipes of the backup cannot be read; it cannot be used") from error
    return read_recipes(entries)


def _not_a_backup() -> NotABackup:
    return NotABackup(
        "This is not a backup as Backstay writes it, with one conversation per line; if another program reformatted "
        "it, use the original file"
    )


def _digest(line: bytes) -> bytes:
    return sha256(line.removesuffix(b"\n").removesuffix(b",")).digest()


def decompress(file: BinaryIO) -> Iterator[bytes]:
    """Yield the decompressed content of a zstd file in blocks of bounded size.

    Raises:
        BackupDamaged: zstd finds an error. A truncated file may end without an error.
        BackupUnreachable: the file cannot be read from disk, or there is too little memory.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    try:
        # Read across frames, so that bytes after the end are noticed.
        with decompressor.stream_reader(file, read_across_frames=True, closefd=False) as reader:
            while block := reader.read(_BLOCK_BYTES):
                yield block
    except zstandard.ZstdError as error:
        raise BackupDamaged("The backup cannot be decompressed; it was changed or is damaged") from error
    except OSError as error:
        raise BackupUnreachable(f"The backup cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise BackupUnreachable("The backup cannot be read: there is too little memory to decompress it") from error
