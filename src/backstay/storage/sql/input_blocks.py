"""Inputs of cleaned jobs, compressed, many in one block. Each input is either a row or in one block."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson
import zstandard

from backstay.storage.sql.database import Row, Session

_BLOCK_INPUTS = 1_000  # a page of items reads whole blocks
_BLOCK_BYTES = 1_000_000
_STEP_BYTES = 16_000_000
_LEVEL = 6


class StoredInput(NamedTuple):
    """The input of an item, as it is stored."""

    topic: str
    persona: str | None
    parameters: str
    line: int


def pack_inputs(session: Session, owner: str, job_key: int, limit: int) -> bool:
    """Move some inputs of a job, at most `limit`, from rows into blocks; return whether there were any."""
    values = {"job_key": job_key, "owner": owner}
    blocks: list[Row] = []
    for first, last in _runs(session.rows("input_sizes", {**values, "limit": limit})):
        rows = sorted(session.rows("take_inputs", {**values, "first": first, "last": last}))
        blocks.append((job_key, first, last, owner, _compress([row[1:] for row in rows])))
    session.execute_many("insert_input_blocks", blocks)
    return bool(blocks)


def stored_inputs(session: Session, owner: str, job_key: int, positions: Sequence[int]) -> Mapping[int, StoredInput]:
    """Return the inputs at these positions that are still stored, as rows or in blocks, by position."""
    rows = session.select_many("inputs_at", [(position,) for position in positions], job_key)
    inputs = {position: StoredInput(*values) for position, *values in rows}
    packed = sorted(position for position in positions if position not in inputs)
    return {**inputs, **packed_inputs(session, owner, job_key, packed)}


def packed_inputs(session: Session, owner: str, job_key: int, positions: Sequence[int]) -> Mapping[int, StoredInput]:
    """Return those inputs at ascending positions that are in blocks, by position."""
    if not positions:
        return {}
    values = {"job_key": job_key, "owner": owner, "first": positions[0], "last": positions[-1]}
    requested = frozenset(positions)
    return {
        position: stored
        for first, content in session.stream("input_blocks_between", values)
        for position, stored in enumerate(_decompress(content), start=first)
        if position in requested
    }


def unpack_input(session: Session, owner: str, job_key: int, position: int) -> None:
    """Move the block that has the input at a position, if there is one, back to rows."""
    values = {"job_key": job_key, "owner": owner, "first": position, "last": position}
    _unpack(session, owner, job_key, session.rows("input_blocks_between", values))


def unpack_inputs_of_deleted(session: Session, owner: str, job_key: int, max_blocks: int) -> bool:
    """Move some blocks back to rows that have inputs of items with deleted conversations; return if there were any."""
    values = {"job_key": job_key, "owner": owner, "limit": max_blocks}
    return _unpack(session, owner, job_key, session.rows("input_blocks_of_deleted", values))


def _unpack(session: Session, owner: str, job_key: int, blocks: Sequence[Row]) -> bool:
    values = {"job_key": job_key, "owner": owner}
    for first, content in blocks:
        inputs = enumerate(_decompress(content), start=first)
        session.execute("delete_input_block", {**values, "first": first})
        session.execute_many("insert_inputs", [(job_key, position, owner, *stored) for position, stored in inputs])
    if blocks:
        session.execute("mark_uncleaned", values)  # so that the inputs become blocks again
    return bool(blocks)


def _runs(sizes: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield the first and last positions of inputs that make a block each: without gaps, and of a limited size."""
    first = previous = block_bytes = step_bytes = 0
    for number, (position, size) in enumerate(sizes):
        if number == 0:
            first = position
        elif position != previous + 1 or position - first == _BLOCK_INPUTS or block_bytes + size > _BLOCK_BYTES:
            yield first, previous
            first, block_bytes = position, 0
            if step_bytes + size > _STEP_BYTES:
                return
        previous = position
        block_bytes += size
        step_bytes += size
    if sizes:
        yield first, previous


def _compress(inputs: Sequence[Row]) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(orjson.dumps(inputs))


def _decompress(content: bytes) -> Iterator[StoredInput]:
    return (StoredInput(*values) for values in orjson.loads(zstandard.ZstdDecompressor().decompress(content)))
