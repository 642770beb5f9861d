"""Ids that sort by the time they were generated."""

import os
import threading
import time

_RANDOM_BITS = 74
_RANDOM_BYTES = 10  # drawn per id, of which _RANDOM_BITS bits are used
_STEP_BITS = 54  # of a random increment; the 20 bits above leave room for 2**19 ids or more in a millisecond


class TimeOrderedIds:
    """A thread-safe generator of version 7 UUIDs (RFC 9562, section 5.7), each greater than the one before.

    Within a millisecond the random part is incremented by a random step (RFC 9562, section 6.2, method 2), so that ids
    of one burst are stored next to each other. Random keys would cost a database most of its write speed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._random = 0

    def new(self) -> str:
        """Return the next id as lower-case text with dashes."""
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """Return the next `count` ids."""
        random_bytes = os.urandom(_RANDOM_BYTES * count)
        pairs = []
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            for start in range(0, len(random_bytes), _RANDOM_BYTES):
                entropy = int.from_bytes(random_bytes[start : start + _RANDOM_BYTES]) >> (
                    8 * _RANDOM_BYTES - _RANDOM_BITS
                )
                if now_ms > self._last_ms:
                    self._last_ms = now_ms
                    # Leave the top bit clear, as room for the increments.
                    self._random = entropy >> 1
                else:
                    self._random += (entropy & ((1 << _STEP_BITS) - 1)) + 1
                    if self._random >> _RANDOM_BITS:
                        self._last_ms += 1
                        self._random = entropy >> 1
                pairs.append((self._last_ms, self._random))
        return [_format_uuid(ms, random) for ms, random in pairs]


def _format_uuid(ms: int, random: int) -> str:
    value = (ms << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_ids = TimeOrderedIds()
new_id = _ids.new
new_ids = _ids.many
