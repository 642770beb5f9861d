"""List cursors: numbers that do not reveal how many rows lie between them."""

import hashlib

_HALF_BITS = 26  # half a cursor; JSON and JavaScript represent 52 bits exactly
_HALF_MASK = (1 << _HALF_BITS) - 1
_ROUNDS = 6


class Cursors:
    """The cursors of one owner's lists.

    Rows of all owners share one sequence of keys, so the difference of two keys would reveal how many rows other owners
    have stored in between. A cursor is the key under a permutation (a Feistel network) keyed by the database's id and
    the owner, so servers that share a database understand each other's cursors.
    """

    def __init__(self, *, database_id: str, owner: str) -> None:
        self._secret = hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), key=database_id.encode()).digest()

    def encode(self, key: int) -> int:
        """Return the cursor of a row's key."""
        if key >> 2 * _HALF_BITS:  # too large to permute; no table is that large
            return key
        left, right = key >> _HALF_BITS, key & _HALF_MASK
        for round_number in range(_ROUNDS):
            left, right = right, left ^ self._mix(round_number, right)
        return right << _HALF_BITS | left

    def decode(self, cursor: int | None) -> int | None:
        """Return the key of a cursor, which comes from a request and may be any number; None if there is no cursor."""
        if cursor is None or cursor >> 2 * _HALF_BITS:
            return cursor
        right, left = cursor >> _HALF_BITS, cursor & _HALF_MASK
        for round_number in reversed(range(_ROUNDS)):
            left, right = right ^ self._mix(round_number, left), left
        return left << _HALF_BITS | right

    def _mix(self, round_number: int, half: int) -> int:
        block = round_number.to_bytes(1, "big") + half.to_bytes(4, "big")
        return int.from_bytes(hashlib.blake2b(block, key=self._secret, digest_size=4).digest(), "big") & _HALF_MASK
