"""An HTTP client that sends one request and reads its response, without retries, redirects or cookies."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong
from yarl import URL

from backstay.generate.certificates import explain_tls_error, trusted_tls_context
from backstay.generate.event_stream import CONTENT_TYPE, StreamReader, first_object, is_event_stream
from backstay.generate.proxy import Proxy, find_proxy
from backstay.generate.query_and_headers import merge_headers
from backstay.generate.stream_collector import IncompleteStream

_MAX_BODY_BYTES = 16_000_000  # a conversation has about a thousandth of this
_MAX_STREAM_BYTES = 4 * _MAX_BODY_BYTES  # a stream takes some 300 bytes for each token
_TOO_LARGE = "the answer is larger than 16 MB"
_MAX_HEADER_BYTES = 65_536  # a gateway's reports on one answer can exceed the usual 8 KB
_CONNECT_SECONDS = 30.0
_IDLE_SECONDS = 120.0
_TRAILER_SECONDS = 1.0  # for the events after a complete answer: its usage, and the end of the stream
_STALE_SECONDS = 2.0  # a stale connection fails at once when it is used; a later failure interrupts a model at work
_CONNECTION_ENDED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)
_MIN_ERROR_STATUS = 400
_PROXY_AUTHENTICATION = 407
_PLAIN_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_STREAM_HEADERS = {"Accept": f"{CONTENT_TYPE}, application/json"}


class ConnectFailed(Exception):
    """A connection that could not be made, so that nothing was sent. The message says why."""

    def __init__(self, reason: str, *, proxy: Proxy | None = None, may_retry: bool = True) -> None:
        super().__init__(reason)
        self.proxy = proxy
        """The proxy that did not answer, or did not connect."""
        self.may_retry = may_retry
        """False for errors that only a person can fix, such as a certificate that is not trusted."""


class ConnectionLost(Exception):
    """A connection that ended before the response did. It is unknown whether the request was processed."""


class MalformedResponse(Exception):
    """A response, possibly charged, that cannot be read as HTTP or as a stream. The message says why."""

    def __init__(self, reason: str, body: bytes = b"") -> None:
        super().__init__(reason)
        self.body = body
        """The received part: raw, or the collected answer of a stream."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response; a streamed one has the body that it would have without streaming."""

    status: int
    headers: Mapping[str, str]
    """By name, as the server spelled it."""
    body: bytes
    proxy: Proxy | None = None
    """The proxy, if it answered instead of the endpoint."""


class HttpClient:
    """Connections to one endpoint, kept open between requests. They belong to one event loop."""

    def __init__(self, url: str, headers: Mapping[str, str], *, idle_seconds: float = _IDLE_SECONDS) -> None:
        """Read the proxy and the trusted certificates from the environment.

        Raises:
            SettingsError: the proxy or the certificates cannot be used.
        """
        self._url = URL(url, encoded=True)
        self._headers = merge_headers({**_PLAIN_HEADERS, "User-Agent": f"backstay/{version('backstay')}"}, headers)
        self._idle_seconds = idle_seconds
        self._proxy = find_proxy(self._url)
        self._proxy_url = self._proxy.url if self._proxy is not None else None
        schemes = {self._url.scheme, self._proxy_url.scheme if self._proxy_url is not None else ""}
        self._tls = trusted_tls_context() if "https" in schemes else None
        self._session: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None
        """The session for retries after a stale connection, because others in the pool may be stale too."""

    async def post(
        self, body: bytes, *, headers: Mapping[str, str] | None = None, stream: bool = False
    ) -> HttpResponse:
        """Send a request and read its whole response.

        If a reused connection turns out to be stale, the request is sent once more, on a new connection. `headers`
        override those of the client. A stream is collected into a whole body, even if `stream` did not ask for one.

        Raises:
            ConnectFailed: no connection could be made.
            ConnectionLost: the connection ended before the response did.
            MalformedResponse: the response cannot be read.
        """
        if stream:
            headers = {**_STREAM_HEADERS, **(headers or {})}
        session = self._session = self._session or self._open()
        while True:
            began_at, is_answered, may_be_stale = time.monotonic(), False, _has_pooled_connection(session)
            try:
                async with session.post(
                    self._url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy_url
                ) as response:
                    is_answered = True
                    return await self._read_reply(response)
            except aiohttp.ClientConnectorError as error:
                raise self._connect_error(error) from error
            except aiohttp.ClientHttpProxyError as error:
                if error.status == _PROXY_AUTHENTICATION:
                    return HttpResponse(error.status, error.headers or {}, b"", self._proxy)
                raise ConnectFailed(f"{self._proxy} answered {error.status} to CONNECT", proxy=self._proxy) from error
            except (aiohttp.ServerTimeoutError, TimeoutError) as error:
                where = f" through {self._proxy}" if self._proxy is not None else ""
                raise ConnectFailed(f"no connection{where} within {_CONNECT_SECONDS:g} s", proxy=self._proxy) from error
            except aiohttp.ClientResponseError as error:
                if error.message.startswith("Bad status line"):  # aiohttp has no class for it
                    raise ConnectFailed("the server does not speak HTTP", proxy=self._proxy) from error
                raise MalformedResponse(_explain_malformed(error) or "its answer breaks the rules of HTTP") from error
            except ValueError as error:
                if is_answered:
                    raise MalformedResponse(f"its answer cannot be read ({type(error).__name__})") from error
                reason = f"its address or headers are invalid ({type(error).__name__}); correct them"
                raise ConnectFailed(reason, may_retry=False) from error
            except (aiohttp.ClientError, OSError) as error:
                is_at_once = not is_answered and time.monotonic() - began_at < _STALE_SECONDS
                if session is self._unpooled or not (may_be_stale and is_at_once and _has_no_answer(error)):
                    raise ConnectionLost(_explain_lost(error)) from error
                session = self._unpooled = self._unpooled or self._open(is_pooled=False)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        sessions, self._session, self._unpooled = (self._session, self._unpooled), None, None
        for session in sessions:
            if session is not None:
                await session.close()
        # Connections outside the pool close only in the next iteration of the loop, so let it run once more.
        await asyncio.sleep(0)

    def _open(self, *, is_pooled: bool = True) -> aiohttp.ClientSession:
        """Return a session that pools its connections, or one that opens a connection per request."""
        # Callers limit the number of concurrent calls.
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=60,
            keepalive_timeout=30 if is_pooled else None,
            force_close=not is_pooled,
            ssl=self._tls or True,
        )
        return aiohttp.ClientSession(
            headers=self._headers,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The duration of a whole call is bounded by the item's deadline.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            # Otherwise aiohttp would look up the proxy in a thread for each request, and let a password in .netrc
            # replace the key.
            trust_env=False,
        )

    async def _read_reply(self, response: aiohttp.ClientResponse) -> HttpResponse:
        try:
            content = await self._read_content(response)
        except (MalformedResponse, aiohttp.ClientError) as error:
            if response.status < _MIN_ERROR_STATUS:
                raise
            content = error.body if isinstance(error, MalformedResponse) else b""  # an error's status is enough
        is_of_proxy = response.status == _PROXY_AUTHENTICATION
        return HttpResponse(response.status, response.headers, content, self._proxy if is_of_proxy else None)

    async def _read_content(self, response: aiohttp.ClientResponse) -> bytes:
        is_error = response.status >= _MIN_ERROR_STATUS
        reader = StreamReader()
        try:
            if CONTENT_TYPE in response.headers.get("Content-Type", "").lower() and not is_error:
                return await self._collect(response.content, reader)
            content = await _read_all(response.content)
            if not is_event_stream(content):
                return content
            if is_error:
                return first_object(content) or content
            reader.feed(content)
            return reader.body()
        except IncompleteStream as error:
            raise MalformedResponse(str(error), reader.partial_body()) from error

    async def _collect(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        size = 0
        clock = asyncio.get_running_loop().time
        last: float | None = None
        try:
            while not reader.is_done:
                if last is None and reader.is_whole:
                    last = clock() + _TRAILER_SECONDS
                idle = clock() + self._idle_seconds
                async with asyncio.timeout_at(idle if last is None else min(idle, last)):
                    piece = await content.readany()
                if not piece:
                    break
                size += len(piece)
                reader.feed(piece)
                if size > _MAX_STREAM_BYTES or reader.pending_size > _MAX_BODY_BYTES:
                    raise MalformedResponse(_TOO_LARGE, reader.partial_body())
        except TimeoutError as error:
            if not reader.is_whole:
                raise ConnectionLost(f"the stream was silent for {self._idle_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            if (reason := _explain_malformed(error)) is not None and not reader.is_whole:
                raise MalformedResponse(reason, reader.partial_body()) from error
            if not reader.is_whole:
                raise
        body = reader.body()
        if len(body) > _MAX_BODY_BYTES:
            raise MalformedResponse(_TOO_LARGE, body)
        return body

    def _connect_error(self, error: aiohttp.ClientConnectorError) -> ConnectFailed:
        if isinstance(error, aiohttp.ClientSSLError):
            cause = getattr(error, "certificate_error", error.os_error)
            return ConnectFailed(explain_tls_error(cause), may_retry=False)
        reason = _explain_connect_error(error)
        is_of_proxy = isinstance(error, aiohttp.ClientProxyConnectionError) or error.host != self._url.host
        if self._proxy is not None and is_of_proxy:
            return ConnectFailed(f"{self._proxy} does not answer ({reason})", proxy=self._proxy)
        return ConnectFailed(reason)


async def _read_all(content: aiohttp.StreamReader) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        while not content.at_eof():
            piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BODY_BYTES:
                raise MalformedResponse(_TOO_LARGE, b"".join(pieces))
    except aiohttp.ClientPayloadError as error:
        if (reason := _explain_malformed(error)) is not None:
            raise MalformedResponse(reason, b"".join(pieces)) from error
        raise
    return b"".join(pieces)


def _has_pooled_connection(session: aiohttp.ClientSession) -> bool:
    """Return whether the pool has a connection that the next request may reuse."""
    # aiohttp's public tracing would report reuse too, but takes longer than all other work for a call.
    pool = getattr(session.connector, "_conns", None)
    return pool is None or any(pool.values())


def _has_no_answer(error: Exception) -> bool:
    """Return whether a connection ended before a response's first byte."""
    # Headers received so far are stored in place of the message.
    has_begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
    return isinstance(error, _CONNECTION_ENDED) and not has_begun


def _explain_malformed(error: BaseException | None) -> str | None:
    """Return what is wrong with a response, without quoting it; None if unknown."""
    while error is not None:
        match error:
            case LineTooLong():
                return "a header of its response is larger than 64 KB"
            case ContentEncodingError():
                return "its response is not encoded as its headers say"
        error = error.__cause__
    return None


def _explain_connect_error(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"host {error.host} not found"
    return os.strerror(error.errno).lower() if error.errno else "no connection could be made"


def _explain_lost(error: Exception) -> str:
    match error:
        case aiohttp.ClientPayloadError():
            return "the answer ended before it was whole"
        case aiohttp.ServerDisconnectedError():
            return "the server closed it before it answered"
        case aiohttp.ClientResponseError():
            return "the response is not HTTP"
        case OSError() if error.errno:
            return os.strerror(error.errno).lower()
        case _:
            return "unknown reason"
