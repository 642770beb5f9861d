"""Tickets: addresses that work once, for a minute, for whoever holds them."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.clock import Clock
from backstay.coordination.store import ExpiringValueStore

_KIND = "ticket"
_LASTS = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A right to do one thing once."""

    secret: str
    expires_at: datetime


class Tickets:
    """Issues and redeems tickets. The database knows only what tells whether a secret is right."""

    def __init__(self, *, store: ExpiringValueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def issue(self, owner: str, purpose: str) -> Ticket:
        """Make a ticket that lets its holder act once as the owner, for one purpose."""
        secret, expires_at = secrets.token_urlsafe(32), self._clock.now() + _LASTS
        await self._store.put(owner, _KIND, _name(secret, purpose), "", lasts=_LASTS)
        return Ticket(secret, expires_at)

    async def redeem(self, secret: str, purpose: str) -> str | None:
        """Use a ticket up and return its owner; None when it is not valid for this purpose, or not any more."""
        taken = await self._store.pop(_KIND, _name(secret, purpose))
        return taken.owner if taken is not None else None


def _name(secret: str, purpose: str) -> str:
    return hashlib.sha256(f"{purpose}\0{secret}".encode(errors="surrogatepass")).hexdigest()
