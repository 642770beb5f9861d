"""Streams whose bytes a program produces, and a look at the first bytes of any stream."""

import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, cast

_CHUNK_BYTES = 256 * 1024


class BlockStream(io.RawIOBase):
    """A readable stream of the blocks of an iterable."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._rest = memoryview(b"")
        self._blocks = iter(blocks)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def to_stream(blocks: Iterable[bytes]) -> BinaryIO:
    """Return a stream of blocks. It is buffered: `readline` would otherwise read byte by byte."""
    return io.BufferedReader(BlockStream(blocks), _CHUNK_BYTES)


def iterate_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield all bytes of a stream in chunks, as soon as they arrive."""
    # `read` on a pipe would wait until a chunk is full.
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    return iter(partial(read, _CHUNK_BYTES), b"")


def push_back(data: bytes, stream: BinaryIO) -> BinaryIO:
    """Return a stream of the data and then the rest of the stream."""
    return to_stream(chain((data,), iterate_chunks(stream)))


def peek(stream: BinaryIO, magic_bytes: Iterable[bytes]) -> tuple[bytes, BinaryIO]:
    """Return the first bytes of a stream, enough to recognize each of the `magic_bytes`, and the stream before them.

    Waits for more bytes than have arrived only while they may be the beginning of one.
    """
    magic_bytes = tuple(magic_bytes)
    size = max(map(len, magic_bytes))
    if hasattr(stream, "peek"):
        head = cast("bytes", stream.peek(size)[:size])
        if not any(len(head) < len(magic) and magic.startswith(head) for magic in magic_bytes):
            return head, stream
    elif stream.seekable():
        start = stream.seek(0, io.SEEK_CUR)
        head = stream.read(size)
        stream.seek(start)
        return head, stream
    head = stream.read(size)
    return head, push_back(head, stream)
