"""The storage that servers need to coordinate."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from backstay.coordination.expiring_value import ExpiringValue
from backstay.other_owners import OtherOwners, OwnedKind


class ExpiringValueStore(Protocol):
    """The store of expiring values: small values of an owner under a kind and a name."""

    async def claim(self, value: ExpiringValue) -> str | None:
        """Write a value unless an unexpired one exists.

        Returns the existing value, or None if it was written. Of concurrent calls, exactly one writes.
        """
        ...

    async def put(self, value: ExpiringValue) -> None:
        """Write a value, replacing any existing one."""
        ...

    async def pop(self, kind: str, name: str) -> str | None:
        """Remove an unexpired value of any owner, and return that owner; return None if there is none.

        For names that are secrets. Of concurrent calls, exactly one gets the owner.
        """
        ...

    async def find(self, kind: str, name: str) -> tuple[str, datetime] | None:
        """Return the owner and the expiry of an unexpired value of any owner; None if there is none.

        For names that are secrets.
        """
        ...

    async def renew(self, value: ExpiringValue) -> None:
        """Set the expiry to the lifetime from now, if the stored value is still this one."""
        ...

    async def drop(self, value: ExpiringValue) -> None:
        """Remove the value, if the stored one is still this one. Idempotent."""
        ...

    async def drop_all(self, kind: str, owner: str) -> None:
        """Remove all values of one kind of an owner. Idempotent."""
        ...

    async def drop_expired(self) -> None:
        """Remove the expired values of all owners, in bounded steps."""
        ...

    async def owners(self) -> Sequence[str]:
        """Return the owners of unfinished jobs or backups, for which a server's scheduled tasks run."""
        ...

    async def count_other_owners(self, owner: str, kind: OwnedKind) -> OtherOwners:
        """Count the records of all other owners. Only for the operator of the database, never over HTTP."""
        ...
