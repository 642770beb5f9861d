"""How much of a sweep is run: a bounded sample in `make test`, all of it in `make torture`."""

import os
from typing import TypeVar
from zlib import crc32

Case = TypeVar("Case")

FULL = os.environ.get("BACKSTAY_TORTURE") == "1"


def sample(cases: list[Case], count: int) -> list[Case]:
    """Return `count` of the cases, evenly spread, the first and the last included; all of them under torture."""
    if FULL or len(cases) <= count:
        return cases
    step = (len(cases) - 1) / (count - 1)
    return [cases[round(n * step)] for n in range(count)]


def is_sampled(name: str, *, one_in: int) -> bool:
    """Say whether a case is in the sample, by its name alone: the same ones on every machine and in every process."""
    return FULL or crc32(name.encode()) % one_in == 0
