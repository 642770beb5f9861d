"""Server-sent events: parsing a streamed answer piece by piece, and collecting it into a whole body."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backstay.generate.json_body import dump_json, read_body, read_event
from backstay.generate.stream_collector import IncompleteStream, StreamCollector

CONTENT_TYPE = "text/event-stream"
_STARTS = (b"data:", b"event:", b": ", b":\n")
_END_MARK = "[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event with its data and its name, which may be empty."""

    name: str
    data: str


class EventParser:
    """An incremental parser of events, independent of how the stream is split into pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """Return the events that this piece completes."""
        text = self._rest + piece
        if self._is_first and len(text) >= len(_BYTE_ORDER_MARK):
            text, self._is_first = text.removeprefix(_BYTE_ORDER_MARK), False
        # A line ends in CR, LF or CRLF; a CR at the end of the piece may be half of a CRLF.
        is_split = text.endswith(b"\r")
        *lines, self._rest = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest += b"\r" if is_split else b""
        for line in lines:
            yield from self._read_line(line)

    def end(self) -> Iterator[StreamEvent]:
        """Return the last event of the stream, which may lack its empty line."""
        rest, self._rest = self._rest, b""
        yield from self._read_line(rest.removesuffix(b"\r"))
        yield from self._read_line(b"")

    @property
    def pending_size(self) -> int:
        """The bytes of the current unfinished line."""
        return len(self._rest)

    def _read_line(self, line: bytes) -> Iterator[StreamEvent]:
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
    """The state of one streamed answer while it is collected."""

    def __init__(self) -> None:
        self._parser = EventParser()
        self._collector = StreamCollector()
        self._is_done = False
        self._broken_event = ""
        self._is_plain: bool | None = None
        self._plain = bytearray()

    def feed(self, piece: bytes) -> None:
        """Add a piece. Raises IncompleteStream for data that cannot be part of an answer."""
        if self._is_plain is not False:
            self._plain += piece
            self._is_plain = _is_plain(self._plain)
            if self._is_plain is not False:
                return
            piece, self._plain = bytes(self._plain), bytearray()
        for event in self._parser.feed(piece):
            self._process_event(event)

    @property
    def is_done(self) -> bool:
        """Whether the stream has reported its end, or an error."""
        return self._is_done or self._collector.error is not None

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: the model gave a finish reason, or the stream reported its end."""
        return self.is_done or self._collector.is_finished or self._is_whole_json()

    @property
    def pending_size(self) -> int:
        return self._parser.pending_size + len(self._plain)

    def body(self) -> bytes:
        """Return the body that the answer would have without streaming, or the body of the error sent instead.

        Raises:
            IncompleteStream: the stream ended before the answer did.
        """
        for event in self._parser.end():
            self._process_event(event)
        if not self.is_whole:
            raise IncompleteStream("the stream ended before the answer did")
        return bytes(self._plain) if self._is_plain else dump_json(self._collector.body())

    def partial_body(self) -> bytes:
        """Return the received part of an incomplete answer, and the event that broke it, as evidence."""
        return bytes(self._plain) or dump_json(self._collector.body()) + self._broken_event.encode("utf-8", "replace")

    def _process_event(self, event: StreamEvent) -> None:
        data = event.data.strip()
        if not data or self.is_done:
            return
        if data == _END_MARK:
            self._is_done = True
            return
        try:
            value = _parse(data)
        except IncompleteStream:
            if self.is_whole:
                return
            self._broken_event = f"\n{data}"
            raise
        is_error = event.name == "error" and bool(value) and not value.get("error")
        self._collector.add({"error": value} if is_error else value)

    def _is_whole_json(self) -> bool:
        """Return whether the content is a complete answer that was not streamed."""
        if not self._is_plain:
            return False
        try:
            return isinstance(read_body(bytes(self._plain)), dict)
        except ValueError:
            return False


def is_event_stream(content: bytes) -> bool:
    """Return whether a body is a stream of events, regardless of its Content-Type."""
    return content.startswith(_STARTS)


def first_object(content: bytes) -> bytes | None:
    """Return the data of the first non-empty event if it is a JSON object, such as the body of an error."""
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
    """Return whether content that starts like this is JSON and not a stream; None if it is too short to decide."""
    first = start.lstrip(_BYTE_ORDER_MARK + b" \t\r\n")[:1]
    return first == b"{" if first else None


def _parse(data: str) -> dict[str, Any]:
    """Return the object of an event; an empty object for null or an empty list, which some servers send."""
    try:
        value = read_event(data)
    except ValueError as error:
        raise IncompleteStream("an event of the stream is not JSON") from error
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise IncompleteStream("an event of the stream is not a JSON object")
    return value
