"""The local token: it signs in the user who started the server on this machine."""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.requests import HTTPConnection
from starlette.responses import Response

from backstay.server.auth.authentication import RequestIdentity
from backstay.server.auth.cookie import read_cookie, set_cookie

MIN_TOKEN_CHARACTERS = 16
_MAX_OTHER_COOKIES = 4


class LocalToken:
    """The token of one owner. Implements `Authenticator`."""

    trusted_origins = ()

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

    async def identity_of_cookie(self, request: HTTPConnection) -> RequestIdentity | None:
        value = (read_cookie(request, self.cookie_name) or "").encode(errors="replace")
        return RequestIdentity(self._owner) if hmac.compare_digest(value, self.cookie_value.encode()) else None

    async def sign_in(self, request: HTTPConnection, response: Response, identity: RequestIdentity) -> RequestIdentity:
        for name in self.former_cookies(request.cookies):
            set_cookie(request, response, name, "")
        set_cookie(request, response, self.cookie_name, self.cookie_value)
        return identity

    async def sign_out(self, request: HTTPConnection, response: Response) -> None:
        set_cookie(request, response, self.cookie_name, "")

    async def close(self) -> None:
        return

    def _derive(self, purpose: bytes) -> str:
        return hmac.digest(self.token.encode(), purpose, hashlib.sha256).hex()
