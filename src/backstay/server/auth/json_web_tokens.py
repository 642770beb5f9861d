"""Sign-in with JSON Web Tokens like Supabase's, whose subject is the owner."""

from datetime import timedelta
from typing import Any

import jwt
from starlette.requests import HTTPConnection
from starlette.responses import Response

from backstay.clock import SystemClock
from backstay.coordination.sessions import Sessions
from backstay.limits import MAX_ID
from backstay.server.auth.authentication import RequestIdentity, identity_of_bearer
from backstay.server.auth.cookie import read_cookie, set_cookie
from backstay.server.auth.jwks import JwksKeys, PublicKey
from backstay.server.problems import unauthorized
from backstay.server.settings import SameSite

_LEEWAY_SECONDS = 30
_LATEST_EXPIRY = 253_370_764_800  # the year 9999, the last that a moment can have
_MAX_SESSION_SECONDS = 30 * 86_400
_REQUIRED_CLAIMS = ["exp", "sub", "aud", "iss"]
_ROLE = "authenticated"


class JsonWebTokens:
    """Authentication by JSON Web Tokens. Implements `Authenticator`.

    The signature is verified with a configured key and that key's only algorithm. The token's header only selects the
    key. A valid token may open a session for a browser, which ends when the token expires.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: JwksKeys | None,
        secret: str | None,
        sessions: Sessions,
        same_site: SameSite,
        trusted_origins: tuple[str, ...],
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._secret = PublicKey(secret, "HS256") if secret is not None else None
        self.sessions = sessions
        self._same_site: SameSite = same_site
        self.trusted_origins = trusted_origins

    async def identity_of(self, token: str) -> RequestIdentity | None:
        key = await self._key_of(token)
        if key is None:
            return None
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED_CLAIMS},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            return None
        owner = _owner(claims)
        if owner is None:
            return None
        return RequestIdentity(owner, min(int(claims["exp"]), _LATEST_EXPIRY) + _LEEWAY_SECONDS)

    async def identity_of_cookie(self, request: HTTPConnection) -> RequestIdentity | None:
        secret = read_cookie(request, _cookie_name(request))
        session = await self.sessions.find(secret) if secret else None
        if secret is None or session is None:
            return None

        async def current_end() -> float | None:
            current = await self.sessions.find(secret)
            return current.ends_at.timestamp() if current is not None else None

        return RequestIdentity(session.owner, session.ends_at.timestamp(), current_end)

    async def sign_in(self, request: HTTPConnection, response: Response, identity: RequestIdentity) -> RequestIdentity:
        owner = identity.owner
        secret = read_cookie(request, _cookie_name(request))
        session = await self.sessions.find(secret) if secret else None
        now = SystemClock().now().timestamp()
        ends_at = min(_expiry(identity), now + _MAX_SESSION_SECONDS)
        if ends_at <= now:
            raise unauthorized()
        lifetime = timedelta(seconds=ends_at - now)
        if secret and session is not None and session.owner == owner:
            await self.sessions.renew(owner, secret, lifetime)
        else:
            opened = await self.sessions.open(owner, lifetime)
            set_cookie(request, response, _cookie_name(request), opened, same_site=self._same_site)
            if secret:
                await self.sessions.end(secret)
        return RequestIdentity(owner, ends_at)

    async def sign_out(self, request: HTTPConnection, response: Response) -> None:
        if (identity := await identity_of_bearer(self, request)) is not None:
            await self.sessions.end_all(identity.owner)
        elif secret := read_cookie(request, _cookie_name(request)):
            await self.sessions.end(secret)
        set_cookie(request, response, _cookie_name(request), "", same_site=self._same_site)

    async def close(self) -> None:
        if self._keys is not None:
            await self._keys.close()

    async def _key_of(self, token: str) -> PublicKey | None:
        try:
            head = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        if head.get("alg") == "HS256":
            return self._secret
        key_id = head.get("kid")
        if self._keys is None or not isinstance(key_id, str) or head.get("alg") not in ("RS256", "ES256", "EdDSA"):
            return None
        key = await self._keys.find(key_id)
        return key if key is not None and key.algorithm == head["alg"] else None


def _expiry(identity: RequestIdentity) -> float:
    """Return when the token of an identity expires. The leeway is for the clocks of requests, not for sessions."""
    return (identity.ends_at or 0.0) - _LEEWAY_SECONDS


def _cookie_name(request: HTTPConnection) -> str:
    # Cookies ignore ports, so servers at several ports of one host need a name each.
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"backstay-{port}" if port.isdecimal() else "backstay"


def _owner(claims: dict[str, Any]) -> str | None:
    subject = claims["sub"]
    is_name = isinstance(subject, str) and 0 < len(subject) <= MAX_ID
    if not is_name or not subject.isprintable() or not subject.strip() or claims.get("role") != _ROLE:
        return None
    return str(subject)
