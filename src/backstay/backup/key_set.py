"""A compact set of the keys of rows."""

from collections import defaultdict
from collections.abc import Iterator

_BLOCK_BYTES = 1_024


class KeySet:
    """A set of keys that takes one bit per key, as long as they are close to each other: there may be millions."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = defaultdict(lambda: bytearray(_BLOCK_BYTES))

    def add(self, key: int) -> None:
        block, index, bit = _locate_bit(key)
        self._blocks[block][index] |= 1 << bit

    def __contains__(self, key: int) -> bool:
        block, index, bit = _locate_bit(key)
        bits = self._blocks.get(block)
        return bits is not None and bool(bits[index] >> bit & 1)

    def __len__(self) -> int:
        return sum(int.from_bytes(bits).bit_count() for bits in self._blocks.values())

    def __iter__(self) -> Iterator[int]:
        """Yield the keys in ascending order."""
        for block in sorted(self._blocks):
            for index, byte in enumerate(self._blocks[block], start=block * _BLOCK_BYTES):
                yield from (index * 8 + bit for bit in range(8) if byte >> bit & 1)


def _locate_bit(key: int) -> tuple[int, int, int]:
    """Return the block of a key, the byte in that block, and the bit in that byte."""
    byte, bit = divmod(key, 8)
    return *divmod(byte, _BLOCK_BYTES), bit
