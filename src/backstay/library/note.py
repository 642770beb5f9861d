"""A note that is written in the transaction of what it tells of: either both are there, or neither is."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Note:
    """A small value of an owner's under a kind and a name, which expires."""

    owner: str
    kind: str
    name: str
    value: str
    lasts: timedelta
