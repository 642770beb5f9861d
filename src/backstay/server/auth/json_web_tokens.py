"""Sign-in with JSON Web Tokens like Supabase's, whose subject is the owner."""

from typing import Any

import jwt
from starlette.datastructures import Headers

from backstay.limits import MAX_ID
from backstay.server.auth.authentication import RequestIdentity
from backstay.server.auth.jwks import JwksKeys, PublicKey

_LEEWAY_SECONDS = 30
_REQUIRED_CLAIMS = ["exp", "sub", "aud", "iss"]
_ROLE = "authenticated"


class JsonWebTokens:
    """Authentication by JSON Web Tokens. Implements `Authenticator`.

    The signature is verified with a configured key and that key's only algorithm. The token's header only selects the
    key.
    """

    def __init__(self, *, issuer: str, audience: str, keys: JwksKeys | None, secret: str | None) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._secret = PublicKey(secret, "HS256") if secret is not None else None

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
        return RequestIdentity(owner, int(claims["exp"]) + _LEEWAY_SECONDS) if owner is not None else None

    def owner_of_cookie(self, headers: Headers) -> str | None:
        return None

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


def _owner(claims: dict[str, Any]) -> str | None:
    subject = claims["sub"]
    is_name = isinstance(subject, str) and 0 < len(subject) <= MAX_ID
    if not is_name or not subject.isprintable() or not subject.strip() or claims.get("role") != _ROLE:
        return None
    return str(subject)
