"""A response that is a stream of events."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backstay.server.events.feed import Feed
from backstay.server.events.hub import Hub


class EventsResponse(Response):
    """A response with the events of one object, until its feed is over or the client disconnects.

    Errors before the first event, such as an unknown id, are sent as error responses. A client that reconnects after
    the last event gets 204, which makes browsers stop reconnecting.
    """

    def __init__(
        self, hub: Hub, kind: str, owner: str, name: str, create_feed: Callable[[], Feed], last_event_id: str | None
    ) -> None:
        super().__init__()
        self._hub = hub
        self._key = (kind, owner, name)
        self._create_feed = create_feed
        self._after = int(last_event_id) if last_event_id is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._hub.join(*self._key, self._create_feed) as feed:
            if self._after is not None and feed.has_nothing_after(self._after):
                await Response(status_code=204)(scope, receive, send)
            else:
                await self._hub.stream_response(feed.events(self._after))(scope, receive, send)
