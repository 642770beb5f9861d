"""A value that is stored in the same transaction as the change it records."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ExpiringValue:
    """A small value of an owner, identified by kind and name, that expires."""

    owner: str
    kind: str
    name: str
    value: str
    lifetime: timedelta
