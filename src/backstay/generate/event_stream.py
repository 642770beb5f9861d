"""Server-sent events, as providers stream an answer: read piece by piece, and collected into the whole answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backstay.generate.json_body import dump_json, read_body, read_event
from backstay.generate.stream_collector import AnyShapeCollector, IncompleteStream, StreamCollector

CONTENT_TYPE = "text/event-stream"
_STARTS = (b"data:", b"event:", b": ", b":\n")
_DONE = "[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class StreamEvent:
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

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
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

    def end(self) -> Iterator[StreamEvent]:
        """Return what stands at the end of the stream: the last event may lack its empty line."""
        rest, self._rest = self._rest, b""
        yield from self._read(rest.removesuffix(b"\r"))
        yield from self._read(b"")

    @property
    def pending_size(self) -> int:
        """Bytes of a line that has not ended yet."""
        return len(self._rest)

    def _read(self, line: bytes) -> Iterator[StreamEvent]:
        if not line:
            if self._data:
                yield StreamEvent(self._name, "\n".join(self._data))
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

    def __init__(self, collector: StreamCollector | None = None) -> None:
        self._parser = EventParser()
        self._collector = collector or AnyShapeCollector()
        self._is_done = False
        self._unread = ""
        self._is_plain: bool | None = None
        self._plain = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take in a piece. Raises IncompleteStream for what cannot be part of an answer."""
        if self._is_plain is not False:
            self._plain += piece
            self._is_plain = _is_plain(self._plain)
            if self._is_plain is not False:
                return
            piece, self._plain = bytes(self._plain), bytearray()
        for event in self._parser.feed(piece):
            self._take(event)

    @property
    def is_done(self) -> bool:
        """The stream says that nothing follows."""
        return self._is_done or self._collector.error is not None

    @property
    def is_whole(self) -> bool:
        """The model said why it stopped, or the stream that it is done: what has come is the answer."""
        return self.is_done or self._collector.is_finished or self._is_whole_json()

    @property
    def pending_size(self) -> int:
        return self._parser.pending_size + len(self._plain)

    def body(self) -> bytes:
        """Return the answer as it would have come without streaming, or the error that came in its place.

        Raises:
            IncompleteStream: the stream ended before the answer did.
        """
        for event in self._parser.end():
            self._take(event)
        if not self.is_whole:
            raise IncompleteStream("the stream ended before the answer did")
        return bytes(self._plain) if self._is_plain else dump_json(self._collector.body())

    def partial_body(self) -> bytes:
        """Return what has come of an answer that is not whole, and the event that is no part of one, as evidence."""
        return bytes(self._plain) or dump_json(self._collector.body()) + self._unread.encode("utf-8", "replace")

    def _take(self, event: StreamEvent) -> None:
        data = event.data.strip()
        if not data or self.is_done:
            return
        if data == _DONE:
            self._is_done = True
            return
        try:
            value = _parse(data)
        except IncompleteStream:
            if self.is_whole:
                return
            self._unread = f"\n{data}"
            raise
        is_error = event.name == "error" and bool(value) and not value.get("error")
        self._collector.add({"error": value} if is_error else value)

    def _is_whole_json(self) -> bool:
        """Return whether what came is no stream, but an answer as it is without streaming."""
        if not self._is_plain:
            return False
        try:
            return isinstance(read_body(bytes(self._plain)), dict)
        except ValueError:
            return False


def is_event_stream(content: bytes) -> bool:
    """Return whether a body is a stream of events, whatever its Content-Type says."""
    return content.startswith(_STARTS)


def first_object(content: bytes) -> bytes | None:
    """Return the data of the first event that says something, if it is a JSON object: the error of a refusal."""
    parser = EventParser()
    for event in (*parser.feed(content), *parser.end()):
        try:
            value = _parse(event.data)
        except IncompleteStream:
            return None
        if value:
            return dump_json(value)
    return None


def _is_plain(start: bytes | bytearray) -> bool | None:
    """Return whether what begins so is JSON and no stream; None as long as it cannot be known."""
    first = start.lstrip(_BYTE_ORDER_MARK + b" \t\r\n")[:1]
    return first == b"{" if first else None


def _parse(data: str) -> dict[str, Any]:
    """Return the object of an event; an empty one for what says nothing, which some servers send."""
    try:
        value = read_event(data)
    except ValueError as error:
        raise IncompleteStream("an event of the stream is not JSON") from error
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise IncompleteStream("an event of the stream is not a JSON object")
    return value
