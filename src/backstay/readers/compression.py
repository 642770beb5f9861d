"""Inputs compressed by gzip or zstd, recognized by their first bytes."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import zstandard

from backstay.readers.block_stream import to_stream
from backstay.readers.input_errors import InputErrors

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes((number,)) + b"\x2a\x4d\x18" for number in range(0x50, 0x60)))
"""The first bytes of zstd files: of a data frame or, from `pzstd`, of one of the 16 kinds of skippable frames."""
COMPRESSED_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}

_BLOCK_BYTES = 256 * 1024
# A zstd block of 4 bytes can expand to 128 KiB, so these expand to 8 MiB at most.
_ZSTD_PIECE_BYTES = 256
_MAX_WINDOW_BYTES = 128 * 1024 * 1024  # zstd's own default limit

ByteCounter = Callable[[int], object]
"""Called with the size of each block of expanded content before it is read."""


def decompress(stream: BinaryIO, head: bytes, errors: InputErrors, count_bytes: ByteCounter | None) -> BinaryIO:
    """Return the decompressed content of a stream that begins with `head`; other streams are returned as they are.

    Reading it raises InputUnreadable for content that is damaged or truncated.
    """
    if head.startswith(GZIP_MAGIC):
        blocks = _gunzip(stream, errors)
    elif head.startswith(ZSTD_MAGICS):
        blocks = _unzstd(stream, errors)
    else:
        return stream
    return to_stream(blocks if count_bytes is None else _counted(blocks, count_bytes))


def _counted(blocks: Iterator[bytes], count_bytes: ByteCounter) -> Iterator[bytes]:
    for block in blocks:
        count_bytes(len(block))
        yield block


def _gunzip(stream: BinaryIO, errors: InputErrors) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as file:
            while block := file.read1(_BLOCK_BYTES):
                yield block
    except EOFError:
        raise errors.unreadable("the gzip data is truncated") from None
    except (gzip.BadGzipFile, zlib.error):
        raise errors.unreadable("the gzip data is damaged") from None


def _unzstd(stream: BinaryIO, errors: InputErrors) -> Iterator[bytes]:
    # The reader of the library would end silently where the data is truncated.
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    frame = None
    try:
        while piece := stream.read(_ZSTD_PIECE_BYTES):
            while piece:
                frame = frame or decompressor.decompressobj()
                block = frame.decompress(piece)
                piece = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
                if block:
                    yield block
    except zstandard.ZstdError:
        raise errors.unreadable("the zstd data is damaged") from None
    if frame is not None:
        raise errors.unreadable("the zstd data is truncated")
