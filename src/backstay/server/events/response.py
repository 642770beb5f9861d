"""The answer that is a stream of events."""

from collections.abc import AsyncGenerator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backstay.server.events.feed import Feed
from backstay.server.events.hub import Hub


class EventsResponse(Response):
    """Listens to one thing until it is over, or the client goes away.

    What is wrong before the first event, such as that there is no such thing, is told as an error. Who comes back after
    the last event of something that is over gets 204: browsers then stop coming back.
    """

    def __init__(
        self, hub: Hub, kind: str, owner: str, name: str, make: Callable[[], Feed], *, after: int | None
    ) -> None:
        super().__init__()
        self._hub = hub
        self._key = (kind, owner, name)
        self._make = make
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._hub.listening(*self._key, self._make) as feed:
            if self._after is not None and feed.has_nothing_after(self._after):
                await Response(status_code=204)(scope, receive, send)
            else:
                await self._hub.response(self._encoded(feed))(scope, receive, send)

    async def _encoded(self, feed: Feed) -> AsyncGenerator[bytes]:
        async for one in feed.events(self._after):
            yield one.encoded
