"""The least that can be called a client of the local provider: it sends the same bytes over and over, and counts.

No prompt, no conversation, no database. Without a library for HTTP, what it takes is what the server, the sockets and
the event loop take, so that no client could be much faster; with the one that Backstay uses, what that adds.
"""

import asyncio
from urllib.parse import urlsplit

import aiohttp

_OPENED_A_ROUND = 8
_BODY = b'{"model":"local","messages":[{"role":"user","content":"' + b"x" * 700 + b'"}]}'
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY


class _Counted:
    def __init__(self, count: int) -> None:
        self.unsent = self.unanswered = count
        self.done = asyncio.get_running_loop().create_future()


class _Connection(asyncio.Protocol):
    def __init__(self, counted: _Counted) -> None:
        self._counted = counted
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.rpartition(b"Content-Length: ")[2]):
            return
        self._received = b""
        self._counted.unanswered -= 1
        if not self._counted.unanswered:
            self._counted.done.set_result(None)
        self._send()

    def _send(self) -> None:
        if self._counted.unsent:
            self._counted.unsent -= 1
            self._transport.write(_REQUEST)


async def ask(base_url: str, count: int, *, in_flight: int) -> None:
    """Send so many requests, that many at once; return when all are answered. Only the end of an answer is parsed."""
    address, loop, counted = urlsplit(base_url), asyncio.get_running_loop(), _Counted(count)
    opening = []
    for number in range(min(in_flight, count)):
        opened = loop.create_connection(lambda: _Connection(counted), address.hostname, address.port)
        opening.append(loop.create_task(opened))
        if number % _OPENED_A_ROUND == 0:
            await asyncio.sleep(0)
    await counted.done
    for transport, _ in await asyncio.gather(*opening):
        transport.close()


async def ask_by_aiohttp(base_url: str, count: int, *, in_flight: int) -> None:
    """Do the same with aiohttp."""
    unsent = iter(range(count))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def ask_on() -> None:
            for _ in unsent:
                async with session.post(f"{base_url}/chat/completions", data=_BODY) as response:
                    await response.read()

        asking = []
        for number in range(min(in_flight, count)):
            asking.append(asyncio.create_task(ask_on()))
            if number % _OPENED_A_ROUND == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*asking)
