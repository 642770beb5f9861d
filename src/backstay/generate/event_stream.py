"""Server-sent events, as providers stream an answer: read piece by piece, and collected into the whole answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from backstay.generate.stream_collector import AnyCollector, BrokenStream, Collector

CONTENT_TYPE = "text/event-stream"
_STARTS = (b"data:", b"event:", b": ", b":\n")
_DONE = "[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, empty where it has none, and its data."""

    name: str
    data: str


class EventParser:
    """Finds the events in pieces of a stream, wherever the pieces begin and end."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Return the events that are whole with this piece."""
        text = self._rest + piece
        if self._is_first and len(text) >= len(_BYTE_ORDER_MARK):
            text, self._is_first = text.removeprefix(_BYTE_ORDER_MARK), False
        # A line may end in CR, LF or both; a CR at the end may be half of both.
        is_split = text.endswith(b"\r")
        *lines, self._rest = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest += b"\r" if is_split else b""
        for line in lines:
            yield from self._read(line)

    def end(self) -> Iterator[Event]:
        """Return what stands at the end of the stream: the last event may lack its empty line."""
        rest, self._rest = self._rest, b""
        yield from self._read(rest.removesuffix(b"\r"))
        yield from self._read(b"")

    @property
    def pending_size(self) -> int:
        """Bytes of a line that has not ended yet."""
        return len(self._rest)

    def _read(self, line: bytes) -> Iterator[Event]:
        if not line:
            if self._data:
                yield Event(self._name, "\n".join(self._data))
            self._name, self._data = "", []
            return
        name, _, value = line.partition(b":")  # a comment has no name
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
        elif name == b"event":
            self._name = text


class StreamReader:
    """Collects one answer from its stream."""

    def __init__(self, collector: Collector | None = None) -> None:
        self._parser = EventParser()
        self._collector = collector or AnyCollector()
        self._is_done = False
        self._unread = ""

    def feed(self, piece: bytes) -> None:
        """Take in a piece. Raises BrokenStream for what cannot be part of an answer."""
        for event in self._parser.feed(piece):
            self._take(event)

    @property
    def is_done(self) -> bool:
        """The stream says that nothing follows."""
        return self._is_done or self._collector.error is not None

    @property
    def is_whole(self) -> bool:
        """The model said why it stopped, or the stream that it is done: what has come is the answer."""
        return self.is_done or self._collector.is_finished

    @property
    def pending_size(self) -> int:
        return self._parser.pending_size

    def body(self) -> bytes:
        """Return the answer as it would have come without streaming, or the error that came in its place.

        Raises:
            BrokenStream: the stream ended before the answer did.
        """
        try:
            for event in self._parser.end():
                self._take(event)
        except BrokenStream:
            if not self.is_whole:
                raise
        if not self.is_whole:
            raise BrokenStream("the stream ended before the answer did")
        return orjson.dumps(self._collector.body())

    def so_far(self) -> bytes:
        """Return what has come of an answer that is not whole, and the event that is no part of one, as evidence."""
        return orjson.dumps(self._collector.body()) + self._unread.encode()

    def _take(self, event: Event) -> None:
        data = event.data.strip()
        if not data or self.is_done:
            return
        if data == _DONE:
            self._is_done = True
            return
        try:
            value = _parse(data)
        except BrokenStream:
            self._unread = f"\n{data}"
            raise
        is_error = event.name == "error" and not value.get("error")
        self._collector.add({"error": value} if is_error else value)


def is_event_stream(content: bytes) -> bool:
    """Return whether a body is a stream of events, whatever its Content-Type says."""
    return content.startswith(_STARTS)


def first_object(content: bytes) -> bytes | None:
    """Return the data of the first event, if it is a JSON object: the error that a refusal streams."""
    parser = EventParser()
    for event in (*parser.feed(content), *parser.end()):
        try:
            return orjson.dumps(_parse(event.data))
        except BrokenStream:
            return None
    return None


def _parse(data: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokenStream("an event of the stream is not JSON") from error
    if not isinstance(value, dict):
        raise BrokenStream("an event of the stream is not a JSON object")
    return value
