"""A token for this machine, made anew at each start: whoever started the server has it."""

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers


class LocalToken:
    """Stands for one owner. Implements `Authenticator`."""

    def __init__(self, *, owner: str, name: str, token: str | None = None) -> None:
        self._owner = owner
        self._cookie = hmac.digest((token := token or secrets.token_urlsafe(32)).encode(), b"cookie", hashlib.sha256)
        self.token = token
        self.cookie_name = name
        """Cookies do not know ports: servers beside each other need names of their own."""

    @property
    def cookie_value(self) -> str:
        """What a browser keeps: it is not the token, and nobody can make the one of the other."""
        return self._cookie.hex()

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    async def owner_of(self, token: str) -> str | None:
        return self._owner if self.is_token(token) else None

    def owner_of_cookie(self, headers: Headers) -> str | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return None
        given = morsel.value if morsel is not None else ""
        return self._owner if hmac.compare_digest(given.encode(errors="replace"), self.cookie_value.encode()) else None

    async def close(self) -> None:
        return
