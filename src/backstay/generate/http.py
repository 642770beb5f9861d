"""One request and its answer over HTTP. No retries, no redirects, no cookies: those decisions are made elsewhere."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from backstay.clock import SystemClock
from backstay.generate.retry_after import seconds_of

_LARGEST_BODY = 16_000_000  # bytes; a conversation is a thousandth of it
_CONNECT_SECONDS = 30.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Unreached(Exception):
    """Nothing was asked: no connection came about. The message says why."""


class Cut(Exception):
    """The connection ended before the answer did; whether the request was worked on is unknown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, whole."""

    status: int
    body: bytes
    retry_after: float | None


class Http:
    """Connections to one endpoint, kept open between requests. Made and closed in one event loop."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = URL(url, encoded=True)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"backstay/{version('backstay')}",
            **headers,
        }
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    async def post(self, body: bytes) -> Reply:
        """Send a request and read all of its answer.

        Raises:
            Unreached, Cut: there was none, or not all of it.
        """
        session = self._session or self._open()
        try:
            async with session.post(self._url, data=body, allow_redirects=False, proxy=self._proxy) as response:
                content = await _read(response)
                # Worth its time only where somebody asks for a wait.
                asked = seconds_of(response.headers, SystemClock().now()) if response.status >= 400 else None
                return Reply(response.status, content, asked)
        except aiohttp.ClientConnectorError as error:
            raise Unreached(_reason(error)) from error
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            raise Unreached("no connection within 30 s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Cut(type(error).__name__) from error

    async def close(self) -> None:
        """Close all connections. Twice is safe."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        self._proxy = _proxy_to(self._url)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            # How many calls there are at once is decided by those who make them.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The time that a whole try may take is the item's deadline.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            # What it would take from the environment: a proxy, which is looked up here once and not for each request
            # in a thread, and a password of .netrc, which takes the place of the key.
            trust_env=False,
        )
        return self._session


def _proxy_to(url: URL) -> str | None:
    """Return the proxy that the environment (HTTPS_PROXY and its like) names for the way to an address."""
    # It is for the way out, not for a server on this machine.
    if url.host is None or url.host in _LOOPBACK or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await response.content.readany():
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST_BODY:
            raise Cut("the answer is larger than 16 MB")
    return b"".join(pieces)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"there is no host {error.host}"
    if isinstance(error, aiohttp.ClientSSLError):
        return "its certificate is not valid, or it speaks no TLS"
    return os.strerror(error.errno).lower() if error.errno else type(error.os_error).__name__
