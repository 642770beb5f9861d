"""Tickets: secrets that authorize their holder once, within a minute."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.clock import Clock
from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.store import ExpiringValueStore

_KIND = "ticket"
_LIFETIME = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A single-use authorization."""

    secret: str
    expires_at: datetime


class Tickets:
    """The issue and redemption of tickets. The database stores only hashes of their secrets."""

    def __init__(self, *, store: ExpiringValueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def issue(self, owner: str, purpose: str) -> Ticket:
        """Issue a ticket that lets its holder act once as the owner, for one purpose."""
        secret, expires_at = secrets.token_urlsafe(32), self._clock.now() + _LIFETIME
        await self._store.put(ExpiringValue(owner, _KIND, _hash(secret, purpose), "", _LIFETIME))
        return Ticket(secret, expires_at)

    async def redeem(self, secret: str, purpose: str) -> str | None:
        """Redeem a ticket and return its owner; None unless the ticket is valid for this purpose."""
        return await self._store.pop(_KIND, _hash(secret, purpose))


def _hash(secret: str, purpose: str) -> str:
    # A secret to be redeemed may be any text. Half of a surrogate pair must fail like any wrong secret.
    return hashlib.sha256(f"{purpose}\0{secret}".encode(errors="surrogatepass")).hexdigest()
