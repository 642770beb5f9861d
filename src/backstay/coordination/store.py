"""What serving asks of a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol


class OwnedKind(StrEnum):
    """A kind of thing that an owner has."""

    JOB = "job"
    UNFINISHED_JOB = "unfinished job"
    CONVERSATION = "conversation"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class OtherOwners:
    """How many other owners have something, and how much; never their names."""

    kind: OwnedKind
    owners: int
    count: int


@dataclass(frozen=True, slots=True)
class TakenValue:
    """A note that was taken away, and whose it was."""

    owner: str
    value: str


class ExpiringValueStore(Protocol):
    """Notes: small values under a kind and a name, each an owner's, that expire."""

    async def claim(self, owner: str, kind: str, name: str, value: str, *, lasts: timedelta) -> str | None:
        """Write a note unless one that has not expired is there.

        Returns the value of that one; None when it was written. Of many at once, one writes it.
        """
        ...

    async def put(self, owner: str, kind: str, name: str, value: str, *, lasts: timedelta) -> None:
        """Write a note, whatever is there."""
        ...

    async def pop(self, kind: str, name: str) -> TakenValue | None:
        """Remove a note that has not expired and return it, whoever's it is; None when there is none.

        For names that are secrets. Of many at once, one gets it.
        """
        ...

    async def renew(self, owner: str, kind: str, name: str, value: str, *, lasts: timedelta) -> None:
        """Extend a note to last so long from now, if its value is still `value`."""
        ...

    async def drop(self, owner: str, kind: str, name: str, value: str) -> None:
        """Remove a note, if its value is still `value`. Idempotent."""
        ...

    async def drop_expired(self) -> None:
        """Remove what has expired, whoever's it is, in bounded steps."""
        ...

    async def owners(self) -> Sequence[str]:
        """Return who has unfinished jobs or backups: whom a server's own duties concern."""
        ...

    async def count_other_owners(self, owner: str, kind: OwnedKind) -> OtherOwners:
        """Count what owners other than this one have. Only for the operator of the database, never over HTTP."""
        ...
