"""The local token: it signs in the user who started the server on this machine."""

import hashlib
import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from backstay.server.auth.authentication import RequestIdentity

MIN_TOKEN_CHARACTERS = 16
_MAX_OTHER_COOKIES = 4


class LocalToken:
    """The token of one owner. Implements `Authenticator`."""

    def __init__(self, *, owner: str, port: int, token: str) -> None:
        self._owner = owner
        self._prefix = f"backstay-{port}-"
        self.token = token
        # Cookies ignore ports, so each server needs a name that no other server sets.
        self.cookie_name = self._prefix + self._derive(b"name")[:16]
        self.cookie_value = self._derive(b"cookie")
        """The value of the cookie, from which the token cannot be derived."""

    def former_cookies(self, names: Iterable[str]) -> list[str]:
        """Return the names of all but the latest cookies that servers of other databases at this port have set."""
        # A browser sends the oldest first.
        others = [name for name in names if name.startswith(self._prefix) and name != self.cookie_name]
        return others[:-_MAX_OTHER_COOKIES]

    def is_token(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode(errors="replace"), self.token.encode())

    async def identity_of(self, token: str) -> RequestIdentity | None:
        return RequestIdentity(self._owner) if self.is_token(token) else None

    def owner_of_cookie(self, headers: Headers) -> str | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return None
        value = morsel.value if morsel is not None else ""
        return self._owner if hmac.compare_digest(value.encode(errors="replace"), self.cookie_value.encode()) else None

    async def close(self) -> None:
        return

    def _derive(self, purpose: bytes) -> str:
        return hmac.digest(self.token.encode(), purpose, hashlib.sha256).hex()
