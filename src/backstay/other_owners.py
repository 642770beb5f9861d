"""What the other owners of a database have, as counts."""

from dataclasses import dataclass
from enum import StrEnum


class OwnedKind(StrEnum):
    """A kind of record that an owner has."""

    JOB = "job"
    UNFINISHED_JOB = "unfinished job"
    CONVERSATION = "conversation"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class OtherOwners:
    """The number of other owners that have records of a kind, and of those records; never their names."""

    kind: OwnedKind
    owners: int
    count: int
