"""Stores values that expire. Implements `coordination.store.ExpiringValueStore`."""

from collections.abc import Sequence
from datetime import datetime

from backstay.coordination.expiring_value import ExpiringValue
from backstay.other_owners import OtherOwners, OwnedKind
from backstay.storage.sql.database import Session, SqlStore, Values
from backstay.storage.sql.database_report import count_other_owners
from backstay.storage.sql.times import MICROSECOND, from_micros, now_micros

_DROP_BATCH_VALUES = 1_000


class SqlExpiringValues(SqlStore):
    """The expiring values of a database."""

    async def claim(self, value: ExpiringValue) -> str | None:
        now = now_micros(self._clock)
        values = {**to_values(value, now), "now": now}

        def claim(session: Session) -> str | None:
            if session.execute("claim_value", values):
                return None
            return str(session.value("unexpired_value", values))

        return await self._database.write(claim)

    async def put(self, value: ExpiringValue) -> None:
        values = to_values(value, now_micros(self._clock))
        await self._database.write(lambda s: s.execute("put_value", values))

    async def pop(self, kind: str, name: str) -> str | None:
        values = {"kind": kind, "name": name, "now": now_micros(self._clock)}
        owner: str | None = await self._database.write(lambda s: s.value("pop_value", values))
        return owner

    async def find(self, kind: str, name: str) -> tuple[str, datetime] | None:
        values = {"kind": kind, "name": name, "now": now_micros(self._clock)}
        rows = await self._database.read(lambda s: list(s.rows("find_value", values)))
        return next(((owner, from_micros(expires_at)) for owner, expires_at in rows), None)

    async def renew(self, value: ExpiringValue) -> None:
        values = to_values(value, now_micros(self._clock))
        await self._database.write(lambda s: s.execute("renew_value", values))

    async def drop(self, value: ExpiringValue) -> None:
        values = to_values(value, now_micros(self._clock))
        await self._database.write(lambda s: s.execute("drop_value", values))

    async def drop_all(self, kind: str, owner: str) -> None:
        values = {"kind": kind, "owner": owner}
        await self._database.write(lambda s: s.execute("drop_values_of_owner", values))

    async def drop_expired(self) -> None:
        values = {"now": now_micros(self._clock), "limit": _DROP_BATCH_VALUES}
        while await self._database.write(lambda s: s.execute("drop_expired_values", values)) == _DROP_BATCH_VALUES:
            pass

    async def owners(self) -> Sequence[str]:
        return await self._database.read(lambda s: [owner for (owner,) in s.rows("owners")])

    async def count_other_owners(self, owner: str, kind: OwnedKind) -> OtherOwners:
        return await self._database.read(lambda s: count_other_owners(s, owner, kind))


def to_values(expiring: ExpiringValue, now: int) -> Values:
    """Return an expiring value as the statement `put_value` takes it."""
    return {
        "kind": expiring.kind,
        "owner": expiring.owner,
        "name": expiring.name,
        "value": expiring.value,
        "expires_at": now + expiring.lifetime // MICROSECOND,
    }
