"""The batches in which a Parquet file is read: of few rows where these may be large."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

# The rows of a batch are in memory together.
_BATCH_ROWS = 128
_BATCH_BYTES = 16 * 1024 * 1024
# Writers end a dictionary at about 1 MB, and its values are far smaller than that: the limit for these costs no time.
_USUAL_DICTIONARY_BYTES = 2 * 1024 * 1024
_USUAL_BATCH_BYTES = 256 * 1024 * 1024
_HEADER_BYTES = 16  # hold the first two fields of the header of a page
_HEADER_OF_DICTIONARY = b"\x15\x04\x15"  # in Thrift's compact protocol: the type 2, and the start of the size
_REPEATING_ENCODING = "DELTA_BYTE_ARRAY"


def read_batches(source: Any, file: BinaryIO, columns: Sequence[str]) -> Iterator[tuple[Any, int]]:
    """Yield the rows of a `pyarrow.parquet.ParquetFile`, which reads from `file`, in batches with their size in bytes.

    A few kilobytes may hold gigabytes of repeated text, so the size of rows is limited before they are decoded.
    """
    for group in range(source.num_row_groups):
        rows = _batch_rows(source, file, group)
        for batch in source.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
            size = batch.nbytes
            if size <= _BATCH_BYTES:
                yield batch, size
                continue
            for number in range(batch.num_rows):
                row = batch.slice(number, 1)
                yield row, row.nbytes


def _batch_rows(source: Any, file: BinaryIO, group: int) -> int:
    """Return how many rows of a group to decode at once, as if each value were the largest that is stored once."""
    metadata = source.metadata.row_group(group)
    stored, repeated, limit = 0, 0, _USUAL_BATCH_BYTES
    for number in range(metadata.num_columns):
        chunk = metadata.column(number)
        is_repeating = _REPEATING_ENCODING in chunk.encodings
        largest = chunk.total_uncompressed_size if is_repeating else _dictionary_bytes(chunk, file)
        if largest > _USUAL_DICTIONARY_BYTES:
            limit = _BATCH_BYTES
        stored += chunk.total_uncompressed_size
        repeated += largest * chunk.num_values
    rows: int = metadata.num_rows
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * rows // max(1, stored), limit * rows // max(1, repeated)))


def _dictionary_bytes(chunk: Any, file: BinaryIO) -> int:
    """Return the size of the dictionary with which a column chunk begins; 0 if it has none."""
    file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
    header = file.read(_HEADER_BYTES)
    if not header.startswith(_HEADER_OF_DICTIONARY):
        return 0
    size = 0
    for position, byte in enumerate(header[len(_HEADER_OF_DICTIONARY) :]):
        size |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            break
    return size >> 1  # without the sign
