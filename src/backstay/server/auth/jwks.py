"""The issuer's public keys, fetched from one address and cached, at a limited rate."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from jwt import PyJWK

from backstay.logs import get_logger
from backstay.server.problems import Problem

_log = get_logger("backstay.server")

_FRESH_SECONDS = 600.0
_MIN_INTERVAL_SECONDS = 30.0  # between two fetches, however many unknown keys are looked up
_TIMEOUT_SECONDS = 5.0
_MAX_BODY_BYTES = 256_000
_MAX_KEYS = 100
_MAX_LOGGED_ID_CHARACTERS = 100
_ALGORITHMS: dict[Any, str] = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, and the only algorithm that it verifies."""

    key: Any
    algorithm: str


class JwksKeys:
    """The keys of one JWKS address. Fetched keys stay valid while the address cannot be reached."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, PublicKey] | None = None
        self._malformed: frozenset[str] = frozenset()
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> PublicKey | None:
        """Return the key with this id; None if the issuer has no such key.

        Raises:
            Problem: no keys could be fetched yet.
        """
        now = time.monotonic()
        cached_key = self._keys.get(key_id) if self._keys is not None else None
        if cached_key is not None:
            if now - self._fetched_at > _FRESH_SECONDS:
                self._fetch()  # in the background; until it succeeds, the old keys remain in use
            return cached_key
        if (fetching := self._fetch()) is not None:
            # One fetch serves all waiting requests; `wait` keeps it running when one of them is cancelled.
            await asyncio.wait([fetching])
        if self._keys is None:
            raise Problem(
                503, "auth_unavailable", "Tokens cannot be verified at the moment; try again later",
                headers={"Retry-After": "5"},
            )  # fmt: skip
        return self._keys.get(key_id)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _fetch(self) -> "asyncio.Task[None] | None":
        """Start a fetch, or join the current one; None if the last one is too recent."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = time.monotonic()
        if self._tried_at is not None and now - self._tried_at < _MIN_INTERVAL_SECONDS:
            return None
        self._tried_at = now
        self._fetching = asyncio.create_task(self._run_fetch())
        return self._fetching

    async def _run_fetch(self) -> None:
        try:
            self._keys, malformed = _parse_keys(await self._fetch_body())
            self._fetched_at = time.monotonic()
            for key_id in sorted(malformed - self._malformed):  # earlier ones are in the log already
                _log.warning("key_malformed", key_id=key_id)
            self._malformed = malformed
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.warning("key_fetch_failed", error=type(error).__name__, cached=len(self._keys or ()))

    async def _fetch_body(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, allow_redirects=False, headers={"Accept": "application/json"}) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = await response.content.read(_MAX_BODY_BYTES + 1)
            while len(body) <= _MAX_BODY_BYTES and (
                more := await response.content.read(_MAX_BODY_BYTES + 1 - len(body))
            ):
                body += more
            if len(body) > _MAX_BODY_BYTES:
                raise ValueError("too large")
            return body


def _parse_keys(body: bytes) -> tuple[dict[str, PublicKey], frozenset[str]]:
    """Return the keys that verify signatures, and the ids of malformed keys."""
    document = orjson.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("no JWKS")  # noqa: TRY004 - about the input, not an argument
    keys: dict[str, PublicKey] = {}
    malformed: set[str] = set()
    for jwk in document["keys"][:_MAX_KEYS]:
        key_id = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(key_id, str):
            continue
        try:
            key = _parse_key(jwk)
        except Exception:  # a malformed key must not disable the others
            malformed.add(key_id[:_MAX_LOGGED_ID_CHARACTERS])
            continue
        if key is not None:
            keys[key_id] = key
    return keys, frozenset(malformed)


def _parse_key(jwk: dict[str, Any]) -> PublicKey | None:
    """Return a key that verifies signatures; None for any other kind, in particular a symmetric key.

    Raises any exception of the libraries if the key is malformed.
    """
    kind = jwk.get("kty")
    algorithm = _ALGORITHMS.get((kind, None if kind == "RSA" else jwk.get("crv")))
    if algorithm is None or jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    return PublicKey(PyJWK(jwk, algorithm=algorithm).key, algorithm)
