"""Sessions: secrets that sign a browser in until they expire, on all servers of a database."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.store import ExpiringValueStore

_KIND = "session"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A session that has not ended."""

    owner: str
    ends_at: datetime


class Sessions:
    """The sessions of all owners. The database stores only hashes of their secrets.

    Args:
        store: Where they are stored.
        realm: What opened them, such as an issuer and its key; sessions of another realm are not found.
    """

    def __init__(self, *, store: ExpiringValueStore, realm: str) -> None:
        self._store = store
        self._realm = realm

    async def open(self, owner: str, lifetime: timedelta) -> str:
        """Open a session and return its secret."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        await self._store.put(ExpiringValue(owner, _KIND, self._hash(secret), "", lifetime))
        return secret

    async def renew(self, owner: str, secret: str, lifetime: timedelta) -> None:
        """Set the lifetime of an owner's session, from now, unless it has ended."""
        await self._store.renew(ExpiringValue(owner, _KIND, self._hash(secret), "", lifetime))

    async def find(self, secret: str) -> BrowserSession | None:
        """Return a session; None if there is none with this secret, or it has ended."""
        found = await self._store.find(_KIND, self._hash(secret))
        return BrowserSession(*found) if found is not None else None

    async def end(self, secret: str) -> None:
        """End a session. Idempotent."""
        await self._store.pop(_KIND, self._hash(secret))

    async def end_all(self, owner: str) -> None:
        """End all sessions of an owner. Idempotent."""
        await self._store.drop_all(_KIND, owner)

    def _hash(self, secret: str) -> str:
        # A secret from a request may be any text. Half of a surrogate pair must fail like any wrong secret.
        return hashlib.sha256(f"{self._realm}\0{secret}".encode(errors="surrogatepass")).hexdigest()
