"""One request and its answer over HTTP. No retries, no redirects, no cookies: those decisions are made elsewhere."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from holdfast.clock import SystemClock
from holdfast.generate.retry_after import seconds_of

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
            "User-Agent": f"holdfast/{version('holdfast')}",
            **headers,
        }
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> Reply:
        """Send a request and read all of its answer.

        Raises:
            Unreached, Cut: there was none, or not all of it.
        """
        session = self._session or self._open()
        try:
            async with session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as response:
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
        self._session = aiohttp.ClientSession(
            # How many calls there are at once is decided by those who make them.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The time that a whole try may take is the item's deadline.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            # HTTPS_PROXY and its like are for the way out, not for a server on this machine.
            trust_env=urlsplit(str(self._url)).hostname not in _LOOPBACK,
        )
        return self._session


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
