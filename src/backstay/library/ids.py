"""Ids that sort by the time they were made."""

import os
import threading
import time

_RANDOM_BITS = 74
_DRAWN = 10  # bytes of which these are taken
_SEQUENCE_SHIFT = 54  # the top 20 random bits start the count within a millisecond


class TimeOrderedIds:
    """Makes UUIDs of version 7 (RFC 9562, section 5.7), each greater than the one before, from any thread.

    Within a millisecond the random part is counted upwards by a random step (RFC 9562, section 6.2, method 2), so
    that ids made in one burst are stored side by side: random keys cost a database most of its write speed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._random = 0

    def new(self) -> str:
        """Return the next id as lower-case text with dashes."""
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """Return the next ids, so many of them."""
        drawn = os.urandom(_DRAWN * count)
        made = []
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            for start in range(0, len(drawn), _DRAWN):
                entropy = int.from_bytes(drawn[start : start + _DRAWN]) >> (8 * _DRAWN - _RANDOM_BITS)
                if now_ms > self._last_ms:
                    self._last_ms = now_ms
                    # The topmost bit stays clear, so that counting upwards has room before it overflows.
                    self._random = entropy >> 1
                else:
                    self._random += (entropy & ((1 << _SEQUENCE_SHIFT) - 1)) + 1
                    if self._random >> _RANDOM_BITS:
                        self._last_ms += 1
                        self._random = entropy >> 1
                made.append((self._last_ms, self._random))
        return [_text(ms, random) for ms, random in made]


def _text(ms: int, random: int) -> str:
    value = (ms << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_ids = TimeOrderedIds()
new_id = _ids.new
new_ids = _ids.many
